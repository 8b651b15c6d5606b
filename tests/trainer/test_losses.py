from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer.losses import Loss, pixel_weights


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
    loss = Loss({"cross_entropy": 1.0})(
        mask, logits, sample_weight=pixel_weights(mask, tf.constant([1.0, 3.0]))
    )
    # Probabilities of the labels are 3/4 and 1/2: (1 * ln(4/3) + 3 * ln 2) / 2.
    assert float(loss) == pytest.approx((math.log(4 / 3) + 3 * math.log(2)) / 2)


def test_dice_by_hand() -> None:
    mask = tf.constant([[[0, 1]], [[1, IGNORE]]], tf.uint8)
    third = math.log(2)  # against 0: probabilities 2/3 and 1/3
    logits = tf.constant([[[[third, 0.0], [0.0, 0.0]]], [[[0.0, third], [9.0, 0.0]]]])
    loss = Loss({"dice": 1.0})(mask, logits, sample_weight=pixel_weights(mask, tf.ones(2)))
    # First image. Class 0: 2 * 2/3 / (1 + 2/3 + 1/2) = 8/13; class 1: 2 * 1/2 / (1 + 1/2 + 1/3) =
    # 6/11; missing (5/13 + 5/11) / 2 = 60/143. Second: class 1 alone is labelled,
    # 2 * 2/3 / (1 + 2/3) = 4/5, missing 1/5. Two of three labelled pixels are the first image's.
    assert float(loss) == pytest.approx(2 / 3 * 60 / 143 + 1 / 3 * 1 / 5)


def test_losses_add_up_by_weight() -> None:
    mask = tf.constant([[[0, 1]]], tf.uint8)
    logits = tf.constant([[[[1.0, 0.0], [0.5, 0.0]]]])
    weights = pixel_weights(mask, tf.ones(2))
    one, other = (
        float(Loss({name: 1.0})(mask, logits, sample_weight=weights))
        for name in ("cross_entropy", "dice")
    )
    both = Loss({"cross_entropy": 1.0, "dice": 0.5})(mask, logits, sample_weight=weights)
    assert float(both) == pytest.approx(one + other / 2)


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_a_batch_without_a_label_has_no_loss_and_no_gradient(name: str) -> None:
    mask = tf.fill([1, 2, 2], tf.constant(IGNORE, tf.uint8))
    logits = tf.Variable(tf.random.stateless_normal([1, 2, 2, 2], [1, 2]))
    with tf.GradientTape() as tape:
        loss = Loss({name: 1.0})(mask, logits, sample_weight=pixel_weights(mask, tf.ones(2)))
    assert float(loss) == 0
    assert not np.any(tape.gradient(loss, logits))


@pytest.mark.parametrize("name", ["cross_entropy", "dice"])
def test_an_ignored_pixel_has_no_part_in_the_loss_or_its_gradient(name: str) -> None:
    mask = tf.constant([[[0, IGNORE]]], tf.uint8)
    weights = pixel_weights(mask, tf.ones(2))
    logits = tf.Variable([[[[1.0, 0.0], [5.0, -5.0]]]])
    with tf.GradientTape() as tape:
        loss = Loss({name: 1.0})(mask, logits, sample_weight=weights)
    gradient = tape.gradient(loss, logits).numpy()
    guess = 1 / (1 + math.exp(-1))
    expected = {"cross_entropy": -math.log(guess), "dice": 1 - 2 * guess / (1 + guess)}
    assert float(loss) == pytest.approx(expected[name])
    assert np.all(gradient[0, 0, 1] == 0)
    assert np.all(gradient[0, 0, 0] != 0)


def test_a_pixel_s_own_weight_multiplies_its_class_s() -> None:
    masks = tf.constant([[[0, 1]], [[IGNORE, 1]]], tf.uint8)
    maps = tf.constant([[[11.0, 1.0]], [[255.0, 6.0]]])
    weights = pixel_weights(masks, tf.constant([1.0, 2.0]), maps)
    # Three labelled pixels: 11 * 1 / 3 and 1 * 2 / 3, nothing where ignored, 6 * 2 / 3.
    assert np.allclose(weights, [[[11 / 3, 2 / 3]], [[0, 4]]])
    # One weight an image: 3 for the first, 1/2 for the second.
    whole = pixel_weights(masks, tf.constant([1.0, 2.0]), tf.constant([[[3.0]], [[0.5]]]))
    assert np.allclose(whole, [[[1, 2]], [[0, 1 / 3]]])


def test_weights_of_one_change_nothing() -> None:
    masks = tf.constant(np.random.default_rng(0).integers(0, 3, (2, 5, 4)), tf.uint8)
    class_weights = tf.constant([0.3, 1.7, 2.9])
    plain = pixel_weights(masks, class_weights)
    assert np.array_equal(pixel_weights(masks, class_weights, tf.ones([2, 5, 4])), plain)
    assert np.array_equal(pixel_weights(masks, class_weights, tf.ones([2, 1, 1])), plain)


def test_cross_entropy_with_a_border_by_hand() -> None:
    mask = tf.constant([[[0, 1, IGNORE]]], tf.uint8)
    logits = tf.constant([[[[math.log(3), 0.0], [0.0, 0.0], [9.0, 0.0]]]])
    maps = tf.constant([[[11.0, 1.0, 11.0]]])
    loss = Loss({"cross_entropy": 1.0})(
        mask, logits, sample_weight=pixel_weights(mask, tf.ones(2), maps)
    )
    # Probabilities of the labels are 3/4, on a border, and 1/2: (11 ln(4/3) + ln 2) / 2.
    assert float(loss) == pytest.approx((11 * math.log(4 / 3) + math.log(2)) / 2)
