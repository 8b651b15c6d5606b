"""Losses; a pixel labelled IGNORE has no part in any of them."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from components.records import IGNORE


class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of each pixel, summed with the weights that the input pipeline gives.

    `pixel_weights` has already divided by the labelled pixels of the *global* batch, so the sum
    over all replicas is the batch's mean, however its pixels are spread over them.
    """

    def __init__(self, name: str = "cross_entropy") -> None:
        super().__init__(reduction=keras.losses.Reduction.SUM, name=name)

    def call(self, y_true: Any, y_pred: Any) -> tf.Tensor:
        """Class ids [N, H, W] and logits [N, H, W, K] to float32 [N, H, W], 0 where ignored."""
        ids = tf.cast(y_true, tf.int32)
        counts = ids != IGNORE
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.where(counts, ids, 0), tf.cast(y_pred, tf.float32)
        )
        return tf.where(counts, each, 0.0)


def pixel_weights(masks: tf.Tensor, class_weights: tf.Tensor) -> tf.Tensor:
    """What each pixel of a global batch counts in the loss.

    Args:
      masks: uint8 [N, H, W].
      class_weights: float32 [K].

    Returns:
      float32 [N, H, W]: the class's weight divided by the number of labelled pixels in the batch,
      0 where ignored. All 0 where no pixel is labelled.
    """
    counts = masks != IGNORE
    weights = tf.gather(class_weights, tf.where(counts, tf.cast(masks, tf.int32), 0))
    labelled = tf.reduce_sum(tf.cast(counts, tf.float32))
    return tf.where(counts, weights, 0.0) / tf.maximum(labelled, 1.0)
