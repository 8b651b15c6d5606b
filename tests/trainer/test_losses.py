from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer.losses import CrossEntropy, pixel_weights


def test_pixel_weights_divide_by_the_labelled_pixels_of_the_batch() -> None:
    masks = tf.constant([[[0, 1]], [[IGNORE, 1]]], tf.uint8)
    weights = pixel_weights(masks, tf.constant([1.0, 2.0]))
    # Three of four pixels are labelled: each counts a third of its class's weight.
    assert np.allclose(weights, [[[1 / 3, 2 / 3]], [[0, 2 / 3]]])


def test_a_batch_without_a_label_weighs_nothing() -> None:
    masks = tf.fill([2, 3, 3], tf.constant(IGNORE, tf.uint8))
    assert not np.any(pixel_weights(masks, tf.constant([1.0, 2.0])))


def test_cross_entropy_by_hand() -> None:
    mask = tf.constant([[[0, 1]]], tf.uint8)
    logits = tf.constant([[[[math.log(3), 0.0], [0.0, 0.0]]]])
    loss = CrossEntropy()(mask, logits, sample_weight=pixel_weights(mask, tf.constant([1.0, 3.0])))
    # Probabilities of the labels are 3/4 and 1/2: (1 * ln(4/3) + 3 * ln 2) / 2.
    assert float(loss) == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 2)


def test_an_ignored_pixel_has_no_part_in_the_loss_or_its_gradient() -> None:
    mask = tf.constant([[[0, IGNORE]]], tf.uint8)
    weights = pixel_weights(mask, tf.ones(2))
    logits = tf.Variable([[[[1.0, 0.0], [5.0, -5.0]]]])
    with tf.GradientTape() as tape:
        loss = CrossEntropy()(mask, logits, sample_weight=weights)
    gradient = tape.gradient(loss, logits).numpy()
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-1)))
    assert np.all(gradient[0, 0, 1] == 0)
    assert np.all(gradient[0, 0, 0] != 0)
