"""What is in the records of a split, from their sums alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.records import Layout

# Records hold pixels, so a batch of them is large though little is read of each.
_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of a split.

    Attributes:
      images: different source images.
      records: tiles.
      class_pixels: labelled pixels of each class, K integers.
      ignored: pixels that count nowhere.
      mean, deviation: of each channel, in the pixels' own unit; of all pixels, ignored ones too.
      smallest, largest: (height, width) of the source image with the fewest and the most pixels.
    """

    images: int
    records: int
    class_pixels: tuple[int, ...]
    ignored: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    smallest: tuple[int, int]
    largest: tuple[int, int]

    def shares(self) -> list[float]:
        """Each class's share of the labelled pixels; 0 where nothing is labelled."""
        total = sum(self.class_pixels)
        return [pixels / total if total else 0.0 for pixels in self.class_pixels]

    def ignored_share(self) -> float:
        """Share of all pixels that count nowhere."""
        total = sum(self.class_pixels) + self.ignored
        return self.ignored / total if total else 0.0


def read(files: Sequence[str], layout: Layout, without: Collection[str] = ()) -> Split:
    """Adds up the records of some TFRecord files.

    Args:
      files: their paths.
      layout: of the records.
      without: sources to leave out.
    """
    classes = len(layout.classes)
    spec = {
        "image/sum": tf.io.FixedLenFeature([layout.channels], tf.float32),
        "image/sum_squares": tf.io.FixedLenFeature([layout.channels], tf.float32),
        "mask/class_pixels": tf.io.FixedLenFeature([classes + 1], tf.int64),
        "source": tf.io.FixedLenFeature([], tf.string),
        "span": tf.io.FixedLenFeature([], tf.int64),
        "source/height": tf.io.FixedLenFeature([], tf.int64),
        "source/width": tf.io.FixedLenFeature([], tf.int64),
    }
    pixels = np.zeros(classes + 1, np.int64)
    sums, squares = np.zeros(layout.channels), np.zeros(layout.channels)
    sizes: dict[Any, tuple[int, int]] = {}
    records = 0
    batches = tf.data.TFRecordDataset(tf.constant(list(files), tf.string)).batch(_BATCH)
    left_out = {source.encode() for source in without}
    for batch in batches.map(lambda batch: tf.io.parse_example(batch, spec)).as_numpy_iterator():
        if left_out:
            kept = np.array([source not in left_out for source in batch["source"]], bool)
            batch = {name: values[kept] for name, values in batch.items()}
        pixels += batch["mask/class_pixels"].sum(axis=0)
        sums += batch["image/sum"].sum(axis=0, dtype=np.float64)
        squares += batch["image/sum_squares"].sum(axis=0, dtype=np.float64)
        records += len(batch["source"])
        for span, source, height, width in zip(
            batch["span"], batch["source"], batch["source/height"], batch["source/width"]
        ):
            sizes[(int(span), source)] = int(height), int(width)
    seen = max(int(pixels.sum()), 1)
    mean = sums / seen
    variance = np.maximum(squares / seen - mean**2, 0)
    by_area = sorted(sizes.values(), key=lambda size: (size[0] * size[1], size)) or [(0, 0)]
    return Split(
        images=len(sizes),
        records=records,
        class_pixels=tuple(int(count) for count in pixels[:-1]),
        ignored=int(pixels[-1]),
        mean=tuple(float(value) for value in mean),
        deviation=tuple(float(value) for value in np.sqrt(variance)),
        smallest=by_area[0],
        largest=by_area[-1],
    )
