"""Cuts images into tiles whose cores cover every pixel once.

Ronneberger, Fischer, Brox: U-Net (https://arxiv.org/abs/1505.04597), figure 2: the overlap-tile
strategy, context mirrored where the image ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.records import IGNORE


def mirror_indices(start: int, stop: int, size: int) -> np.ndarray:
    """Indices of the pixels that stand at `start` to `stop` when an image is mirrored on.

    The border pixel is not repeated, as in `np.pad(mode="reflect")`, at any distance.

    >>> mirror_indices(-2, 5, 3).tolist()
    [2, 1, 0, 1, 2, 1, 0]

    Args:
      start: may be negative.
      stop: may be past `size`.
      size: pixels there are, at least 1.

    Returns:
      int64 [stop - start], each in [0, size).
    """
    if size == 1:
        return np.zeros(stop - start, np.int64)
    period = 2 * (size - 1)
    indices = np.arange(start, stop) % period
    return np.minimum(indices, period - indices)


def grid(height: int, width: int, tile: int) -> list[tuple[int, int]]:
    """(y, x) of the first pixel of each core of `tile` pixels a side, row by row.

    The last core of a row or column goes past the image's end rather than overlap the one before.
    """
    return [(y, x) for y in range(0, height, tile) for x in range(0, width, tile)]


def cut(
    image: np.ndarray, mask: np.ndarray, start: tuple[int, int], tile: int, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """One tile of an image.

    Args:
      image: [H, W, C].
      mask: uint8 [H, W] of class ids.
      start: (y, x) of the core's first pixel.
      tile: side of the core.
      margin: context on each side of the core.

    Returns:
      image [S, S, C] and mask uint8 [S, S], S = tile + 2 * margin; the mask is IGNORE in the
      margin and past the image's end.
    """
    rows, columns = (
        mirror_indices(first - margin, first + tile + margin, size)
        for first, size in zip(start, mask.shape)
    )
    labels = np.full((tile + 2 * margin, tile + 2 * margin), IGNORE, np.uint8)
    y, x = start
    core = mask[y : y + tile, x : x + tile]
    labels[margin : margin + core.shape[0], margin : margin + core.shape[1]] = core
    return image[rows[:, np.newaxis], columns], labels


def tiles(
    image: np.ndarray, mask: np.ndarray, tile: int, margin: int
) -> Iterator[tuple[tuple[int, int], np.ndarray, np.ndarray]]:
    """Each tile of an image: (y, x) of its core, and what `cut` returns."""
    height, width = mask.shape
    for start in grid(height, width, tile):
        yield start, *cut(image, mask, start, tile, margin)
