import numpy as np
import pytest

from components.evaluation.bootstrap import intervals, marginals

CLASSES = ["dark", "bright"]


def test_marginals_of_two_images() -> None:
    # Rows are labels. First image: 3 dark ones right, 1 dark called bright, 2 bright ones right.
    first, second = [[3, 1], [0, 2]], [[0, 0], [4, 0]]
    assert marginals(np.array([first, second])).tolist() == [
        [[3, 2], [4, 2], [3, 3]],
        [[0, 0], [0, 4], [4, 0]],
    ]


def test_images_that_are_alike_leave_no_doubt() -> None:
    # Dark: 3 of 4. Bright: 2 of 3. However they are drawn, these are the shares.
    images = marginals(np.array([[[3, 1], [0, 2]]] * 5))
    found = intervals(images, CLASSES)
    assert list(found) == ["mean_iou", "iou/dark", "iou/bright"]
    assert found["iou/dark"] == pytest.approx((3 / 4, 3 / 4))
    assert found["iou/bright"] == pytest.approx((2 / 3, 2 / 3))
    assert found["mean_iou"] == pytest.approx((17 / 24, 17 / 24))


def test_two_images_one_right_and_one_wrong() -> None:
    # Of one image all ten dark pixels are right, of the other none. Two draws give the right one
    # twice (IoU 1), once (10 / 20) or never (0), each end with probability 1/4: 95 % of the draws
    # reach from end to end. 80 % of 1000 draws do as well; 40 % are the middle alone.
    images = marginals(np.array([[[10, 0], [0, 0]], [[0, 10], [0, 0]]]))
    assert intervals(images, CLASSES)["iou/dark"] == (0.0, 1.0)
    assert intervals(images, CLASSES, level=0.4)["iou/dark"] == (0.5, 0.5)


def test_the_same_seed_gives_the_same_interval() -> None:
    generator = np.random.default_rng(3)
    images = marginals(generator.integers(0, 50, (9, 2, 2)))
    assert intervals(images, CLASSES) == intervals(images, CLASSES)
    assert intervals(images, CLASSES) != intervals(images, CLASSES, seed=1)


def test_an_image_without_labels_is_not_drawn() -> None:
    measured = marginals(np.random.default_rng(0).integers(0, 50, (4, 2, 2)))
    nothing = np.zeros((1, 3, 2), np.int64)
    assert intervals(np.concatenate([measured, nothing]), CLASSES) == intervals(measured, CLASSES)


def test_one_image_has_no_interval() -> None:
    assert intervals(marginals(np.array([[[3, 1], [0, 2]]])), CLASSES) == {}


def test_a_class_that_most_draws_lack_has_no_interval() -> None:
    # One of five images shows bright: a draw of five lacks it with probability (4/5)^5 = 0.33, so
    # two thirds show it. One of two hundred: (199/200)^200 = 0.37. Never: no interval.
    dark, bright = [[5, 0], [0, 0]], [[5, 0], [1, 1]]
    assert "iou/bright" in intervals(marginals(np.array([dark] * 4 + [bright])), CLASSES)
    assert "iou/bright" not in intervals(marginals(np.array([dark] * 5)), CLASSES)


def test_draws_in_portions_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.evaluation.bootstrap._MOST_DRAWN", 7)
    images = marginals(np.array([[[10, 0], [0, 0]], [[0, 10], [0, 0]]]))
    assert intervals(images, CLASSES)["iou/dark"] == (0.0, 1.0)
