"""How a data set's masks are coded, and what speaks for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from components.image_example_gen.config import DataConfig, Value
from components.image_example_gen.masks import unpacked
from components.records import EVAL, SPLITS, TRAIN
from pipeline.survey import Survey

_MOST_COLOURS = 64
_LEAST_PEAK = 0.001
_CLOSE = 16
_ANY = 255
# A colour between two others is one of its own only if it is about as frequent.
_WEAK = 0.2
_MOSTLY = 0.8
_AT_EDGES, _AREA, _PARTED = 0.95, 0.5, 0.6


@dataclasses.dataclass(frozen=True)
class Colours:
    """The colours that mean something.

    Attributes:
      values: as #rrggbb, in the order of their numbers.
      tolerance: within which the others are one of them.
    """

    values: tuple[str, ...]
    tolerance: int


def holds_colours(values: Mapping[Value, int]) -> bool:
    """Whether some masks hold colours."""
    return any(isinstance(value, str) and value.startswith("#") for value in values)


def objects(seen: Survey) -> bool:
    """Whether the masks tell objects apart by numbers or colours, and do not name classes.

    Nearly each mask has each of its numbers in one connected piece. Of classes some are in several.
    """
    numbered, could = seen.numbered
    if 2 * seen.lossy > len(seen.keys):
        return False
    return could > 0 and numbered >= _MOSTLY * could and 2 * could >= len(seen.keys)


def colours_of(values: Mapping[Value, int], lossy: bool) -> Colours:
    """The colours that others scatter around.

    Args:
      values: pixels of each colour.
      lossy: the masks are JPEG, so that between two colours any other may be.
    """
    names = [str(value) for value in values]
    counts = np.array(list(values.values()), np.int64)
    points = unpacked(np.array([int(name[1:], 16) for name in names]))
    smeared = lossy or len(names) > _MOST_COLOURS
    left = np.ones(len(names), bool)
    peaks: list[int] = []
    for place in np.argsort(-counts, kind="stable"):
        if not left[place]:
            continue
        if smeared and counts[place] < _LEAST_PEAK * counts.sum():
            break
        if smeared and _is_smear(points, counts, place, peaks):
            continue
        near = np.abs(points - points[place]).max(axis=1) <= (_CLOSE * (3 if smeared else 1))
        left &= ~near
        peaks.append(int(place))
    chosen = tuple(sorted(names[place] for place in peaks))
    if smeared:
        return Colours(chosen, _ANY)
    return Colours(chosen, _CLOSE if len(peaks) < len(names) else 0)


def _is_smear(points: np.ndarray, counts: np.ndarray, place: int, peaks: list[int]) -> bool:
    """Whether a colour lies about midway of two much more frequent ones, as smears do."""
    point = points[place]
    for first, peak in enumerate(peaks):
        for other in peaks[first + 1 :]:
            if counts[place] >= _WEAK * min(counts[peak], counts[other]):
                continue
            way = (points[other] - points[peak]).astype(float)
            along = float(np.clip((point - points[peak]) @ way / (way @ way), 0, 1))
            if np.abs(points[peak] + along * way - point).max() <= 2 * _CLOSE:
                return True
    return False


def inverted(seen: Survey, values: tuple[Value, ...]) -> bool:
    """Whether values that are greater, so taken for the object, are rather the background.

    What is looked at seldom fills all of a picture's edge; and where there are several objects, the
    background around them is in one piece.
    """
    if _share(seen.values, values) <= _AREA:
        return False
    at_edges = _share(seen.at_edges, values)
    dark, bright = seen.largest
    parted = at_edges >= _MOSTLY and bright >= _MOSTLY and dark <= _PARTED
    return at_edges >= _AT_EDGES or parted


def _share(counted: Mapping[Value, int], values: tuple[Value, ...]) -> float:
    total = sum(counted.values())
    return sum(counted.get(value, 0) for value in values) / total if total else 0.0


def edge_share(seen: Survey, values: tuple[Value, ...]) -> float:
    """Share of the pixels at the masks' edges that have these values."""
    return _share(seen.at_edges, values)


def evidence(seen: Survey, meant: Any, proposed: DataConfig) -> list[str]:
    """What the masks' coding was taken from, a sentence each.

    Args:
      seen: what the files hold.
      meant: a `guessing.Meaning`.
      proposed: by it.
    """
    masks, values = len(seen.keys), len(seen.values)
    sentences = []
    if seen.stored:
        kinds = ", ".join(f"{kind} ({count})" for kind, count in seen.stored.most_common())
        sentences.append(f"Stored as {kinds}.")
    files = sum(1 + len(sample.further) for sample in seen.listing.samples)
    if proposed.mask_per == "object":
        sentences.append(
            f"{files} files of masks for {len(seen.listing.samples)} images: one an object, merged."
        )
    if proposed.regions:
        sentences.append(
            f"{proposed.regions} is one plain shape, hardly changing from image to image, beside "
            f"finer masks: labels count where it is not black."
        )
    splits = dict.fromkeys(SPLITS, 0)
    for sample in seen.listing.samples:
        if sample.split:
            splits[sample.split] += 1
    if any(splits.values()):
        sentences.append(
            f"The data set is split already: {splits[TRAIN]} images train, {splits[EVAL]} evaluate."
        )
    sentences.append(_of_values(seen, meant, proposed, masks, values))
    if meant.inverted:
        background = next(iter(proposed.classes.values()))
        sentences.append(
            f"Inverted: what is bright covers {100 * edge_share(seen, background):.0f} % of the "
            f"pictures' edges and {100 * _share(seen.values, background):.0f} % of all pixels"
            f"{_in_one_piece(seen)}, so it is taken for the background."
        )
    return sentences


def _in_one_piece(seen: Survey) -> str:
    dark, bright = seen.largest
    if dark > _PARTED:
        return ""
    return f", and {100 * bright:.0f} % of it is in one piece (of what is dark, {100 * dark:.0f} %)"


def _of_values(seen: Survey, meant: Any, proposed: DataConfig, masks: int, values: int) -> str:
    if proposed.coding == "colours":
        kinds = (
            "palettes' colours too, since other masks hold no numbers"
            if any("palette" in kind for kind in seen.stored)
            else "each a class"
        )
        named = f"; names from {meant.names_from.name}" if meant.names_from else ""
        text = f"{values} colours in {masks} masks; {kinds}{named}."
        if meant.tolerance:
            text += f" Those within {meant.tolerance} of one are taken for it."
        return text
    if proposed.coding == "objects":
        numbered, could = seen.numbered
        return (
            f"{values} values in {masks} masks, which number objects: in {numbered} of {could} "
            "masks each is one connected piece."
        )
    if meant.smeared:
        return (
            f"{values} values in {masks} masks, scattered around {len(meant.classes)}: each class "
            "takes the nearest."
        )
    listed = ", ".join(str(value) for value in sorted(seen.values, key=str)[:8])
    more = f" and {values - 8} more" if values > 8 else ""
    named = f"; names from {meant.names_from.name}" if meant.names_from else ""
    return f"{values} values in {masks} masks: {listed}{more}{named}."
