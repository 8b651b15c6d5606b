"""What labels say -> class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from components import tallies
from components.errors import BadFileError
from components.image_example_gen.config import BORDER, COLOUR, DataConfig, Value
from components.image_example_gen.sources.contract import Labels
from components.records import IGNORE

_UNKNOWN = 256
_ITSELF = np.arange(256)
_MOST_NAMED = 5


class Coding(NamedTuple):
    """What values mean; class ids, IGNORE, or 256 for what means nothing.

    Attributes:
      numbers: uint16 [greatest number + 1].
      alike: numbers below it are class ids themselves.
      colours: id by colour, 0xrrggbb.
      names: id by name of a label.
      tolerance: how far each of red, green and blue may be from that of a colour.
      border: pixels inside an object, along its edge, that are labelled `border`.
    """

    numbers: np.ndarray
    colours: Mapping[int, int]
    names: Mapping[str, int]
    tolerance: int = 0
    border: int = 0
    alike: int = 0


def coding(data: DataConfig) -> Coding:
    """What `data.classes` and `data.ignore` say."""
    meant = meanings(data.classes, data.ignore)
    border = data.border_width if data.instances == "border" else 0
    return meant._replace(tolerance=data.tolerance, border=border)


def meanings(classes: Mapping[str, Iterable[Value]], ignore: Iterable[Value]) -> Coding:
    """What values mean.

    Args:
      classes: the values of each class; a class's id is its place.
      ignore: the values that count nowhere.
    """
    ids = {value: place for place, values in enumerate(classes.values()) for value in values}
    ids |= dict.fromkeys(ignore, IGNORE)
    numbers = {value: place for value, place in ids.items() if isinstance(value, int)}
    words = {value: place for value, place in ids.items() if isinstance(value, str)}
    table = np.full(max(numbers, default=0) + 1, _UNKNOWN, np.uint16)
    for value, class_id in numbers.items():
        table[value] = class_id
    colours = {int(w[1:], 16): place for w, place in words.items() if COLOUR.fullmatch(w)}
    alike = int(np.append(table == np.arange(len(table)), False).argmin())
    return Coding(table, colours, words, alike=min(alike, IGNORE))


def to_class_ids(labels: Labels, meant: Coding) -> np.ndarray:
    """Puts class ids in place of what labels say.

    Returns:
      uint8 [H, W]; IGNORE where the value counts nowhere, or the labels do not.

    Raises:
      BadFileError: a value means nothing; names the values and counts their pixels.
    """
    values = labels.values
    if (ids := _common(labels, meant)) is not None:
        return ids
    if values.ndim == 3:
        present, where = np.unique(packed(values), return_inverse=True)
        ids = _nearest(present, meant)[where].reshape(values.shape[:2])
    elif labels.names:
        table = np.array([meant.names.get(name, _UNKNOWN) for name in labels.names], np.uint16)
        ids = table[values]
    else:
        known = (values >= 0) & (values < len(meant.numbers))
        ids = meant.numbers[np.where(known, values, 0)]
        ids[~known] = _UNKNOWN
    if meant.border and labels.instances is not None:
        # What is ignored stays so.
        ids[_along_edges(labels.instances, meant.border) & (ids < IGNORE)] = meant.names[BORDER]
    if labels.region is not None:
        ids[~labels.region] = IGNORE
    unknown = ids == _UNKNOWN
    if unknown.any():
        present = list(histogram(labels._replace(region=unknown)))
        named = ", ".join(map(str, present[:_MOST_NAMED]))
        more = f" and {len(present) - _MOST_NAMED} more" if len(present) > _MOST_NAMED else ""
        pixels = int(unknown.sum())
        raise BadFileError(
            f"unknown label value{'s' if len(present) > 1 else ''} {named}{more} "
            f"({pixels} pixel{'s' if pixels > 1 else ''}){_hint(labels, meant)}"
        )
    return ids.astype(np.uint8)


def _common(labels: Labels, meant: Coding) -> np.ndarray | None:
    """The ids of a mask of bytes whose values all mean something; fast, as most masks are so."""
    values = labels.values
    if values.dtype != np.uint8 or values.ndim != 2 or labels.names or meant.border:
        return None
    if labels.region is not None:
        return None
    # Most masks hold no gaps, so that their greatest value says enough; else counting the values is
    # cheaper than to look each pixel's up once more.
    greatest = values.max(initial=0)
    if greatest < meant.alike:
        return values
    table = np.full(256, _UNKNOWN, np.uint16)
    known = meant.numbers[:256]
    table[: len(known)] = known
    used = np.arange(256) <= greatest
    if (table[used] == _UNKNOWN).any():
        used = tallies.count_values(values) > 0
        if (table[used] == _UNKNOWN).any():
            return None
    if (table == _ITSELF)[used].all():
        return values
    import cv2

    return np.asarray(cv2.LUT(values, table.astype(np.uint8)))


def _hint(labels: Labels, meant: Coding) -> str:
    if labels.values.ndim == 3 and not meant.colours:
        return "; it holds colours, but data.classes names none"
    return ""


def _nearest(present: np.ndarray, meant: Coding) -> np.ndarray:
    """uint16 ids of colours 0xrrggbb: each has that of the nearest known one within tolerance."""
    exact = [meant.colours.get(int(one), _UNKNOWN) for one in present]
    ids = np.array(exact, np.uint16)
    if not meant.tolerance or not meant.colours:
        return ids
    far = np.flatnonzero(ids == _UNKNOWN)
    known = unpacked(np.array(list(meant.colours)))
    known_ids = np.array(list(meant.colours.values()), np.uint16)
    for some in np.array_split(far, 1 + len(far) // _AT_ONCE):
        apart = np.abs(unpacked(present[some])[:, np.newaxis] - known)
        distance = np.square(apart).sum(axis=2)
        distance[apart.max(axis=2) > meant.tolerance] = _NEVER
        best = distance.argmin(axis=1)
        within = distance[np.arange(len(some)), best] < _NEVER
        ids[some[within]] = known_ids[best[within]]
    return ids


# More than the square of the distance of any two colours, 3 * 255**2.
_NEVER = 2**18
# Colours compared at once with all known ones.
_AT_ONCE = 2**14


def _along_edges(instances: np.ndarray, width: int) -> np.ndarray:
    """Where an object has something else within `width` pixels, bool [H, W].

    Diagonal neighbours are neighbours. What lies past the image's end is not something else.
    """
    from scipy import ndimage

    side = 2 * width + 1
    greatest = ndimage.maximum_filter(instances, side, mode="nearest")
    smallest = ndimage.minimum_filter(instances, side, mode="nearest")
    return (instances > 0) & (greatest != smallest)


def histogram(labels: Labels) -> dict[Value, int]:
    """Pixels of each value, where labels count; in the order of the values."""
    values = labels.values if labels.region is None else labels.values[labels.region]
    if labels.values.ndim == 3:
        present, counts = np.unique(packed(values), return_counts=True)
        return {
            f"#{value:06x}": count
            for value, count in zip(present.tolist(), counts.tolist(), strict=True)
        }
    if values.dtype in (np.uint8, np.uint16):
        counted = np.bincount(values.ravel())
        present = np.flatnonzero(counted)
        counts = counted[present]
    else:
        present, counts = np.unique(values, return_counts=True)
    pairs = zip(present.tolist(), counts.tolist(), strict=True)
    if labels.names:
        return {labels.names[value]: count for value, count in pairs}
    return dict(pairs)


def packed(colours: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] -> int32 [...], 0xrrggbb."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def unpacked(colours: np.ndarray) -> np.ndarray:
    """Integers [...], 0xrrggbb -> int32 [..., 3]."""
    return np.stack([colours >> shift & 255 for shift in (16, 8, 0)], axis=-1).astype(np.int32)
