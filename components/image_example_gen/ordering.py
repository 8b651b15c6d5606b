"""The order of keys that a person expects: frame_2 before frame_10."""

from __future__ import annotations

import re


def natural_key(text: str) -> tuple[tuple[str, int], ...]:
    """A sort key that compares runs of digits as numbers.

    >>> sorted(["f10", "f2", "f1"], key=natural_key)
    ['f1', 'f2', 'f10']
    """
    pairs = re.findall(r"(\D*)(\d*)", text)
    return tuple((word, int(digits) if digits else -1) for word, digits in pairs[:-1])
