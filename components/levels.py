"""How often each value occurs among an image's pixels: exact, and cheap beside decoding them."""

from __future__ import annotations

import functools

import numpy as np

# OpenCV counts in float32, which is exact up to here.
_EXACT = 2**24
# The bits of a float32 that are left out: 6 of its 23 bits of fraction stay, steps of 1.6 %.
_DROPPED = 17


def count(pixels: np.ndarray) -> np.ndarray:
    """Counts the values of each channel.

    Args:
      pixels: uint8, uint16 or finite float32 [H, W, C].

    Returns:
      int64 [C, L], one count a level; `values(pixels.dtype.name)` says what each level is.
    """
    levels = len(values(pixels.dtype.name))
    if pixels.dtype == np.uint8 and 0 < pixels.shape[0] * pixels.shape[1] <= _EXACT:
        import cv2

        counts = [
            cv2.calcHist([pixels], [channel], None, [levels], [0, levels])[:, 0]
            for channel in range(pixels.shape[2])
        ]
        return np.array(counts, np.int64)
    if pixels.dtype == np.float32:
        pixels = _codes(pixels)
    return np.stack(
        [
            np.bincount(pixels[..., channel].ravel(), minlength=levels)
            for channel in range(pixels.shape[2])
        ]
    )


@functools.cache
def values(dtype: str) -> np.ndarray:
    """The value of each level, ascending: int64 of whole numbers, float64 of float32.

    A level of float32 stands for all numbers from its own to the next one.
    """
    if dtype != "float32":
        return np.arange(np.iinfo(dtype).max + 1, dtype=np.int64)
    ordered = (np.arange(2 ** (32 - _DROPPED), dtype=np.uint32) << _DROPPED).astype(np.uint32)
    sign = np.uint32(2**31)
    # Undoes what `_codes` does; codes of negative numbers are inverted.
    bits = np.where(ordered & sign, ordered ^ sign, ~ordered)
    with np.errstate(invalid="ignore"):
        found = bits.astype(np.uint32).view(np.float32).astype(np.float64)
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def _codes(pixels: np.ndarray) -> np.ndarray:
    """float32 -> whole numbers in the same order."""
    bits = np.ascontiguousarray(pixels).view(np.uint32)
    sign = np.uint32(2**31)
    return (np.where(bits & sign, ~bits, bits | sign) >> _DROPPED).astype(np.int64)
