"""What is worth knowing of an image without its pixels, found as its records are written.

An image is looked at once, as it is read: whole, or piece by piece. What its records hold anyway,
sums and counts of each tile, is added up.
"""

from __future__ import annotations

import functools
import hashlib
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
_COUNTED = 2**16
# Of so many rows one is looked at, at least; then columns are left out as well.
_LEFT_OUT = 8


class Measurement:
    """Of one image; `look` at each piece, `add` each record, then ask for the `row`."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._digest = hashlib.sha256()
        self._counts = np.zeros((layout.channels, len(levels.values(layout.dtype))), np.int64)
        self._pixels, self._sums = 0, np.zeros((2, layout.channels))
        self._classes = np.zeros(IGNORE + 1, np.int64)
        self._grid, self._covered = np.zeros(GRID), np.zeros(GRID)
        self._colour: np.ndarray | None = None  # of all pixels up to now, if they have one
        self._record: Record | None = None

    def look(self, image: np.ndarray, start: tuple[int, int], size: tuple[int, int]) -> None:
        """Looks at pixels; the same pieces in the same order give the same row.

        Args:
          image: [h, w, C] of the layout's dtype, no pixel of which was in a piece before.
          start: (y, x) of its first pixel.
          size: (height, width) of the whole image.
        """
        if not self._pixels:
            self._digest.update(repr((size, image.shape[2], image.dtype)).encode())
            self._colour = image[0, 0]
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
        self._record = record
        self._classes += record.mask_counts
        self._sums += record.sums

    def _add_to_grid(
        self, image: np.ndarray, start: tuple[int, int], size: tuple[int, int]
    ) -> None:
        step = max(1, min(size) // _SAMPLED)
        # Channel by channel: NumPy is slow to add along so short an axis.
        grey = sum(
            image[::step, ::step, channel].astype(np.float32)
            for channel in range(min(3, image.shape[2]))
        )
        rows, columns = (
            _overlap(begin, extent, step, total, cells)
            for begin, extent, total, cells in zip(start, image.shape, size, GRID)
        )
        self._grid += rows @ grey @ columns.T
        self._covered += np.outer(rows.sum(axis=1), columns.sum(axis=1))

    def row(self, split: str) -> dict[str, Any]:
        """What `image_table.SCHEMA` names.

        Args:
          split: that the image is in.
        """
        record = self._record
        assert record is not None, "an image has at least one tile"
        level = levels.values(self._layout.dtype)
        total, squares = self._sums
        digest = self._digest.copy()
        digest.update(self._sums)
        mean = total / self._pixels
        deviation = np.sqrt(np.maximum(squares / self._pixels - mean**2, 0))
        below = np.cumsum(self._counts, axis=1)
        least = np.maximum(1, below[0, -1] * np.array([0.01, 0.5, 0.99]))
        low, middle, high = level[(below[:, None] >= least[:, None]).argmax(axis=2)].T
        thumbnail = _thumbnail(self._grid / self._covered)
        return {
            "source": record.source,
            "split": split,
            "span": record.span,
            "group": record.group,
            "sha256": record.source_sha256,
            "pixels": digest.hexdigest()[:32],
            "height": record.source_size[0],
            "width": record.source_size[1],
            "class_pixels": self._classes[: len(self._layout.classes)].tolist(),
            "ignored_pixels": int(self._classes[IGNORE]),
            "one_colour": self._colour is not None,
            "mean": mean.tolist(),
            "deviation": deviation.tolist(),
            "percentile_1": low.tolist(),
            "median": middle.tolist(),
            "percentile_99": high.tolist(),
            "histogram": histogram(self._counts, self._layout.dtype).ravel().tolist(),
            "difference_hash": difference_hash(thumbnail),
            "thumbnail": thumbnail.tobytes(),
        }


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
      counts: int64 [C, L], as `levels.count` gives them.
      dtype: of the pixels.

    Returns:
      int64 [C, B]. Of uint8 32 bins of 8 values each. Of the others bins that grow with the
      value, since what range is used is not known: of uint16 a quarter of an octave, of float32
      half an octave of either sign.
    """
    place = bins(dtype)
    summed = np.zeros((len(counts), int(place.max()) + 1), np.int64)
    for channel, row in enumerate(counts):
        present = np.flatnonzero(row)
        np.add.at(summed[channel], place[present], row[present])
    return summed


@functools.cache
def bins(dtype: str) -> np.ndarray:
    """The bin of each level, int64 [L]."""
    level = levels.values(dtype)
    if dtype == "uint8":
        return level // 8
    magnitude = np.abs(level).astype(np.float64)
    with np.errstate(divide="ignore"):
        octave = np.log2(magnitude)
    if dtype == "uint16":
        return np.where(level > 0, 1 + np.floor(4 * np.where(level > 0, octave, 0)), 0).astype(int)
    half = 1 + np.clip(np.floor(2 * np.where(magnitude > 0, octave, 0)) + 32, 0, 63)
    return np.where(magnitude < 2.0**-16, 0, np.where(level < 0, half + 64, half)).astype(int)


def difference_hash(thumbnail: np.ndarray) -> int:
    """64 bits, whether each of 8 x 9 cells is brighter than its left neighbour; signed.

    After Neal Krawetz, "Kind of Like That" (2013), where it is called dHash.

    Args:
      thumbnail: int8 `GRID`.
    """
    cells = thumbnail.astype(np.int64).reshape(8, 2, 9, 2).sum(axis=(1, 3))
    bits = np.packbits(cells[:, 1:] > cells[:, :-1])
    return int(bits.view(">i8")[0])


def _thumbnail(cells: np.ndarray) -> np.ndarray:
    """int8 `GRID`, without mean and contrast; all 0 of an image that shows nothing."""
    spread = cells.std()
    if spread <= _FLAT * (abs(cells.mean()) + spread):
        return np.zeros(GRID, np.int8)
    scaled = np.rint((cells - cells.mean()) / spread * _STEPS)
    return np.clip(scaled, -127, 127).astype(np.int8)


@functools.lru_cache(maxsize=64)
def _overlap(start: int, extent: int, step: int, total: int, cells: int) -> np.ndarray:
    """How much of each sampled row lies in each cell, float32 [cells, rows]."""
    first = start + np.arange(0, extent, step, dtype=np.float64)
    last = np.minimum(first + step, start + extent)
    edges = np.arange(cells + 1) * (total / cells)
    shared = np.minimum(last, edges[1:, None]) - np.maximum(first, edges[:-1, None])
    return np.maximum(shared, 0).astype(np.float32)
