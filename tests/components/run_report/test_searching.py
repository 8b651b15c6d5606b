from __future__ import annotations

from typing import Any

import pytest

from components.run_report import page, searching
from components.tuner import trials
from components.tuner.trials import Trial
from tests.components.run_report.conftest import MakeFacts
from tests.components.run_report.test_page import words


def trial(number: int, iou: float | None, **values: Any) -> Trial:
    status: Any = "failed" if iou is None else "completed"
    error = None if iou is not None else "Too <large>."
    named = {key.replace("__", "."): value for key, value in values.items()}
    return Trial(number, named, status, iou, 300, 12.34, error)


TRIALS = [
    trial(2, 0.8, train__learning_rate=0.01, model__name="unet", model__width=8),
    trial(1, 0.6, train__learning_rate=0.0001, model__name="fcn8s", model__alpha=0.25),
    trial(3, 0.2, train__learning_rate=0.001, model__name="unet", model__width=4),
    trial(4, None, train__learning_rate=0.1, model__name="unet", model__width=64),
]


def test_the_best_come_first_and_come_back(tmp_path: Any) -> None:
    trials.write(str(tmp_path), TRIALS[::-1])
    assert trials.read(str(tmp_path)) == TRIALS
    assert trials.read(str(tmp_path / "elsewhere")) == []


def test_a_row_a_trial() -> None:
    assert searching.keys(TRIALS) == [
        "train.learning_rate", "model.name", "model.width", "model.alpha"
    ]  # fmt: skip
    shown = [row["values"] for row in searching.rows(TRIALS)]
    assert shown[:2] == [["0.01", "unet", "8", "–"], ["0.0001", "fcn8s", "–", "0.25"]]


def test_dots_are_shares_of_the_frame() -> None:
    space = {"train.learning_rate": {"min": 1e-4, "max": 1e-2, "scale": "log"}}
    rate, name, width = searching.plots(TRIALS, space)
    assert [plot.title for plot in (rate, name, width)] == ["learning rate", "model", "width"]
    # IoU from 0.2, at the bottom, to 0.8, at the top; rates from 10^-4 to 10^-2, the failed one
    # left out. The best is last.
    assert rate.dots == [
        pytest.approx((50, 100)), pytest.approx((0, 100 / 3)), pytest.approx((100, 0))
    ]  # fmt: skip
    assert rate.best == "0.01"
    # Ticks at 1 and 3 of each decade: log10(3) is 0.477.
    assert rate.x_ticks == [
        ("0.0001", 0), ("0.0003", pytest.approx(23.86, abs=0.01)), ("0.001", 50),
        ("0.003", pytest.approx(73.86, abs=0.01)), ("0.01", 100),
    ]  # fmt: skip
    assert name.x_ticks == [("fcn8s", 25), ("unet", 75)]
    assert [x for x, _ in name.dots] == [75, 25, 75]
    # alpha had one value alone: there is nothing to see. Of width 4 and 8, linearly.
    assert [x for x, _ in width.dots] == [0, 100]


def test_the_page_tells_of_a_search(make_facts: MakeFacts) -> None:
    told = make_facts()
    assert "search for hyperparameters" not in page.render(told)
    text = words(page.render(make_facts(trials=TRIALS)))
    assert "4 short trainings; the training below has the best one's values." in text
    assert "2 0.8000 0.01 unet 8 – 300 12.3" in text
    assert "4 ✗ failed 0.1 unet 64 – 300 12.3" in text
    assert "Trial 4 failed: Too &lt;large&gt;." in text
    told.configuration["tune"] = {"steps": 300, "algorithm": "bayesian"}  # type: ignore[index]
    text = words(page.render(make_facts(trials=TRIALS[:1], configuration=told.configuration)))
    assert "1 short training of up to 300 steps, chosen by Bayesian optimisation" in text
