"""Metrics of confusion matrices.

Names and formulas follow Long, Shelhamer, Darrell 2015 (https://arxiv.org/abs/1411.4038,
section 5), where n_ij pixels of class i are predicted as class j.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from components.records import IGNORE


def names(classes: Sequence[str]) -> list[str]:
    """The metrics that `metrics` gives, in its order."""
    overall = ["mean_iou", "frequency_weighted_iou", "pixel_accuracy", "mean_accuracy"]
    return overall + [f"{kind}/{name}" for kind in ("iou", "dice") for name in classes]


def metrics(confusion: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Every metric of a confusion matrix.

    Args:
      confusion: integers [K, K]; rows are labels, columns predictions.
      classes: K names.

    Returns:
      By the names of `names`. What is undefined, such as the IoU of a class in neither labels nor
      predictions, is NaN and has no part in a mean.
    """
    # Python's division of counts is exact enough; integers this size have no rounding to lose.
    counts = np.asarray(confusion, np.float64).reshape(len(classes), len(classes))
    hits, labels, predictions = np.diag(counts), counts.sum(1), counts.sum(0)
    overlap = iou(hits, labels, predictions)
    accuracy = _ratio(hits, labels)
    values = [
        _mean(overlap),
        float(_ratio(np.nansum(labels * overlap), labels.sum())),
        float(_ratio(hits.sum(), counts.sum())),
        _mean(accuracy),
        *overlap,
        *_ratio(2 * hits, labels + predictions),
    ]
    return {name: float(value) for name, value in zip(names(classes), values)}


def iou(hits: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Intersection over union, n_ii / (t_i + sum_j n_ji - n_ii); NaN where there is no union.

    Args:
      hits: pixels that are called rightly, of any shape.
      labels: pixels labelled so, of the same shape.
      predictions: pixels predicted so, of the same shape.
    """
    return _ratio(hits, labels + predictions - hits)


def confusion(mask: np.ndarray, prediction: np.ndarray, classes: int) -> np.ndarray:
    """Counts pixels by label and prediction.

    Args:
      mask: class ids; IGNORE counts nowhere.
      prediction: class ids of the same shape.
      classes: number of classes, K.

    Returns:
      int64 [K, K]; rows are labels, columns predictions.
    """
    counted = mask != IGNORE
    cells = mask[counted].astype(np.int64) * classes + prediction[counted]
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    parts, wholes = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)


def _mean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
