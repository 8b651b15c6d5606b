"""Which class each code stands for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from components.evaluation.confusion import iou
from components.records import IGNORE

# Every assignment is tried where there are no more than this.
_MOST_TRIED = 5000
_MOST_SWEEPS = 20


def count(
    coded: Sequence[np.ndarray], labels: Sequence[np.ndarray], number: int, classes: int
) -> np.ndarray:
    """How often a code has a class.

    Args:
      coded: of each image its codes, int [H, W].
      labels: of each image class ids, uint8 [H, W]; IGNORE counts nowhere.
      number: of codes, P.
      classes: K.

    Returns:
      int64 [P, K].
    """
    counts = np.zeros((number, classes), np.int64)
    for code, label in zip(coded, labels):
        counted = label != IGNORE
        cells = code[counted].astype(np.int64) * classes + label[counted]
        counts += np.bincount(cells, minlength=number * classes).reshape(number, classes)
    return counts


def best(counts: np.ndarray) -> np.ndarray:
    """The class of each code for which the mean IoU of the classes that occur is highest.

    The most frequent class of a code, which makes the most pixels right, may leave a rare class
    without any code. Where there are too many assignments to try, one code after another changes
    its class as long as the mean IoU rises, from the most frequent ones on.

    Args:
      counts: int64 [P, K], of `count`.

    Returns:
      uint8 [P].

    Raises:
      ValueError: nothing is counted.
    """
    labels = counts.sum(0)
    present = np.flatnonzero(labels)
    if not len(present):
        raise ValueError("no pixel of the train images is labelled")
    number = len(counts)
    if len(present) ** number <= _MOST_TRIED:
        tried = np.array(list(itertools.product(present, repeat=number)))
        return tried[np.argmax([_mean_iou(counts, ids, present) for ids in tried])].astype(np.uint8)
    ids = present[counts[:, present].argmax(1)]
    reached = _mean_iou(counts, ids, present)
    for _ in range(_MOST_SWEEPS):
        before = reached
        for code in range(number):
            values = []
            for class_id in present:
                changed = ids.copy()
                changed[code] = class_id
                values.append(_mean_iou(counts, changed, present))
            if max(values) > reached:
                reached = max(values)
                ids[code] = present[int(np.argmax(values))]
        if reached == before:
            break
    return ids.astype(np.uint8)


def _mean_iou(counts: np.ndarray, ids: np.ndarray, present: np.ndarray) -> float:
    predicted = np.zeros(counts.shape[1])
    hits = np.zeros(counts.shape[1])
    np.add.at(predicted, ids, counts.sum(1))
    np.add.at(hits, ids, counts[np.arange(len(ids)), ids])
    return float(np.mean(iou(hits, counts.sum(0), predicted)[present]))
