import numpy as np
import pytest

from components.evaluation.bootstrap import differences, intervals, marginals

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


def test_what_is_hard_for_both_has_no_part_in_a_difference() -> None:
    # Three images of ten dark pixels, of which the first model finds 10, 5, 1 and the second one
    # pixel less each time: the IoU differs by 0.1 whichever images are drawn, though each model's
    # own reaches from 0.1 to 1.
    hits = np.array([10, 5, 1])
    first, second = (
        marginals(np.array([[[found, 10 - found], [0, 0]] for found in hits - fewer]))
        for fewer in (0, 1)
    )
    low, high = intervals(first, CLASSES)["iou/dark"]
    assert high - low > 0.5
    assert differences(first, second, CLASSES)["iou/dark"] == pytest.approx((0.1, 0.1))
    assert differences(second, first, CLASSES)["iou/dark"] == pytest.approx((-0.1, -0.1))


def test_a_difference_is_of_the_same_labels() -> None:
    first = marginals(np.array([[[1, 0], [0, 1]]] * 2))
    with pytest.raises(ValueError, match="not evaluated on the same labels"):
        differences(first, marginals(np.array([[[2, 0], [0, 0]]] * 2)), CLASSES)
    assert differences(first[:1], first[:1], CLASSES) == {}
