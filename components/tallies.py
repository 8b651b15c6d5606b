"""Sums of pixels and counts of mask values, exact and fast: ingestion takes them of every tile."""

from __future__ import annotations

import numpy as np

# OpenCV gives counts as float32, which holds whole numbers up to this.
_EXACT_FLOATS = 2**24


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
        return np.array([cv2.sumElems(plane)[0] for plane in planes]), np.rint(squares)
    values = pixels.reshape(-1, pixels.shape[2]).astype(np.float64)
    return values.sum(axis=0), np.square(values).sum(axis=0)


def count_values(mask: np.ndarray) -> np.ndarray:
    """Pixels of each value of a uint8 [H, W] mask, int64 [256]."""
    if not 0 < mask.size < _EXACT_FLOATS:
        return np.bincount(mask.ravel(), minlength=256)
    import cv2

    histogram = cv2.calcHist([mask], [0], None, [256], [0, 256])
    return histogram[:, 0].astype(np.int64)
