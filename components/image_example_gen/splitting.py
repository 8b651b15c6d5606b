"""Which images train and which evaluate: frozen, and never one group on both sides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from components.errors import InputError
from components.image_example_gen.config import DataConfig, SplitConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources.contract import Sample
from components.records import EVAL, TRAIN


class Placed(NamedTuple):
    """A sample that has a side."""

    sample: Sample
    split: str
    group: str
    sha256: str


class Plan(NamedTuple):
    """Where every sample goes.

    Attributes:
      placed: in the order of the samples.
      twins: samples left out since a copy of them evaluates, with that copy.
      unused: keys that explicit lists leave out.
    """

    placed: list[Placed]
    twins: list[tuple[Sample, Sample]]
    unused: list[str]


def side_by_hash(group: str, split: SplitConfig) -> str:
    """The side of a group; it depends on nothing else, so that it never changes."""
    digest = hashlib.sha256(f"{split.seed}:{group}".encode()).digest()
    return EVAL if int.from_bytes(digest[:8], "big") / 2**64 < split.eval_share else TRAIN


def plan(samples: Sequence[Sample], digests: Mapping[str, str], data: DataConfig) -> Plan:
    """Gives each sample a side.

    Args:
      samples: in any order.
      digests: SHA-256 of each sample's image, by key.
      data: says the groups and the split.

    Raises:
      InputError: a key has no group, a list names nothing, a group or an image is on both sides,
        or a side is empty.
    """
    groups = {sample.key: _group(sample, data.group) or digests[sample.key] for sample in samples}
    if data.split.train:
        sides = _sides_by_lists([sample.key for sample in samples], data.split)
        # Of a data set that is one group, such as a film, one part may evaluate all the same.
        if data.group is not None or len({sample.group for sample in samples}) > 1:
            _refuse_torn_groups(sides, groups)
    else:
        sides = {
            sample.key: sample.split or side_by_hash(groups[sample.key], data.split)
            for sample in samples
        }
        if any(sample.split for sample in samples):
            _refuse_torn_groups(sides, groups)

    # A copy that trains would let the model see what it is evaluated on.
    evaluated = {digests[sample.key]: sample for sample in samples if sides.get(sample.key) == EVAL}
    placed, twins = [], []
    for sample in samples:
        side, digest = sides.get(sample.key), digests[sample.key]
        if side == TRAIN and digest in evaluated:
            twins.append((sample, evaluated[digest]))
        elif side:
            placed.append(Placed(sample, side, groups[sample.key], digest))
    refuse_empty_side({place.split for place in placed}, len(samples), data)
    return Plan(placed, twins, [sample.key for sample in samples if sample.key not in sides])


def plan_later(
    samples: Sequence[Sample],
    digests: Mapping[str, str],
    data: DataConfig,
    why_held_back: Callable[[str, str], str | None],
) -> tuple[list[Placed], list[tuple[Sample, str]]]:
    """Lets the samples of a later span train, but for those that belong to the evaluation set.

    Args:
      samples: in any order.
      digests: SHA-256 of each sample's image, by key.
      data: says the groups.
      why_held_back: of a group and a digest, why they must not train; None where they may.

    Returns:
      Those that train, in the order of the samples; and the others, each with its reason.

    Raises:
      InputError: a key has no group.
    """
    placed, held_back = [], []
    for sample in samples:
        digest = digests[sample.key]
        group = _group(sample, data.group) or digest
        reason = why_held_back(group, digest)
        if sample.split == EVAL:
            reason = reason or "the data set says that it evaluates; the evaluation set is frozen"
        if reason:
            held_back.append((sample, reason))
        else:
            placed.append(Placed(sample, TRAIN, group, digest))
    return placed, held_back


def refuse_empty_side(sides: set[str], images: int, data: DataConfig) -> None:
    """Raises InputError if nothing is left to train on or to evaluate on."""
    for side, other in ((TRAIN, EVAL), (EVAL, TRAIN)):
        if side in sides:
            continue
        if data.split.train:
            way = f"let data.split.{side} name other images"
        elif data.group is not None:
            way = "take another data.split.seed or list data.split.train and data.split.eval"
        else:
            way = (
                "add images, take another data.split.seed, "
                "or list data.split.train and data.split.eval"
            )
        use = "train on" if side == TRAIN else "evaluate on"
        rest = f", all go to {other}" if other in sides else ""
        raise InputError(f"none of the {images} images is left to {use}{rest}: {way}.")


def _group(sample: Sample, pattern: str | None) -> str:
    if pattern is None:
        return sample.group
    match = re.search(pattern, sample.key)
    if match is None or not match.group(1):
        raise InputError(
            f"data.group: {pattern!r} finds no group in the image {sample.key!r}; "
            "change it so that it matches every image."
        )
    return str(match.group(1))


def _sides_by_lists(keys: Sequence[str], split: SplitConfig) -> dict[str, str]:
    sides: dict[str, str] = {}
    for side, entries in ((TRAIN, split.train), (EVAL, split.eval)):
        for entry in entries:
            named = _keys_of(entry, keys)
            if not named:
                example = f", such as {min(keys, key=natural_key)!r}" if keys else ""
                raise InputError(
                    f"data.split.{side}: {entry!r} names no image; give a pattern on the images' "
                    f"names{example}, or a range a..b of them."
                )
            for key in named:
                if sides.setdefault(key, side) != side:
                    raise InputError(
                        f"data.split: the image {key!r} is in both train and eval; "
                        "take it out of one."
                    )
    return sides


def _keys_of(entry: str, keys: Sequence[str]) -> list[str]:
    if ".." in entry:
        first, last = map(natural_key, entry.split("..", 1))
        return [key for key in keys if first <= natural_key(key) <= last]
    return [key for key in keys if key == entry or fnmatchcase(key, entry)]


def _refuse_torn_groups(sides: Mapping[str, str], groups: Mapping[str, str]) -> None:
    first: dict[str, str] = {}
    for key, side in sides.items():
        known = first.setdefault(groups[key], key)
        if sides[known] != side:
            raise InputError(
                f"data.split: the group {groups[key]!r} is on both sides, {known!r} in "
                f"{sides[known]} and {key!r} in {side}; list whole groups."
            )
