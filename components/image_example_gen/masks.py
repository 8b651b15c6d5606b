"""Mask values -> class ids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from components.errors import BadFileError
from components.records import IGNORE

_UNKNOWN = 256
_MOST_NAMED = 5


def lookup_table(classes: Mapping[str, Iterable[int]], ignore: Iterable[int]) -> np.ndarray:
    """The table from mask values to class ids.

    Args:
      classes: the mask values of each class; a class's id is its place.
      ignore: the mask values that count nowhere.

    Returns:
      uint16 [greatest value + 1]: a class's id, IGNORE, or 256 for a value that means nothing.
    """
    ids = {value: place for place, values in enumerate(classes.values()) for value in values}
    ids |= dict.fromkeys(ignore, IGNORE)
    table = np.full(max(ids, default=0) + 1, _UNKNOWN, np.uint16)
    for value, class_id in ids.items():
        table[value] = class_id
    return table


def to_class_ids(mask: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Puts class ids in place of a mask's values.

    Args:
      mask: [H, W] of integers.
      table: what `lookup_table` returned.

    Returns:
      uint8 [H, W]; IGNORE where the value counts nowhere.

    Raises:
      BadFileError: a value means nothing; names the values and counts their pixels.
    """
    known = (mask >= 0) & (mask < len(table))
    ids = table[np.where(known, mask, 0)]
    ids[~known] = _UNKNOWN
    unknown = ids == _UNKNOWN
    if unknown.any():
        values = np.unique(mask[unknown]).tolist()
        named = ", ".join(map(str, values[:_MOST_NAMED]))
        more = f" and {len(values) - _MOST_NAMED} more" if len(values) > _MOST_NAMED else ""
        pixels = int(unknown.sum())
        raise BadFileError(
            f"unknown label value{'s' if len(values) > 1 else ''} {named}{more} "
            f"({pixels} pixel{'s' if pixels > 1 else ''})"
        )
    return ids.astype(np.uint8)
