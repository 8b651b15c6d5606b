"""Losses; a pixel labelled IGNORE has no part in any of them.

Each is summed over what a replica holds. What its pixels count, `pixel_weights`, has been divided
by the labelled pixels of the *global* batch, so the sum over all replicas is the batch's mean,
however its pixels are spread over them; a batch without a labelled pixel has a loss and gradients
of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from components.records import IGNORE
from trainer.config import LossName, TrainConfig

# The gradient of (1 - p)^gamma has no bound at p = 1 where gamma is below 1.
_LEAST_DOUBT = 1e-7


class Loss(keras.losses.Loss):
    """A weighted sum of losses.

    Args:
      parts: the weight of each loss, by name: cross_entropy, dice, focal, tversky, lovasz.
      train: the options of those that have some.
    """

    def __init__(
        self, parts: Mapping[LossName, float], train: TrainConfig | None = None, name: str = "loss"
    ) -> None:
        super().__init__(reduction=keras.losses.Reduction.SUM, name=name)
        self.parts = dict(parts)
        self._functions = _functions(train or TrainConfig())

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
                weight * self._functions[name](ids, logits, sample_weight)
                for name, weight in self.parts.items()
            ]
        )


def _functions(train: TrainConfig) -> dict[LossName, Callable[..., tf.Tensor]]:
    return {
        "cross_entropy": cross_entropy,
        "dice": dice,
        "focal": lambda ids, logits, weights: focal(
            ids, logits, weights, train.focal_gamma, train.focal_alpha
        ),
        "tversky": lambda ids, logits, weights: tversky(
            ids, logits, weights, train.tversky_alpha, train.tversky_beta
        ),
        "lovasz": lambda ids, logits, weights: lovasz(
            ids, logits, weights, train.lovasz_over == "batch"
        ),
    }


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


def focal(
    ids: tf.Tensor,
    logits: tf.Tensor,
    weights: tf.Tensor,
    gamma: float = 2.0,
    alpha: float | None = None,
) -> tf.Tensor:
    """The sum of each pixel's focal loss times its weight: -(1 - p)^gamma log p.

    Lin, Goyal, Girshick, He, Dollár 2017 (https://arxiv.org/abs/1708.02002, section 3), with p the
    softmax's probability of the label. tensorflow-addons has the sigmoid's focal loss, which asks
    of each class by itself whether it is there; the classes here exclude each other, and the
    exported model's probabilities are a softmax's.

    Args:
      ids: int32 [N, H, W], class ids or IGNORE.
      logits: float32 [N, H, W, K].
      weights: float32 [N, H, W], 0 where ignored.
      gamma: 0 is cross-entropy; the higher, the less do pixels count that are right already.
      alpha: factor of every class but the first, the background, whose factor is 1 - alpha.
    """
    counts = ids != IGNORE
    known = tf.where(counts, ids, 0)
    missing = tf.nn.sparse_softmax_cross_entropy_with_logits(known, logits)  # -log p
    doubt = tf.maximum(-tf.math.expm1(-missing), _LEAST_DOUBT)  # 1 - p, without its rounding
    each = doubt**gamma * missing
    if alpha is not None:
        each *= tf.where(known == 0, 1 - alpha, alpha)
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
    overlap, there, guessed = _areas(ids, logits)
    coefficients = tf.math.divide_no_nan(2 * overlap, there + guessed)
    return _of_present(1 - coefficients, there, weights)


def tversky(
    ids: tf.Tensor,
    logits: tf.Tensor,
    weights: tf.Tensor,
    alpha: float = 0.3,
    beta: float = 0.7,
) -> tf.Tensor:
    """How far the soft Tversky index of each image and class is below 1; else as `dice`.

    Salehi, Erdogmus, Gholipour 2017 (https://arxiv.org/abs/1706.05721, section 2.2): t / (t + alpha
    f + beta m) of what was found, t, found falsely, f, and missed, m. With 1/2 and 1/2 it is Dice;
    a higher beta finds more of a rare class and more that is none.

    Args:
      ids: int32 [N, H, W], class ids or IGNORE.
      logits: float32 [N, H, W, K].
      weights: float32 [N, H, W], 0 where ignored.
      alpha: weight of pixels that were called a class and are not.
      beta: weight of pixels of a class that were not called so.
    """
    overlap, there, guessed = _areas(ids, logits)
    wrong = alpha * (guessed - overlap) + beta * (there - overlap)
    return _of_present(1 - tf.math.divide_no_nan(overlap, overlap + wrong), there, weights)


def lovasz(
    ids: tf.Tensor, logits: tf.Tensor, weights: tf.Tensor, over_batch: bool = False
) -> tf.Tensor:
    """The Lovász extension of each class's Jaccard loss, 1 less its IoU: the Lovász-softmax.

    Berman, Triki, Blaschko 2018 (https://arxiv.org/abs/1705.08790, section 3.1, algorithm 1), over
    the classes that have a label. Errors, 1 - p of a class's pixels and p of the others', are
    sorted from the largest; each counts by how much the IoU falls when its pixel is wrong too.

    Args:
      ids: int32 [N, H, W], class ids or IGNORE.
      logits: float32 [N, H, W, K].
      weights: float32 [N, H, W], 0 where ignored; an image counts by the sum of its own.
      over_batch: takes the IoU of the global batch as of one image, in place of each image's; every
        replica then sorts the pixels of all.
    """
    if not over_batch:
        shares = tf.reduce_sum(weights, axis=[1, 2])
        return tf.reduce_sum(_lovasz_of(_rows(ids), _pixels_of(logits)) * shares)
    replicas = tf.distribute.get_replica_context()
    count = replicas.num_replicas_in_sync
    if count > 1:
        ids, logits, weights = (
            tf.ensure_shape(replicas.all_gather(each, 0), [None, *each.shape[1:]])
            for each in (ids, logits, weights)
        )
    # As of one image; its loss comes from every replica, and they are added up.
    found = _lovasz_of(tf.reshape(ids, [1, -1]), _pixels_of(logits[None]))
    return tf.reduce_sum(found) * tf.reduce_sum(weights) / count


def _areas(ids: tf.Tensor, logits: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Of each image and class [N, K]: what is found, labelled, and guessed, in (soft) pixels."""
    counts = tf.cast(ids != IGNORE, tf.float32)[..., None]
    labels = tf.one_hot(ids, logits.shape[-1])  # IGNORE is past the last class: all zeros
    guesses = tf.nn.softmax(logits) * counts
    return (
        tf.reduce_sum(guesses * labels, axis=[1, 2]),
        tf.reduce_sum(labels, axis=[1, 2]),
        tf.reduce_sum(guesses, axis=[1, 2]),
    )


def _of_present(missing: tf.Tensor, there: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The mean over each image's labelled classes, summed over images by their pixels' weights."""
    present = tf.cast(there > 0, tf.float32)
    means = tf.math.divide_no_nan(
        tf.reduce_sum(missing * present, axis=1), tf.reduce_sum(present, axis=1)
    )
    return tf.reduce_sum(means * tf.reduce_sum(weights, axis=[1, 2]))


def _rows(ids: tf.Tensor) -> tf.Tensor:
    """[N, H, W] as [N, P]."""
    return tf.reshape(ids, [tf.shape(ids)[0], -1])


def _pixels_of(logits: tf.Tensor) -> tf.Tensor:
    """[N, ..., K] as [N, P, K]."""
    return tf.reshape(logits, [tf.shape(logits)[0], -1, logits.shape[-1]])


def _lovasz_of(ids: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """The mean over labelled classes of the loss of each row of pixels.

    Args:
      ids: int32 [N, P].
      logits: float32 [N, P, K].

    Returns:
      float32 [N]; 0 where a row has no label.
    """
    labels = tf.transpose(tf.one_hot(ids, logits.shape[-1]), [0, 2, 1])  # [N, K, P]
    guesses = tf.transpose(tf.nn.softmax(logits), [0, 2, 1])
    # Below every error, so that ignored pixels come last; there they change nothing.
    errors = tf.where((ids != IGNORE)[:, None], tf.abs(labels - guesses), -1.0)
    errors, order = tf.math.top_k(errors, k=tf.shape(ids)[1])
    labels = tf.gather(labels, order, axis=2, batch_dims=2)
    others = tf.where(errors >= 0, 1 - labels, 0.0)

    there = tf.reduce_sum(labels, axis=2, keepdims=True)
    kept = there - tf.cumsum(labels, axis=2)
    jaccard = 1 - tf.math.divide_no_nan(kept, there + tf.cumsum(others, axis=2))
    falls = tf.concat([jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]], axis=2)
    each = tf.reduce_sum(errors * tf.stop_gradient(falls), axis=2)

    present = tf.cast(there[..., 0] > 0, tf.float32)
    return tf.math.divide_no_nan(
        tf.reduce_sum(each * present, axis=1), tf.reduce_sum(present, axis=1)
    )


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
