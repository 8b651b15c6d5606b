"""From the tables of images to what a person should know of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from components.example_validator import comparing
from components.example_validator.config import ChecksConfig
from components.image_example_gen.duplicates import Near

FILE = "checks.json"

_NAMED = 3
# More images than this tell no more of a difference, and take long to shuffle.
_MOST = 5000


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something past its limit.

    Attributes:
      check: its key below `checks`.
      where: the split, or the span.
      value: what was reached.
      limit: what may be.
      stops: whether the run must not go on.
      sentence: for people.
    """

    check: str
    where: str
    value: float
    limit: float
    stops: bool
    sentence: str


class Images:
    """Images of one split of one span.

    Attributes:
      name: how people are told of them.
      table: columns of `image_table.SCHEMA`.
    """

    COLUMNS = (
        "source",
        "split",
        "group",
        "height",
        "width",
        "class_pixels",
        "ignored_pixels",
        "one_colour",
        "pixels",
        "mean",
        "histogram",
    )

    def __init__(self, name: str, table: pa.Table) -> None:
        self.name, self.table = name, table

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> np.ndarray:
        """[N] of a plain column, [N, ...] of one of lists."""
        values = self.table[name].combine_chunks()
        if not pa.types.is_list(values.type):
            return values.to_numpy(zero_copy_only=False)
        return values.flatten().to_numpy().reshape(len(self), -1)

    def sample(self) -> Images:
        """No more images than tell of a difference; the same ones each time."""
        if len(self) <= _MOST:
            return self
        chosen = np.random.default_rng(0).choice(len(self), _MOST, replace=False)
        return Images(self.name, self.table.take(np.sort(chosen)))

    def groups(self, kept: np.ndarray) -> list[str]:
        """The group of each image, or the image itself."""
        pairs = zip(self.table["group"].to_pylist(), self.table["source"].to_pylist(), kept)
        return [group or source for group, source, keep in pairs if keep]


def of_one(images: Images, classes: Sequence[str], checks: ChecksConfig) -> list[Finding]:
    """What is wrong with the images of one split, each looked at alone."""
    if not len(images):
        return []
    pixels = images.column("class_pixels")
    labelled = pixels.sum(axis=1) > 0
    commonest = int(pixels.sum(axis=0).argmax())
    empty = labelled & (pixels[:, commonest] == pixels.sum(axis=1))
    found = []
    for key, which, what in (
        ("empty_masks", empty, f"with nothing but {classes[commonest]}"),
        ("ignored_masks", ~labelled, "without a labelled pixel"),
        ("one_colour", images.column("one_colour").astype(bool), "of one colour"),
        ("copies", _repeated(images.column("pixels")), "with the pixels of another of its images"),
    ):
        share = float(which.mean())
        if share > checks.limit(key):
            sources = images.table["source"].to_pylist()
            named = [source for source, bad in zip(sources, which) if bad]
            found.append(
                _finding(
                    key,
                    images.name,
                    share,
                    checks,
                    f"{images.name} has {len(named)} of {len(images)} images {what}: "
                    f"{_some(named)}",
                )
            )
    return found


def _repeated(values: np.ndarray) -> np.ndarray:
    """Which values have been there before, bool [N]."""
    _, first = np.unique(values.astype(str), return_index=True)
    repeated = np.ones(len(values), bool)
    repeated[first] = False
    return repeated


def of_two(
    new: Images, known: Images, kind: str, classes: Sequence[str], checks: ChecksConfig
) -> list[Finding]:
    """How images differ from others, where they do by more than their limits and by chance.

    Args:
      new: what is judged.
      known: what it is held against.
      kind: `skew` or `drift`.
      classes: by id.
      checks: the limits.
    """
    if not len(new) or not len(known):
        return []
    new, known = new.sample(), known.sample()
    found = []
    for what, explain in (("class", _classes), ("intensity", _intensity), ("size", _size)):
        check = f"{what}_{kind}"
        if check in checks.off:
            continue
        for value, clause in explain(new, known, classes, checks.limit(check)):
            sentence = f"{new.name} differs from {known.name}: {clause}"
            found.append(_finding(check, new.name, value, checks, sentence))
    return found


def of_pairs(pairs: Sequence[Near], checks: ChecksConfig) -> list[Finding]:
    """What looks alike on both sides of the split."""
    if len(pairs) <= checks.limit("near_duplicates"):
        return []
    one = len(pairs) == 1
    first = ", ".join(f"{pair.eval} like {pair.train}" for pair in pairs[:_NAMED])
    more = f" and {len(pairs) - _NAMED} more" if len(pairs) > _NAMED else ""
    sentence = (
        f"{len(pairs)} {'image' if one else 'images'} of eval {'looks' if one else 'look'} like "
        f"one of train: {first}{more}; if they show one scene, give it one group (data.group), or "
        "split by lists (data.split)"
    )
    return [_finding("near_duplicates", "eval", float(len(pairs)), checks, sentence)]


def _finding(key: str, where: str, value: float, checks: ChecksConfig, sentence: str) -> Finding:
    stops = key in checks.stop
    return Finding(key, where, round(value, 4), checks.limit(key), stops, f"{sentence}.")


Differences = Iterator[tuple[float, str]]


def _classes(new: Images, known: Images, classes: Sequence[str], limit: float) -> Differences:
    shares, groups = [], []
    for images in (new, known):
        pixels = images.column("class_pixels").astype(np.float64)
        labelled = pixels.sum(axis=1) > 0
        if not labelled.any():
            return
        shares.append(pixels[labelled] / pixels[labelled].sum(axis=1, keepdims=True))
        groups.append(images.groups(labelled))
    values, chance = comparing.difference(
        shares[0], shares[1], (groups[0], groups[1]), comparing.odds_ratio
    )
    here, there = (values.mean(axis=0) for values in shares)
    # Of two classes one tells of both.
    places = range(1, 2) if len(classes) == 2 else range(len(classes))
    told = [place for place in places if values[place] > max(limit, chance[place])]
    if told:
        clauses = [
            f"{classes[place]} covers {_percent(here[place])} instead of {_percent(there[place])}"
            for place in sorted(told, key=lambda place: -values[place])
        ]
        more = f" and {len(clauses) - _NAMED} classes more" if len(clauses) > _NAMED else ""
        yield float(values[told].max()), ", ".join(clauses[:_NAMED]) + more


def _intensity(new: Images, known: Images, classes: Sequence[str], limit: float) -> Differences:
    del classes
    shares, groups = [], []
    for images in (new, known):
        mean = images.column("mean")
        counts = images.column("histogram").astype(np.float64)
        counts = counts.reshape(*mean.shape, -1)
        shares.append(counts / counts.sum(axis=-1, keepdims=True))
        groups.append(images.groups(np.ones(len(images), bool)))
    values, chance = comparing.difference(
        shares[0], shares[1], (groups[0], groups[1]), comparing.divergence
    )
    told = np.flatnonzero(values > np.maximum(limit, chance))
    if len(told):
        here, there = (images.column("mean").mean(axis=0) for images in (new, known))
        worst = int(told[values[told].argmax()])
        channel = f"channel {worst + 1} has" if len(values) > 1 else "pixels have"
        more = f" (and {len(told) - 1} of {len(values)} channels more)" if len(told) > 1 else ""
        yield (
            float(values[worst]),
            f"{channel} other values, a mean of {here[worst]:.4g} instead of {there[worst]:.4g}"
            + more,
        )


def _size(new: Images, known: Images, classes: Sequence[str], limit: float) -> Differences:
    del classes
    logs, groups = [], []
    for images in (new, known):
        area = images.column("height").astype(np.float64) * images.column("width")
        logs.append(np.log(area)[:, None] / 2)
        groups.append(images.groups(np.ones(len(images), bool)))
    values, chance = comparing.difference(
        logs[0], logs[1], (groups[0], groups[1]), comparing.size_ratio
    )
    if values[0] > max(limit, chance[0]):
        here, there = (np.exp(one.mean()) for one in logs)
        yield float(values[0]), f"images measure {here:.0f} pixels a side instead of {there:.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def write(file: Path, findings: Sequence[Finding]) -> None:
    """Writes them as JSON."""
    file.write_text(json.dumps([dataclasses.asdict(one) for one in findings], indent=1) + "\n")


def read(file: Path) -> list[dict[str, Any]]:
    """What `write` wrote; nothing where an older version wrote none."""
    if not file.is_file():
        return []
    found: list[dict[str, Any]] = json.loads(file.read_text())
    return found
