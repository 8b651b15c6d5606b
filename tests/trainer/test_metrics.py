from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer.metrics import MeanIoU, confusion


def test_confusion_by_hand() -> None:
    mask = tf.constant([0, 0, 1, 2, IGNORE], tf.uint8)
    prediction = tf.constant([0, 1, 1, 0, 2], tf.uint8)
    # Rows are labels: 0 was called 0 and 1, 1 was called 1, 2 was called 0; ignore is nowhere.
    assert confusion(mask, prediction, 3).numpy().tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]


def test_mean_iou_by_hand_over_two_updates() -> None:
    metric = MeanIoU(classes=3)
    metric.update_state([[0, 0, 1]], tf.one_hot([[0, 1, 1]], 3))
    metric.update_state([[1, IGNORE, 0]], tf.one_hot([[1, 2, 0]], 3))
    # 0: 2 of 3, 1: 2 of 3; class 2 is only predicted where nothing counts, so it has no IoU.
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric.reset_state()
    assert float(metric.result()) == 0


def test_counts_stay_exact_past_float32() -> None:
    metric = MeanIoU(classes=2)
    metric.counts.assign(tf.constant([[2**24, 0], [0, 1]], tf.int64))
    metric.update_state([[0]], [[[1.0, 0.0]]])
    assert np.array_equal(metric.counts.numpy(), [[2**24 + 1, 0], [0, 1]])
