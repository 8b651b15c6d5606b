"""Cuts images into tiles whose cores cover every pixel once.

Ronneberger, Fischer, Brox: U-Net (https://arxiv.org/abs/1505.04597), figure 2: the overlap-tile
strategy, context mirrored where the image ends.
"""

from __future__ import annotations

import numpy as np


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


def cut_pixels(
    piece: np.ndarray,
    corner: tuple[int, int],
    size: tuple[int, int],
    start: tuple[int, int],
    tile: int,
    margin: int,
) -> np.ndarray:
    """The pixels of one tile, mirrored where the image ends.

    Args:
      piece: [h, w, C], the part of the image that the tile shows, or more of it.
      corner: (y, x) of the piece's first pixel.
      size: (H, W) of the image.
      start: (y, x) of the core's first pixel.
      tile: side of the core.
      margin: context on each side of the core.

    Returns:
      [S, S, C], S = tile + 2 * margin; a view where nothing is mirrored.
    """
    first = tuple(at - margin for at in start)
    last = tuple(at + tile + margin for at in start)
    if min(first) >= 0 and last[0] <= size[0] and last[1] <= size[1]:
        y, x = corner
        return piece[first[0] - y : last[0] - y, first[1] - x : last[1] - x]
    rows, columns = (
        mirror_indices(begin, end, extent) - at
        for begin, end, extent, at in zip(first, last, size, corner)
    )
    return piece[rows[:, np.newaxis], columns]


def cut_labels(
    piece: np.ndarray,
    corner: tuple[int, int],
    start: tuple[int, int],
    tile: int,
    margin: int,
    outside: int,
) -> np.ndarray:
    """What is said of one tile's pixels.

    Args:
      piece: [h, w], the core's values as far as the image goes, or more of them.
      corner: (y, x) of the piece's first pixel in the image.
      start: (y, x) of the core's first pixel.
      tile: side of the core.
      margin: context on each side of the core.
      outside: the value in the margin and past the image's end.

    Returns:
      [S, S] of the piece's dtype, S = tile + 2 * margin; a view where there is nothing outside.
    """
    side = tile + 2 * margin
    y, x = (at - origin for at, origin in zip(start, corner))
    core = piece[y : y + tile, x : x + tile]
    if core.shape == (side, side):
        return core
    labels = np.full((side, side), outside, piece.dtype)
    labels[margin : margin + core.shape[0], margin : margin + core.shape[1]] = core
    return labels
