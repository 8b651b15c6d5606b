from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from tests.trainer.apart import told_by
from trainer.config import LossName, TrainConfig
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


# Every loss, with every option that takes another path.
LOSSES: dict[str, tuple[LossName, dict[str, Any]]] = {
    "cross_entropy": ("cross_entropy", {}),
    "dice": ("dice", {}),
    "focal": ("focal", {}),
    "focal, gamma below 1": ("focal", {"focal_gamma": 0.5, "focal_alpha": 0.25}),
    "tversky": ("tversky", {}),
    "lovasz": ("lovasz", {}),
    "lovasz over the batch": ("lovasz", {"lovasz_over": "batch"}),
}


def made(name: str) -> Loss:
    kind, options = LOSSES[name]
    return Loss({kind: 1.0}, TrainConfig(**options))


@pytest.mark.parametrize("name", LOSSES)
def test_a_batch_without_a_label_has_no_loss_and_no_gradient(name: str) -> None:
    mask = tf.fill([1, 2, 2], tf.constant(IGNORE, tf.uint8))
    logits = tf.Variable(tf.random.stateless_normal([1, 2, 2, 2], [1, 2]))
    with tf.GradientTape() as tape:
        loss = made(name)(mask, logits, sample_weight=pixel_weights(mask, tf.ones(2)))
    assert float(loss) == 0
    assert not np.any(tape.gradient(loss, logits))


@pytest.mark.parametrize("name", LOSSES)
def test_an_ignored_pixel_has_no_part_in_the_loss_or_its_gradient(name: str) -> None:
    mask = tf.constant([[[0, IGNORE]]], tf.uint8)
    weights = pixel_weights(mask, tf.ones(2))
    logits = tf.Variable([[[[1.0, 0.0], [5.0, -5.0]]]])
    with tf.GradientTape() as tape:
        loss = made(name)(mask, logits, sample_weight=weights)
    gradient = tape.gradient(loss, logits).numpy()
    guess = 1 / (1 + math.exp(-1))
    expected = {
        "cross_entropy": -math.log(guess),
        "dice": 1 - 2 * guess / (1 + guess),
        "focal": -((1 - guess) ** 2) * math.log(guess),
        # The first class: 1 - 0.25.
        "focal, gamma below 1": -0.75 * (1 - guess) ** 0.5 * math.log(guess),
        # One pixel has no false ones; 1 - guess of it is missed.
        "tversky": 1 - guess / (guess + 0.7 * (1 - guess)),
        # Of one pixel the error counts in full.
        "lovasz": 1 - guess,
        "lovasz over the batch": 1 - guess,
    }
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


@pytest.mark.parametrize("name", LOSSES)
def test_a_pixel_that_is_certain_has_finite_gradients(name: str) -> None:
    # 1 - p is 0 in float32, where a power below 1 has no finite slope.
    mask = tf.constant([[[0, 1]]], tf.uint8)
    logits = tf.Variable([[[[200.0, 0.0], [0.0, 200.0]]]])
    with tf.GradientTape() as tape:
        loss = made(name)(mask, logits, sample_weight=pixel_weights(mask, tf.ones(2)))
    assert float(loss) == pytest.approx(0, abs=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))


def test_focal_by_hand() -> None:
    mask = tf.constant([[[0, 1]]], tf.uint8)
    logits = tf.constant([[[[math.log(3), 0.0], [0.0, 0.0]]]])
    weights = pixel_weights(mask, tf.constant([1.0, 3.0]))
    plan = TrainConfig(focal_gamma=2, focal_alpha=0.9)
    loss = Loss({"focal": 1.0}, plan)(mask, logits, sample_weight=weights)
    # Probabilities of the labels are 3/4 and 1/2, what is missing squared 1/16 and 1/4. The first
    # class's factor is 0.1 and its weight 1, the second's 0.9 and 3; two pixels.
    expected = (0.1 * math.log(4 / 3) / 16 + 3 * 0.9 * math.log(2) / 4) / 2
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_focal_of_gamma_0_is_cross_entropy() -> None:
    mask = tf.constant(np.random.default_rng(0).integers(0, 3, (2, 4, 4)), tf.uint8)
    logits = tf.random.stateless_normal([2, 4, 4, 3], [1, 2])
    weights = pixel_weights(mask, tf.ones(3))
    focal = Loss({"focal": 1.0}, TrainConfig(focal_gamma=0))(mask, logits, weights)
    assert float(focal) == pytest.approx(float(Loss({"cross_entropy": 1.0})(mask, logits, weights)))


def test_tversky_by_hand() -> None:
    mask = tf.constant([[[0, 1]], [[1, IGNORE]]], tf.uint8)
    third = math.log(2)  # against 0: probabilities 2/3 and 1/3
    logits = tf.constant([[[[third, 0.0], [0.0, 0.0]]], [[[0.0, third], [9.0, 0.0]]]])
    weights = pixel_weights(mask, tf.ones(2))
    plan = TrainConfig(tversky_alpha=0.25, tversky_beta=0.75)
    loss = Loss({"tversky": 1.0}, plan)(mask, logits, sample_weight=weights)
    # First image. Class 0 finds 2/3, falsely 1/2, misses 1/3: 2/3 over 2/3 + 1/8 + 1/4, 16/25.
    # Class 1 finds 1/2, falsely 1/3, misses 1/2: 1/2 over 1/2 + 1/12 + 3/8, 12/23. Second: class 1
    # alone is labelled, finds 2/3, misses 1/3: 2/3 over 2/3 + 1/4, 8/11. Two of three labelled
    # pixels are the first image's.
    expected = 2 / 3 * (9 / 25 + 11 / 23) / 2 + 1 / 3 * 3 / 11
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_tversky_of_two_halves_is_dice() -> None:
    mask = tf.constant(np.random.default_rng(0).choice([0, 1, 2, IGNORE], (2, 4, 4)), tf.uint8)
    logits = tf.random.stateless_normal([2, 4, 4, 3], [1, 2])
    weights = pixel_weights(mask, tf.ones(3))
    plan = TrainConfig(tversky_alpha=0.5, tversky_beta=0.5)
    tversky = Loss({"tversky": 1.0}, plan)(mask, logits, weights)
    assert float(tversky) == pytest.approx(float(Loss({"dice": 1.0})(mask, logits, weights)))


def test_lovasz_by_hand() -> None:
    # Probabilities of class 1: 0.9, 0.6, 0.2 and, ignored, 0.99; labels 1, 0, 1.
    mask = tf.constant([[[1, 0, 1, IGNORE]]], tf.uint8)
    chances = np.array([0.9, 0.6, 0.2, 0.99])
    logits = tf.constant(np.log(np.stack([1 - chances, chances], -1))[None, None], tf.float32)
    weights = pixel_weights(mask, tf.ones(2))
    loss = Loss({"lovasz": 1.0})(mask, logits, sample_weight=weights)
    # The errors are 0.1, 0.6 and 0.8 for both classes; from the largest: the third pixel, the
    # second, the first. Class 1, labelled in the third and first: were the third wrong, the IoU
    # would be 1/2; with the second, 1/3; with all, 0. It falls by 1/2, 1/6 and 1/3:
    # 0.8 / 2 + 0.6 / 6 + 0.1 / 3 = 8/15. Class 0, labelled in the second alone: with the third
    # wrong 1/2, with the second too 0: 0.8 / 2 + 0.6 / 2 = 7/10.
    assert float(loss) == pytest.approx((8 / 15 + 7 / 10) / 2, rel=1e-5)


def test_lovasz_of_certain_answers_is_the_jaccard_loss() -> None:
    mask = tf.constant([[[0, 0, 0, 1]], [[1, 1, 1, 1]]], tf.uint8)
    guess = tf.constant([[[0, 0, 1, 1]], [[1, 1, 0, 0]]])
    logits = 200 * (2 * tf.one_hot(guess, 2) - 1)
    weights = pixel_weights(mask, tf.ones(2))
    # First image: IoU 2/3 of class 0 and 1/2 of class 1. Second: 1/2 of class 1, the one that is
    # labelled. Half of the pixels each: ((1/3 + 1/2) / 2 + 1/2) / 2.
    of_image = Loss({"lovasz": 1.0})(mask, logits, sample_weight=weights)
    assert float(of_image) == pytest.approx((5 / 12 + 1 / 2) / 2)
    # Both as one: class 0 has 2 of 3 + 2, class 1 1 + 2 of 5 + 1.
    over = Loss({"lovasz": 1.0}, TrainConfig(lovasz_over="batch"))
    of_batch = over(mask, logits, sample_weight=weights)
    assert float(of_batch) == pytest.approx((3 / 5 + 1 / 2) / 2)


def test_losses_and_optimizers_are_the_same_on_one_replica_and_on_two() -> None:
    found = told_by("parts_on_replicas")
    assert set(found["losses"]) == set(LOSSES)
    for name, (one, two, gradients) in found["losses"].items():
        # The replicas have 3 and 12 labelled pixels: dividing by each one's own differs by far.
        assert two == pytest.approx(one, rel=1e-5), name
        assert gradients < 1e-6, name
    assert set(found["optimizers"]) == {"adam", "adamw", "sgd", "lamb"}
    for name, (furthest, between_copies) in found["optimizers"].items():
        assert furthest < 1e-6, name
        assert between_copies == 0, name


@pytest.mark.parametrize("name", LOSSES)
def test_descending_a_loss_finds_the_mask(name: str) -> None:
    rng = np.random.default_rng(1)
    mask = tf.constant(rng.choice([0, 1, 2, IGNORE], (2, 5, 5)), tf.uint8)
    weights = pixel_weights(mask, tf.ones(3))
    logits = tf.Variable(rng.normal(size=(2, 5, 5, 3)), dtype=tf.float32)
    loss, optimizer = made(name), tf.keras.optimizers.Adam(0.3)
    for _ in range(40):
        with tf.GradientTape() as tape:
            value = loss(mask, logits, sample_weight=weights)
        optimizer.apply_gradients([(tape.gradient(value, logits), logits)])
    assert float(value) < 0.05
    found, counts = np.argmax(logits, axis=-1), mask.numpy() != IGNORE
    assert np.array_equal(found[counts], mask.numpy()[counts])
