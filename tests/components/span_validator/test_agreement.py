from __future__ import annotations

import math

import numpy as np
import pytest

from components.records import IGNORE
from components.span_validator.agreement import (
    Answers,
    Tile,
    accuracy,
    confusion,
    judge,
    kappa,
    own_label_wins,
)


def disc(seed: int, size: int = 16) -> np.ndarray:
    """A disc of one size somewhere."""
    y, x = np.mgrid[:size, :size]
    row, column = np.random.default_rng(seed).uniform(4, 12, 2)
    return ((y - row) ** 2 + (x - column) ** 2 < 9).astype(np.uint8)


def tiles(labels: list[np.ndarray], masks: list[np.ndarray]) -> list[Tile]:
    return [Tile(str(n), *pair) for n, pair in enumerate(zip(labels, masks, strict=True))]


def test_kappa() -> None:
    # 20 + 15 of 50 agree: 0.7. By chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5 would. (0.7 - 0.5) / 0.5
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4)
    assert kappa(np.diag([3, 4, 5])) == pytest.approx(1)
    # Predictions that know nothing of the labels.
    assert kappa(np.outer([90, 10], [80, 20])) == pytest.approx(0)
    assert math.isnan(kappa(np.array([[7, 0], [0, 0]])))
    assert math.isnan(kappa(np.zeros((2, 2), int)))


def test_accuracy() -> None:
    assert accuracy(np.array([[20, 5], [10, 15]])) == pytest.approx(0.7)
    assert math.isnan(accuracy(np.zeros((2, 2), int)))


def test_ignored_pixels_count_nowhere() -> None:
    label = np.array([[0, 1], [IGNORE, 1]], np.uint8)
    mask = np.array([[0, 0], [1, 1]], np.uint8)
    # 0 as 0, 1 as 0, 1 as 1; the fourth pixel is ignored.
    assert confusion(label, mask, 2).tolist() == [[1, 0], [1, 1]]


def test_labels_in_their_places_win() -> None:
    labels = [disc(seed) for seed in range(10)]
    assert own_label_wins(tiles(labels, labels), 2) == 1


def test_mixed_up_labels_win_as_often_as_they_lose() -> None:
    # Each mask's true label is that of the next image. Among all ordered pairs (mask i, label j)
    # label i + 1 beats the own one, and for the others it is a toss-up: about a half.
    labels = [disc(seed) for seed in range(40)]
    mixed = labels[1:] + labels[:1]
    assert own_label_wins(tiles(mixed, labels), 2) == pytest.approx(0.5, abs=0.1)


def test_a_poor_model_still_tells_labels_apart() -> None:
    # It sees a third of each disc's pixels.
    rng = np.random.default_rng(0)
    labels = [disc(seed) for seed in range(20)]
    masks = [(label & (rng.random(label.shape) < 0.33)).astype(np.uint8) for label in labels]
    assert own_label_wins(tiles(labels, masks), 2) > 0.9


def test_too_little_to_tell() -> None:
    labels = [disc(seed) for seed in range(3)]
    assert math.isnan(own_label_wins(tiles(labels, labels), 2))  # three images
    alike = [disc(0)] * 6
    assert math.isnan(own_label_wins(tiles(alike, alike), 2))  # no label differs
    one_image = [Tile("a", label, label) for label in (disc(seed) for seed in range(9))]
    assert math.isnan(own_label_wins(one_image, 2))


def test_tiles_of_other_sizes_are_not_compared() -> None:
    mixed = [disc(seed, size=16 + seed) for seed in range(6)]
    assert math.isnan(own_label_wins(tiles(mixed, mixed), 2))


GOOD = np.array([[80, 5], [5, 10]])
# observed 0.9, chance 0.85 * 0.85 + 0.15 * 0.15 = 0.745: kappa 0.155 / 0.255 = 0.608
RIGHT = tiles([disc(seed) for seed in range(6)], [disc(seed) for seed in range(6)])
MIXED_UP = tiles([disc((seed + 1) % 6) for seed in range(6)], [disc(seed) for seed in range(6)])


def test_a_good_span_is_accepted() -> None:
    judged = judge(Answers(RIGHT, GOOD), Answers(RIGHT, GOOD), 0.5)
    assert judged.accepted
    assert (judged.match, judged.agreement) == (1, pytest.approx(0.608, abs=1e-3))
    # Half of the way from 0.5 to 1, and half of the way from 0 to 0.608.
    assert judged.least_match == 0.75
    assert judged.least_agreement == pytest.approx(0.304, abs=1e-3)


def test_mixed_up_labels_are_refused_though_they_agree_well() -> None:
    # As in a film, whose frames are alike: the agreement is as good as on the evaluation set.
    judged = judge(Answers(MIXED_UP, GOOD), Answers(RIGHT, GOOD), 0.5)
    assert judged.match < 0.75
    assert not judged.accepted


def test_a_model_that_cannot_tell_labels_apart_refuses_none_for_it() -> None:
    judged = judge(Answers(MIXED_UP, GOOD), Answers(MIXED_UP, GOOD), 0.5)
    assert judged.accepted
    assert math.isnan(judged.least_match)


def test_an_evaluation_set_of_few_images_says_nothing_of_the_match() -> None:
    judged = judge(Answers(MIXED_UP, GOOD), Answers(RIGHT[:2], GOOD), 0.4)
    assert judged.least_match == pytest.approx(0.7)  # as if it were 1: 0.5 + 0.4 * 0.5
    assert not judged.accepted


def test_labels_of_other_classes_are_refused() -> None:
    # Class ids exchanged: few pixels agree.
    judged = judge(Answers([], GOOD[::-1]), Answers([], GOOD), 0.5)
    assert not judged.accepted
    assert judged.agreement < 0


def test_a_span_of_background_alone_is_accepted() -> None:
    # A few false pixels: kappa is 0, but 99 % agree, more than on the evaluation set.
    background = np.array([[99, 1], [0, 0]])
    assert kappa(background) == pytest.approx(0)
    assert judge(Answers([], background), Answers([], GOOD), 0.5).accepted


def test_an_evaluation_set_of_one_class_judges_nothing() -> None:
    judged = judge(Answers([], GOOD[::-1]), Answers([], np.array([[9, 0], [0, 0]])), 0.5)
    assert judged.accepted
    assert math.isnan(judged.least_agreement)
