"""What is watched while training."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from components.records import IGNORE


def confusion(mask: tf.Tensor, prediction: tf.Tensor, classes: int) -> tf.Tensor:
    """Confusion matrix over the pixels that count.

    Args:
      mask: class ids, any shape; IGNORE counts nowhere.
      prediction: class ids of the same shape.
      classes: number of classes, K.

    Returns:
      int64 [K, K]; rows are labels, columns predictions.
    """
    # int32, as bincount counts: one batch never has 2^31 pixels.
    mask = tf.cast(tf.reshape(mask, [-1]), tf.int32)
    prediction = tf.cast(tf.reshape(prediction, [-1]), tf.int32)
    # Ignored pixels fall into a last bin of their own, which is cut off.
    bins = tf.where(mask == IGNORE, classes * classes, mask * classes + prediction)
    length = classes * classes + 1
    counts = tf.math.bincount(bins, minlength=length, maxlength=length)
    return tf.reshape(tf.cast(counts[:-1], tf.int64), [classes, classes])


class MeanIoU(keras.metrics.Metric):
    """Mean intersection over union of the classes that occur in labels or predictions.

    Keras's own counts in float32, which stops being exact at 2^24 pixels a cell, some 64 images
    of 512 x 512; this one counts in int64.

    >>> metric = MeanIoU(classes=2)
    >>> metric.update_state([[0, 1, 255]], [[[3.0, 0.0], [3.0, 0.0], [0.0, 3.0]]])
    >>> float(metric.result())  # class 0: 1 of 2, class 1: 0 of 1
    0.25
    """

    def __init__(self, classes: int, name: str = "mean_iou", **kwargs: Any) -> None:
        super().__init__(name=name, dtype="int64", **kwargs)
        self.classes = classes
        self.counts = self.add_weight(
            shape=(classes, classes), name="counts", initializer="zeros", dtype="int64"
        )

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Adds class ids `y_true` [N, H, W] and logits `y_pred` [N, H, W, K]."""
        del sample_weight  # a pixel counts once or not at all
        self.counts.assign_add(confusion(y_true, tf.argmax(y_pred, axis=-1), self.classes))

    def result(self) -> tf.Tensor:
        """float64 scalar; 0 before any pixel was counted."""
        counts = tf.cast(self.counts, tf.float64)
        union = tf.reduce_sum(counts, 0) + tf.reduce_sum(counts, 1) - tf.linalg.diag_part(counts)
        iou = tf.math.divide_no_nan(tf.linalg.diag_part(counts), union)
        present = tf.reduce_sum(tf.cast(union > 0, tf.float64))
        return tf.math.divide_no_nan(tf.reduce_sum(iou), present)

    def reset_state(self) -> None:
        """Forgets what was counted."""
        self.counts.assign(tf.zeros_like(self.counts))
