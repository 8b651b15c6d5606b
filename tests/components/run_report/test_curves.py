from __future__ import annotations

import math

import pytest

from components.run_report import curves

HISTORY = [
    {"epoch": 1, "loss": 0.6, "val_loss": 1.0, "mean_iou": 0.5, "val_mean_iou": 0.4},
    {"epoch": 2, "loss": 0.4, "val_loss": 0.2, "mean_iou": 0.7, "val_mean_iou": 0.6},
]
TRAINING = {"history": HISTORY, "steps": 200, "best_step": 200}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.13, 0.52, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        (0, 1600, [0, 500, 1000, 1500, 2000]),
        (0.2, 1.0, [0.2, 0.4, 0.6, 0.8, 1.0]),
        (5.0, 5.0, [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]),
        (0.0, 0.0, [-0.1, -0.05, 0.0, 0.05, 0.1]),
    ],
)
def test_ticks_are_round_and_enclose(low: float, high: float, expected: list[float]) -> None:
    assert curves.ticks(low, high) == pytest.approx(expected)


def test_points_are_shares_of_the_frame() -> None:
    loss, iou = curves.of_training(TRAINING)
    assert (loss.title, iou.title) == ("Loss", "Mean IoU")
    # Of 200 steps, epochs end at 100 and 200. Loss goes from 0.2, at the bottom, to 1, at the top.
    train, evaluated = loss.lines
    assert train.points == [pytest.approx((50, 50)), pytest.approx((100, 75))]
    assert evaluated.points == [pytest.approx((50, 0)), pytest.approx((100, 100))]
    assert train.path() == "50.00,50.00 100.00,75.00"
    assert train.best is None
    assert evaluated.best == pytest.approx((100, 100))
    assert loss.x_ticks == [("0", 0), ("50", 25), ("100", 50), ("150", 75), ("200", 100)]
    assert [label for label, _ in loss.y_ticks] == ["0.2", "0.4", "0.6", "0.8", "1"]
    assert evaluated.last == 0.2


def test_what_is_not_finite_is_left_out() -> None:
    broken = [{**HISTORY[0], "loss": math.nan}, {**HISTORY[1], "val_loss": math.inf}]
    loss, _ = curves.of_training({**TRAINING, "history": broken})
    assert [len(line.points) for line in loss.lines] == [1, 1]
    nothing = [{"epoch": 1, "loss": math.nan, "val_loss": math.nan}]
    assert curves.of_training({**TRAINING, "history": nothing}) == []


def test_no_epoch_at_all() -> None:
    assert curves.of_training({"history": [], "steps": 0, "best_step": 0}) == []
