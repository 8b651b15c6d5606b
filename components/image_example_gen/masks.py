"""What labels say -> class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from components.errors import BadFileError
from components.image_example_gen.config import COLOUR, DataConfig, Value
from components.image_example_gen.sources.contract import Labels
from components.records import IGNORE

_UNKNOWN = 256
_MOST_NAMED = 5


class Coding(NamedTuple):
    """What values mean; class ids, IGNORE, or 256 for what means nothing.

    Attributes:
      numbers: uint16 [greatest number + 1].
      colours: id by colour, 0xrrggbb.
      names: id by name of a label.
    """

    numbers: np.ndarray
    colours: Mapping[int, int]
    names: Mapping[str, int]


def coding(data: DataConfig) -> Coding:
    """What `data.classes` and `data.ignore` say."""
    return meanings(data.classes, data.ignore)


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
    return Coding(table, colours, words)


def to_class_ids(labels: Labels, meant: Coding) -> np.ndarray:
    """Puts class ids in place of what labels say.

    Returns:
      uint8 [H, W]; IGNORE where the value counts nowhere, or the labels do not.

    Raises:
      BadFileError: a value means nothing; names the values and counts their pixels.
    """
    values = labels.values
    if values.ndim == 3:
        packed = _packed(values)
        present, where = np.unique(packed, return_inverse=True)
        ids = np.array([meant.colours.get(int(one), _UNKNOWN) for one in present], np.uint16)
        ids = ids[where].reshape(packed.shape)
    elif labels.names:
        table = np.array([meant.names.get(name, _UNKNOWN) for name in labels.names], np.uint16)
        ids = table[values]
    else:
        known = (values >= 0) & (values < len(meant.numbers))
        ids = meant.numbers[np.where(known, values, 0)]
        ids[~known] = _UNKNOWN
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
            f"({pixels} pixel{'s' if pixels > 1 else ''})"
        )
    return ids.astype(np.uint8)


def histogram(labels: Labels) -> dict[Value, int]:
    """Pixels of each value, where labels count; in the order of the values."""
    values = labels.values if labels.region is None else labels.values[labels.region]
    if labels.values.ndim == 3:
        present, counts = np.unique(_packed(values), return_counts=True)
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


def _packed(colours: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] -> int32 [...], 0xrrggbb."""
    red, green, blue = (colours[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue
