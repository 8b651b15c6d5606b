"""Each evaluation image by itself: how well it is segmented, and which ones to look at."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from components.evaluation import bootstrap, confusion

progress = logging.getLogger("overtile.progress")

FEW = 0.01
"""An image with a smaller share than this of the labelled pixels that the median image has is not
ranked: a handful of pixels would make it the best or the worst."""

SHOWN = 3
"""Images that are shown of the worst, the median and the best."""

# As many as the Evaluator asks of the model at once.
_BATCH = 8

Key = tuple[int, str]
"""Span and key of a source image."""

Evaluate = Callable[[list[bytes]], np.ndarray]
"""From serialised records to their confusion matrices, int64 [N, K, K]."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """One image, all its tiles together.

    Attributes:
      key: which one.
      marginals: int64 [3, K]; see `bootstrap.marginals`.
    """

    key: Key
    marginals: np.ndarray

    @property
    def labelled(self) -> int:
        """Pixels that count."""
        return int(self.marginals[1].sum())

    @property
    def wrong(self) -> int:
        """Labelled pixels that are called something else."""
        return self.labelled - int(self.marginals[0].sum())

    @property
    def iou(self) -> np.ndarray:
        """IoU of each class, NaN for one that is in neither label nor prediction."""
        return confusion.iou(*self.marginals)

    @property
    def mean_iou(self) -> float:
        """Over the classes that the image's label or prediction has; NaN without any."""
        values = self.iou
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def measure(
    files: Sequence[str], evaluate: Evaluate, classes: int, records: int
) -> tuple[list[Measured], np.ndarray]:
    """Asks the model about every record.

    Args:
      files: TFRecord files of the eval split.
      evaluate: the model's signature of that name.
      classes: K.
      records: how many there are, for whoever waits.

    Returns:
      The images by key, and the confusion matrix of all of them, int64 [K, K].
    """
    spec = {
        "source": tf.io.FixedLenFeature([], tf.string),
        "span": tf.io.FixedLenFeature([], tf.int64),
    }
    total = np.zeros((classes, classes), np.int64)
    found: dict[Key, np.ndarray] = {}
    done = 0
    for batch in tf.data.TFRecordDataset(tf.constant(list(files), tf.string)).batch(_BATCH):
        names = tf.io.parse_example(batch, spec)
        counts = evaluate(list(batch.numpy()))
        total += counts.sum(axis=0)
        for span, source, tile in zip(
            names["span"].numpy(), names["source"].numpy(), bootstrap.marginals(counts)
        ):
            key = int(span), source.decode()
            found[key] = found[key] + tile if key in found else tile
        done += len(counts)
        progress.info("", extra={"what": "tile", "done": done, "total": records})
    return [Measured(key, found[key]) for key in sorted(found)], total


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The images to show, worst first.

    Attributes:
      groups: a title and its images; with few images one group holds them all.
      unlabelled: images in which nothing is labelled.
      few: images with too few labelled pixels to be ranked.
      ranked: how many were ranked.
    """

    groups: list[tuple[str, list[Measured]]]
    unlabelled: int
    few: int
    ranked: int

    def images(self) -> list[Measured]:
        """All that are shown."""
        return [image for _, images in self.groups for image in images]


def choose(measured: Sequence[Measured]) -> Chosen:
    """Ranks images by their own mean IoU and picks the worst, the median and the best."""
    labelled = [image for image in measured if image.labelled]
    enough = FEW * float(np.median([image.labelled for image in labelled])) if labelled else 0.0
    ranked = sorted(
        (image for image in labelled if image.labelled >= enough),
        key=lambda image: (image.mean_iou, image.key),
    )
    if len(ranked) <= 3 * SHOWN:
        groups = [("All images, worst first", ranked)] if ranked else []
    else:
        middle = (len(ranked) - SHOWN) // 2
        groups = [
            ("Worst", ranked[:SHOWN]),
            ("Median", ranked[middle : middle + SHOWN]),
            ("Best", ranked[-SHOWN:]),
        ]
    return Chosen(groups, len(measured) - len(labelled), len(labelled) - len(ranked), len(ranked))
