"""Losses; a pixel labelled IGNORE has no part in any of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from components.records import IGNORE
from trainer.config import LossName


class Loss(keras.losses.Loss):
    """A weighted sum of losses.

    `pixel_weights` has already divided by the labelled pixels of the *global* batch, so the sum
    over all replicas is the batch's mean, however its pixels are spread over them.

    Args:
      parts: the weight of each loss, by name: cross_entropy, dice.
    """

    def __init__(self, parts: Mapping[LossName, float], name: str = "loss") -> None:
        super().__init__(reduction=keras.losses.Reduction.SUM, name=name)
        self.parts = dict(parts)

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        """A scalar float32.

        Args:
          y_true: class ids [N, H, W].
          y_pred: logits [N, H, W, K].
          sample_weight: what `pixel_weights` gave, [N, H, W].
        """
        ids, logits = tf.cast(y_true, tf.int32), tf.cast(y_pred, tf.float32)
        return tf.add_n(
            [
                weight * _FUNCTIONS[name](ids, logits, sample_weight)
                for name, weight in self.parts.items()
            ]
        )


def cross_entropy(ids: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The sum of each pixel's cross-entropy times its weight.

    Args:
      ids: int32 [N, H, W], class ids or IGNORE.
      logits: float32 [N, H, W, K].
      weights: float32 [N, H, W], 0 where ignored.
    """
    counts = ids != IGNORE
    each = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(counts, ids, 0), logits)
    return tf.reduce_sum(tf.where(counts, each, 0.0) * weights)


def dice(ids: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """How far the soft Dice coefficient of each image and class is below 1.

    Drozdzal et al. 2016 (https://arxiv.org/abs/1608.04117, section 2): 2 sum(p g) / sum(p + g) of
    probabilities p and labels g. It moves the border between classes to where the overlap is
    largest, which for a rare class is a probability below one half. A class that an image has no
    label of has no part. Images count by the weight of their pixels, so that the sum over replicas
    is the mean over the global batch; within an image every labelled pixel counts alike, since the
    overlap is to be that of the masks.

    Args:
      ids: int32 [N, H, W], class ids or IGNORE.
      logits: float32 [N, H, W, K].
      weights: float32 [N, H, W], 0 where ignored.
    """
    counts = tf.cast(ids != IGNORE, tf.float32)[..., None]
    labels = tf.one_hot(ids, logits.shape[-1])  # IGNORE is past the last class: all zeros
    guesses = tf.nn.softmax(logits) * counts
    overlap = tf.reduce_sum(guesses * labels, axis=[1, 2])
    there = tf.reduce_sum(labels, axis=[1, 2])
    coefficients = tf.math.divide_no_nan(2 * overlap, there + tf.reduce_sum(guesses, axis=[1, 2]))
    present = tf.cast(there > 0, tf.float32)
    missing = tf.math.divide_no_nan(
        tf.reduce_sum((1 - coefficients) * present, axis=1), tf.reduce_sum(present, axis=1)
    )
    return tf.reduce_sum(missing * tf.reduce_sum(weights, axis=[1, 2]))


_FUNCTIONS: dict[LossName, Callable[..., tf.Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
}


def pixel_weights(
    masks: tf.Tensor, class_weights: tf.Tensor, maps: tf.Tensor | float = 1.0
) -> tf.Tensor:
    """What each pixel of a global batch counts in the loss.

    Ronneberger et al. 2015, equation 2, has a sum of class weight and border term. Here the class
    weight multiplies: with weights of 1 that is the paper's sum, and with others a rare class keeps
    its share along borders too.

    Args:
      masks: uint8 [N, H, W].
      class_weights: float32 [K].
      maps: float32 [N, H, W], or [N, 1, 1] where all pixels of an image count alike: the records'
        own weights.

    Returns:
      float32 [N, H, W]: the class's weight times the pixel's own, divided by the number of labelled
      pixels in the batch, 0 where ignored. All 0 where no pixel is labelled.
    """
    counts = masks != IGNORE
    weights = tf.gather(class_weights, tf.where(counts, tf.cast(masks, tf.int32), 0))
    labelled = tf.reduce_sum(tf.cast(counts, tf.float32))
    return tf.where(counts, weights * maps, 0.0) / tf.maximum(labelled, 1.0)
