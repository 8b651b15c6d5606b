"""How far a metric would move on other images: bootstrap intervals over images.

Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3: percentile intervals.
Images are drawn and not pixels, because pixels of one image are right and wrong together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from components.evaluation.confusion import iou

RESAMPLES = 1000
LEVEL = 0.95
# Draws held in memory at once: draws x images integers.
_MOST_DRAWN = 10_000_000


class Interval(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


def marginals(confusion: np.ndarray) -> np.ndarray:
    """What IoU needs of a confusion matrix; far less to keep of each image than the matrix.

    Args:
      confusion: integers [..., K, K]; rows are labels, columns predictions.

    Returns:
      int64 [..., 3, K]: pixels called rightly, labelled, and predicted.
    """
    counts = np.asarray(confusion, np.int64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return np.stack([hits, counts.sum(-1), counts.sum(-2)], axis=-2)


def intervals(
    images: np.ndarray,
    classes: Sequence[str],
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of `mean_iou` and each `iou/<class>`.

    Args:
      images: integers [N, 3, K], `marginals` of each image.
      classes: K names.
      resamples: how often N images are drawn with replacement.
      level: share of the draws that an interval holds.
      seed: the same draws for the same seed.

    Returns:
      By metric. A class has an interval where at least half of the draws show it; nothing has one
      where fewer than two images carry labels, for then there is nothing to draw from.
    """
    counts = np.asarray(images, np.int64)
    counts = counts[counts[:, 1].sum(-1) > 0]  # nobody labelled the others: they measure nothing
    if len(counts) < 2:
        return {}
    return _intervals(_draw(counts, resamples, seed), classes, level)


def differences(
    first: np.ndarray,
    second: np.ndarray,
    classes: Sequence[str],
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, Interval]:
    """Percentile intervals of how much higher one model's metrics are than another's.

    Paired: each draw takes the same images for both models, so that what makes an image hard for
    both has no part in the difference (Efron and Tibshirani, section 8.3).

    Args:
      first: integers [N, 3, K], `marginals` of each image under the one model.
      second: the same of the same images, in the same order, under the other.
      classes: K names.
      resamples: how often N images are drawn with replacement.
      level: share of the draws that an interval holds.
      seed: the same draws for the same seed.

    Returns:
      By metric, as `intervals`.

    Raises:
      ValueError: the two are not of the same labels.
    """
    counts = [np.asarray(images, np.int64) for images in (first, second)]
    if not np.array_equal(counts[0][:, 1], counts[1][:, 1]):
        raise ValueError("the two models were not evaluated on the same labels")
    labelled = counts[0][:, 1].sum(-1) > 0
    if labelled.sum() < 2:
        return {}
    drawn = [_draw(images[labelled], resamples, seed) for images in counts]
    return _intervals(drawn[0] - drawn[1], classes, level)


def _draw(counts: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Mean IoU and each class's of every draw, [resamples, 1 + K]; NaN where undefined."""
    n = len(counts)
    generator = np.random.default_rng(seed)
    flat = counts.reshape(n, -1).astype(np.float64)  # exact up to 2**53 pixels
    at_once = max(1, _MOST_DRAWN // n)
    drawn = []
    for first in range(0, resamples, at_once):
        times = generator.multinomial(n, np.full(n, 1 / n), min(at_once, resamples - first))
        drawn.append((times @ flat).reshape(-1, *counts.shape[1:]))
    values = iou(*np.moveaxis(np.concatenate(drawn), 1, 0))
    shown = np.isfinite(values)
    means = np.where(shown, values, 0).sum(1) / np.maximum(shown.sum(1), 1)
    return np.column_stack([means, values])


def _intervals(values: np.ndarray, classes: Sequence[str], level: float) -> dict[str, Interval]:
    found = {}
    for name, column in zip(["mean_iou", *(f"iou/{name}" for name in classes)], values.T):
        defined = column[np.isfinite(column)]
        if 2 * len(defined) >= len(column):
            tail = (1 - level) / 2
            low, high = (float(np.quantile(defined, share)) for share in (tail, 1 - tail))
            found[name] = Interval(low, high)
    return found
