"""Puts the tiles of an image together again, no larger than a page needs it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
import tensorflow as tf

from components import records
from components.records import IGNORE, Layout
from components.run_report.images import Key

SIDE = 640
"""No side of what is shown has more pixels than this."""

Predict = Callable[[np.ndarray], np.ndarray]
"""From an image [H, W, C] to class ids, uint8 [H, W]."""


@dataclasses.dataclass
class Picture:
    """A source image that may be reduced.

    Attributes:
      size: (height, width) of the source image.
      reduction: source pixels a pixel of the arrays, along each side.
      image: [h, w, C] of the layout's dtype, the mean of the source's pixels.
      label, prediction: uint8 [h, w], the class of a source pixel in the middle; IGNORE counts
        nowhere.
    """

    size: tuple[int, int]
    reduction: int
    image: np.ndarray
    label: np.ndarray
    prediction: np.ndarray


class _Canvas:
    """Takes tiles in any order; memory is bounded by `SIDE`."""

    def __init__(self, size: tuple[int, int], channels: int):
        self.size = size
        self.step = max(1, -(-max(size) // SIDE))
        shape = tuple(-(-extent // self.step) for extent in size)
        self.sums = np.zeros((*shape, channels), np.float64)
        self.pixels = np.zeros((*shape, 1), np.int64)
        self.masks = np.full((*shape, 2), IGNORE, np.uint8)

    def add(self, start: tuple[int, int], image: np.ndarray, masks: np.ndarray) -> None:
        """Adds a core: image [H, W, C], and label and prediction [H, W, 2]."""
        edges, places, middles, targets = [], [], [], []
        for first, extent, whole in zip(start, image.shape, self.size):
            blocks = np.arange(first, first + extent) // self.step
            edge = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
            edges.append(edge)
            places.append(blocks[edge])
            # The middle of a block, or of what there is of the last one, lies in just one tile.
            middle = blocks[edge] * self.step
            middle = (middle + np.minimum(middle + self.step, whole) - 1) // 2
            inside = (middle >= first) & (middle < first + extent)
            middles.append(middle[inside] - first)
            targets.append(blocks[edge][inside])
        ones = np.ones((*image.shape[:2], 1), np.int64)
        block = np.ix_(*places)
        for total, values in ((self.sums, image.astype(np.float64)), (self.pixels, ones)):
            rows = np.add.reduceat(values, edges[0], axis=0)
            total[block] += np.add.reduceat(rows, edges[1], axis=1)
        self.masks[np.ix_(*targets)] = masks[np.ix_(*middles)]

    def picture(self, dtype: str) -> Picture:
        """What has come together."""
        mean = self.sums / np.maximum(self.pixels, 1)
        image = (mean if dtype == "float32" else np.rint(mean)).astype(dtype)
        return Picture(self.size, self.step, image, self.masks[..., 0], self.masks[..., 1])


def join(
    files: Sequence[str], keys: Collection[Key], layout: Layout, predict: Predict
) -> dict[Key, Picture]:
    """Reads some images with their labels, and asks the model for their masks, tile by tile.

    Args:
      files: TFRecord files.
      keys: the images that are wanted.
      layout: of the records.
      predict: the model's signature `tensor`.
    """
    canvases: dict[Key, _Canvas] = {}
    for key, record in tiles(files, keys, layout):
        core = record.core
        masks = np.stack([record.mask, predict(record.image)], axis=-1)
        canvas = canvases.setdefault(key, _Canvas(record.source_size, layout.channels))
        canvas.add(record.tile, record.image[core], masks[core])
    return {key: canvas.picture(layout.dtype) for key, canvas in canvases.items()}


def tiles(
    files: Sequence[str], keys: Collection[Key], layout: Layout
) -> Iterator[tuple[Key, records.Record]]:
    """The records of some images, in the files' order.

    Args:
      files: TFRecord files.
      keys: the images that are wanted.
      layout: of the records.
    """
    wanted = set(keys)
    spec = {
        "source": tf.io.FixedLenFeature([], tf.string),
        "span": tf.io.FixedLenFeature([], tf.int64),
        "tile/margin": tf.io.FixedLenFeature([], tf.int64),
    }
    for serialized in tf.data.TFRecordDataset(tf.constant(list(files), tf.string)):
        names = tf.io.parse_single_example(serialized, spec)
        key = int(names["span"]), names["source"].numpy().decode()
        if key not in wanted:
            continue
        parsed = {name: value.numpy() for name, value in records.parse(serialized, layout).items()}
        size = tuple(int(extent) for extent in parsed["source_size"])
        start = tuple(int(place) for place in parsed["tile"])
        yield (
            key,
            records.Record(
                image=parsed["image"],
                mask=parsed["mask"],
                source=key[1],
                source_sha256="",
                source_size=size,  # type: ignore[arg-type]
                tile=start,  # type: ignore[arg-type]
                margin=int(names["tile/margin"]),
            ),
        )
