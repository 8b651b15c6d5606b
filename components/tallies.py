"""Sums of pixels and counts of mask values, exact and fast: ingestion takes them of every tile."""

from __future__ import annotations

import numpy as np

# OpenCV gives counts as float32, which holds whole numbers up to this.
_EXACT_FLOATS = 2**24
# Values that most masks hold no others of; looking for one takes a sixteenth of counting all 256.
_COMMON = tuple(map(np.uint8, (0, 1, 2, 3, 4, 5, 255)))


def sums(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the values and of their squares, a channel; exact of whole numbers.

    Args:
      pixels: uint8, uint16 or float32 [H, W, C].

    Returns:
      float64 [C] each.
    """
    if pixels.dtype == np.uint8 and pixels.size:
        import cv2

        planes = cv2.split(pixels)
        squares = [cv2.norm(plane, cv2.NORM_L2SQR) for plane in planes]
        # The sum of squares is the square of its rounded root there.
        return np.array([cv2.norm(plane, cv2.NORM_L1) for plane in planes]), np.rint(squares)
    values = pixels.reshape(-1, pixels.shape[2]).astype(np.float64)
    return values.sum(axis=0), np.square(values).sum(axis=0)


def count_values(mask: np.ndarray) -> np.ndarray:
    """Pixels of each value of a uint8 [H, W] mask, int64 [256]."""
    counts, left = np.zeros(256, np.int64), mask.size
    if not left:
        return counts
    import cv2

    same = np.empty(mask.shape, bool)
    for value in _COMMON:
        np.equal(mask, value, out=same)
        counts[value] = found = cv2.countNonZero(same.view(np.uint8))
        left -= found
        if not left:
            return counts
    if mask.size >= _EXACT_FLOATS:
        return np.bincount(mask.ravel(), minlength=256)
    histogram = cv2.calcHist([mask], [0], None, [256], [0, 256])
    return histogram[:, 0].astype(np.int64)
