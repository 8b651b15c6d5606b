from __future__ import annotations

import math

import numpy as np
import pytest

from components.evaluation import confusion
from components.records import IGNORE


def test_metrics_by_hand() -> None:
    # Labels: 6 background, 4 cell. Predictions: 5 background (all right), 5 cell (4 right).
    found = confusion.metrics(np.array([[5, 1], [0, 4]]), ["background", "cell"])
    assert found["iou/background"] == pytest.approx(5 / 6)
    assert found["iou/cell"] == pytest.approx(4 / 5)
    assert found["mean_iou"] == pytest.approx((5 / 6 + 4 / 5) / 2)
    assert found["frequency_weighted_iou"] == pytest.approx(0.6 * 5 / 6 + 0.4 * 4 / 5)
    assert found["pixel_accuracy"] == pytest.approx(9 / 10)
    assert found["mean_accuracy"] == pytest.approx((5 / 6 + 1) / 2)
    assert found["dice/background"] == pytest.approx(10 / 11)
    assert found["dice/cell"] == pytest.approx(8 / 9)
    assert list(found) == confusion.names(["background", "cell"])


def test_a_class_that_is_nowhere_has_no_part_in_the_mean() -> None:
    found = confusion.metrics(np.array([[3, 1, 0], [0, 0, 0], [0, 0, 0]]), ["a", "b", "c"])
    # b is predicted once, never right: IoU 0. c is nowhere.
    assert math.isnan(found["iou/c"])
    assert found["mean_iou"] == pytest.approx((3 / 4 + 0) / 2)
    assert found["mean_accuracy"] == pytest.approx(3 / 4)


def test_nothing_labelled_is_nothing_known() -> None:
    assert all(math.isnan(x) for x in confusion.metrics(np.zeros((2, 2)), ["a", "b"]).values())


def test_confusion_counts_labels_by_row_and_leaves_ignore_out() -> None:
    mask = np.array([[0, 0, 1], [1, IGNORE, IGNORE]], np.uint8)
    prediction = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)
    assert confusion.confusion(mask, prediction, 2).tolist() == [[1, 1], [0, 2]]


def test_counts_are_exact_where_float32_is_not() -> None:
    huge = np.array([[2**40, 1], [0, 2**40]], np.int64)
    assert confusion.metrics(huge, ["a", "b"])["pixel_accuracy"] == 2**41 / (2**41 + 1)
