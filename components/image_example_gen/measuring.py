"""What is worth knowing of an image without its pixels, found as its records are written.

An image is looked at once, as it is read: whole, or piece by piece. What its records hold anyway,
sums and counts of each tile, is added up.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from components import levels, tfrecord
from components.records import IGNORE, Layout, Record

DIGESTS = 2
"""What changes when the digests of the same pixels do; those of other versions are not compared."""

GRID = (16, 18)
"""Rows and columns of the thumbnail; 2 x 2 cells of it are one of the difference hash's 8 x 9."""

# A grey level of 500 is what the eye does not see; such a thumbnail tells no images apart.
_FLAT = 0.002
# Thumbnails are kept as deviations from their mean, 32 steps a standard deviation.
_STEPS = 32
# Rows and columns of an image that the thumbnail looks at: seven or more a cell.
_SAMPLED = 128
# Pixels of an image whose values are counted: shares of them are then known to a few thousandths.
_COUNTED = 2**15
# Of uint8.
_LEVELS_A_BIN = 8
# Of so many rows one is looked at, at least; then columns are left out as well.
# Odd, so that it is not the same row of each of JPEG's blocks.
_LEFT_OUT = 7


class Measurement:
    """Of one image; `look` at each piece, `add` each record, then ask for its row of `rows`.

    Attributes:
      records: how many were added.
      repeats: how often more than once an epoch of training shows them, in sum.
    """

    def __init__(self, layout: Layout) -> None:
        self.records = self.repeats = 0
        self._layout = layout
        self._digest = hashlib.sha256()
        self._counts = np.zeros((layout.channels, len(levels.values(layout.dtype))), np.int64)
        self._pixels, self._sums = 0, np.zeros((2, layout.channels))
        self._classes = np.zeros(IGNORE + 1, np.int64)
        self._grid, self._covered = np.zeros(GRID), np.zeros(GRID)
        self._colour: np.ndarray | None = None  # of all pixels up to now, if they have one
        self._source: dict[str, Any] = {}  # what the records say of all of it

    def look(self, image: np.ndarray, start: tuple[int, int], size: tuple[int, int]) -> None:
        """Looks at pixels; the same pieces in the same order give the same row.

        Args:
          image: [h, w, C] of the layout's dtype, no pixel of which was in a piece before.
          start: (y, x) of its first pixel.
          size: (height, width) of the whole image.
        """
        if not self._pixels:
            self._digest.update(_beginning(size, image.shape[2], image.dtype))
            self._colour = image[0, 0].copy()
        self._pixels += image.shape[0] * image.shape[1]
        # Cheaper than a hash of every pixel; different images whose pieces agree in 32 bits, and in
        # the sums of values and of their squares, are not to be expected.
        self._digest.update(tfrecord.checksum(np.ascontiguousarray(image)))
        self._counts += levels.count(_sample(image, start, size))
        # A row is looked at first, since few images are of one colour.
        if self._colour is not None:
            alike = (part == self._colour for part in (image[0], image))
            self._colour = self._colour if all(part.all() for part in alike) else None
        self._add_to_grid(image, start, size)

    def add(self, record: Record) -> None:
        """Adds what one tile's record says of its own core."""
        self.records += 1
        self.repeats += record.repeats - 1
        # Not the record itself: it holds the pixels, and many images wait for their rows together.
        self._source = {
            "source": record.source,
            "span": record.span,
            "group": record.group,
            "sha256": record.source_sha256,
            "height": record.source_size[0],
            "width": record.source_size[1],
        }
        self._classes += record.mask_counts
        # One by one, since NumPy takes long to make one array of two.
        for sums, more in zip(self._sums, record.sums):
            sums += more

    def _told(self, split: str) -> dict[str, Any]:
        """The row's columns that are not numbers of pixels."""
        assert self._source, "an image has at least one tile"
        digest = self._digest.copy()
        digest.update(self._sums)
        return {
            **self._source,
            "split": split,
            "pixels": digest.hexdigest()[:32],
            "one_colour": self._colour is not None,
        }

    def _add_to_grid(
        self, image: np.ndarray, start: tuple[int, int], size: tuple[int, int]
    ) -> None:
        step = max(1, min(size) // _SAMPLED)
        # Channel by channel: NumPy is slow to add along so short an axis.
        grey = sum(
            image[::step, ::step, channel].astype(np.float32)
            for channel in range(min(3, image.shape[2]))
        )
        rows, columns, covered = _overlaps(start, image.shape[:2], step, size)
        self._grid += rows @ grey @ columns.T
        self._covered += covered


@functools.lru_cache(maxsize=64)
def _beginning(size: tuple[int, int], channels: int, dtype: np.dtype) -> bytes:
    """What a digest knows of an image beside its pixels."""
    return repr((size, channels, dtype)).encode()


def together(layout: Layout) -> int:
    """How many images `rows` should be asked for at once: so many that they take no memory."""
    counts = layout.channels * len(levels.values(layout.dtype))
    return max(1, min(_MOST_TOGETHER, _MOST_COUNTS // counts))


_MOST_TOGETHER, _MOST_COUNTS = 16, 2**19


def rows(measured: Sequence[Measurement], split: str) -> list[dict[str, Any]]:
    """What `image_table.SCHEMA` names of each image.

    Args:
      measured: of images of one layout; together, since that takes a third of one by one.
      split: that they are in.
    """
    if not measured:
        return []
    layout = measured[0]._layout
    # [N, C] or [N, C, L], N images.
    total, squares = np.stack([one._sums for one in measured], axis=1)
    pixels = np.array([[one._pixels] for one in measured])
    mean = total / pixels
    deviation = np.sqrt(np.maximum(squares / pixels - mean**2, 0))
    counts = np.stack([one._counts for one in measured])
    low, middle, high = np.moveaxis(_percentiles(counts, layout.dtype, (0.01, 0.5, 0.99)), -1, 0)
    classes = np.stack([one._classes for one in measured])
    thumbnails = _thumbnails(np.stack([one._grid / one._covered for one in measured]))
    hashes = difference_hashes(thumbnails)
    columns = {
        "class_pixels": classes[:, : len(layout.classes)],
        "ignored_pixels": classes[:, IGNORE],
        "mean": mean,
        "deviation": deviation,
        "percentile_1": low,
        "median": middle,
        "percentile_99": high,
        "histogram": histogram(counts, layout.dtype).reshape(len(measured), -1),
        "difference_hash": hashes,
    }
    told = [dict(zip(columns, row)) for row in zip(*(one.tolist() for one in columns.values()))]
    return [
        {**one._told(split), **row, "thumbnail": thumbnail.tobytes()}
        for one, row, thumbnail in zip(measured, told, thumbnails)
    ]


def _percentiles(counts: np.ndarray, dtype: str, shares: Sequence[float]) -> np.ndarray:
    """The least level that at least such a share of values does not exceed.

    Args:
      counts: int64 [..., L], as `levels.count` gives them.
      dtype: of the pixels.
      shares: P of them.

    Returns:
      [..., P].
    """
    below = np.cumsum(counts, axis=-1)
    least = np.maximum(1, below[..., -1:] * np.array(shares))
    return levels.values(dtype)[(below[..., np.newaxis, :] >= least[..., np.newaxis]).argmax(-1)]


def _sample(image: np.ndarray, start: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    """Every nth pixel of an image, whichever piece it is in; whole rows while these are few."""
    height, width = size
    every = max(1, height * width // _COUNTED)
    rows, columns = min(every, _LEFT_OUT), max(1, every // _LEFT_OUT)
    y, x = start
    return np.ascontiguousarray(image[-y % rows :: rows, -x % columns :: columns])


def histogram(counts: np.ndarray, dtype: str) -> np.ndarray:
    """Puts levels together into bins that do not depend on the images.

    Args:
      counts: int64 [..., L], as `levels.count` gives them.
      dtype: of the pixels.

    Returns:
      int64 [..., B]. Of uint8 32 bins of 8 values each. Of the others bins that grow with the
      value, since what range is used is not known: of uint16 a quarter of an octave, of float32
      half an octave of either sign.
    """
    if dtype == "uint8":
        return counts.reshape(*counts.shape[:-1], -1, _LEVELS_A_BIN).sum(axis=-1)
    place = bins(dtype)
    summed = np.zeros((*counts.shape[:-1], int(place.max()) + 1), np.int64)
    for where in np.ndindex(counts.shape[:-1]):
        present = np.flatnonzero(counts[where])
        np.add.at(summed[where], place[present], counts[where][present])
    return summed


@functools.cache
def bins(dtype: str) -> np.ndarray:
    """The bin of each level, int64 [L]."""
    level = levels.values(dtype)
    if dtype == "uint8":
        return level // _LEVELS_A_BIN
    magnitude = np.abs(level).astype(np.float64)
    with np.errstate(divide="ignore"):
        octave = np.log2(magnitude)
    if dtype == "uint16":
        return np.where(level > 0, 1 + np.floor(4 * np.where(level > 0, octave, 0)), 0).astype(int)
    half = 1 + np.clip(np.floor(2 * np.where(magnitude > 0, octave, 0)) + 32, 0, 63)
    return np.where(magnitude < 2.0**-16, 0, np.where(level < 0, half + 64, half)).astype(int)


def difference_hashes(thumbnails: np.ndarray) -> np.ndarray:
    """64 bits each, whether each of 8 x 9 cells is brighter than its left neighbour; signed.

    After Neal Krawetz, "Kind of Like That" (2013), where it is called dHash.

    Args:
      thumbnails: int8 [N, *GRID].

    Returns:
      int64 [N].
    """
    cells = thumbnails.astype(np.int64).reshape(-1, 8, 2, 9, 2).sum(axis=(2, 4))
    brighter = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(-1, 64)
    return np.packbits(brighter, axis=1).view(">i8")[:, 0].astype(np.int64)


def _thumbnails(cells: np.ndarray) -> np.ndarray:
    """int8 [N, *GRID], without mean and contrast; all 0 of an image that shows nothing."""
    mean = cells.mean(axis=(1, 2), keepdims=True)
    spread = cells.std(axis=(1, 2), keepdims=True)
    flat = spread <= _FLAT * (np.abs(mean) + spread)
    scaled = np.rint((cells - mean) / np.where(flat, 1, spread) * _STEPS)
    return np.where(flat, 0, np.clip(scaled, -127, 127)).astype(np.int8)


@functools.lru_cache(maxsize=64)
def _overlaps(
    start: tuple[int, int], extent: tuple[int, int], step: int, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How much of each sampled row, column and pixel lies in each row, column and cell of `GRID`.

    Returns:
      float32 [cells, rows], [cells, columns] and float32 `GRID`.
    """
    rows, columns = (
        _overlap(begin, some, step, total, cells)
        for begin, some, total, cells in zip(start, extent, size, GRID)
    )
    return rows, columns, np.outer(rows.sum(axis=1), columns.sum(axis=1))


def _overlap(start: int, extent: int, step: int, total: int, cells: int) -> np.ndarray:
    """How much of each sampled row lies in each cell, float32 [cells, rows]."""
    first = start + np.arange(0, extent, step, dtype=np.float64)
    last = np.minimum(first + step, start + extent)
    edges = np.arange(cells + 1) * (total / cells)
    shared = np.minimum(last, edges[1:, None]) - np.maximum(first, edges[:-1, None])
    return np.maximum(shared, 0).astype(np.float32)
