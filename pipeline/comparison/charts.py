"""The curves of several trainings on common axes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from components.run_report import curves
from components.run_report.curves import Chart, XOf, step


def of_trainings(trainings: Mapping[str, Mapping[str, Any]]) -> list[Chart]:
    """Eval loss and mean IoU against steps, and against time where it is known.

    Args:
      trainings: what `training.json` tells, by the model's name.

    Returns:
      Charts whose lines' kind is the place of its model among the trainings.
    """
    made = [
        curves.chart(
            title,
            x_name,
            [
                curves.series(name, str(place), training, column, x_of)
                for place, (name, training) in enumerate(trainings.items())
            ],
        )
        for x_name, x_of in (("training step", step), (_time_name(trainings), _time(trainings)))
        for title, column in (("Mean IoU", "val_mean_iou"), ("Loss", "val_loss"))
    ]
    return [chart for chart in made if chart is not None]


def timed(training: Mapping[str, Any]) -> bool:
    """Whether a training says how long each epoch took; older versions did not."""
    history = training["history"]
    return bool(history) and "seconds" in history[-1]


def _longest(trainings: Mapping[str, Mapping[str, Any]]) -> float:
    ends = [one["history"][-1]["seconds"] for one in trainings.values() if timed(one)]
    return max(ends, default=0.0)


def _time_name(trainings: Mapping[str, Mapping[str, Any]]) -> str:
    return f"{_unit(_longest(trainings))[0]} of training"


def _unit(seconds: float) -> tuple[str, float]:
    if seconds < 180:
        return "seconds", 1.0
    return ("minutes", 60.0) if seconds < 3 * 3600 else ("hours", 3600.0)


def _time(trainings: Mapping[str, Mapping[str, Any]]) -> XOf:
    _, unit = _unit(_longest(trainings))
    return lambda training, entry: entry.get("seconds", math.nan) / unit
