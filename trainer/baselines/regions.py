"""Regions that grow from seeds."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from trainer.baselines import codes

# How far a pixel may be from its region's seed, in deviations of the image.
_TOLERANCE = 0.5
_LEAST_TOLERANCE = 4
_MOST_SEEDS = 500
# Once no more than this share belongs to no region, it goes to the regions around.
_LEFT = 0.005


def grown(image: np.ndarray) -> np.ndarray:
    """Mean and deviation of the region that each pixel belongs to, float32 [H, W, 6]."""
    return codes.of_segments(image, grow(image))


def grow(image: np.ndarray) -> np.ndarray:
    """Grows regions of connected pixels that resemble their seed.

    After Adams, Bischof, Seeded Region Growing, 1994 (https://doi.org/10.1109/34.295913). Seeds
    are placed where the image is flattest, one after another among the pixels that no region has,
    and a region takes what is connected to its seed and differs from it by at most half a
    deviation of the image in each channel.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int [H, W], counted from 0 without gaps.
    """
    smooth = cv2.GaussianBlur(image, (5, 5), 0)
    height, width = smooth.shape[:2]
    tolerance = (max(_LEAST_TOLERANCE, _TOLERANCE * float(smooth.std())),) * 3
    slopes = [
        np.abs(slope).sum(-1) for slope in np.gradient(smooth.astype(np.float32), axis=(0, 1))
    ]
    order = np.argsort((slopes[0] + slopes[1]).ravel(), kind="stable")
    found = np.full((height, width), -1, np.int64)
    # OpenCV wants a frame of one pixel around the mask, which fences the growing in.
    taken = np.zeros((height + 2, width + 2), np.uint8)
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE | (1 << 8)
    number, left = 0, height * width
    for place in order:
        y, x = divmod(int(place), width)
        if taken[y + 1, x + 1]:
            continue
        if number == _MOST_SEEDS or left <= _LEFT * height * width:
            break
        area, _, _, (x0, y0, w, h) = cv2.floodFill(
            smooth, taken, (x, y), 0, tolerance, tolerance, flags
        )
        part = found[y0 : y0 + h, x0 : x0 + w]
        part[(taken[y0 + 1 : y0 + 1 + h, x0 + 1 : x0 + 1 + w] == 1) & (part < 0)] = number
        number, left = number + 1, left - area
    if left:
        nearest = ndimage.distance_transform_edt(
            found < 0, return_distances=False, return_indices=True
        )
        found = found[tuple(nearest)]
    return found
