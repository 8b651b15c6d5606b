"""The curves of several trainings on common axes."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from components.run_report import curves

Point = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
      model: place of its model among those that are compared, for its colour.
      name: of the model.
      points: (x, y) in [0, 100] of the frame, from its upper left corner.
      last: its last value, for those who cannot see it.
      best: where the step lies that was exported; None where that has no value.
    """

    model: int
    name: str
    points: list[Point]
    last: float
    best: Point | None

    def path(self) -> str:
        """The points as an SVG polyline has them."""
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves that share their axes.

    Attributes:
      title: what is measured.
      x_name: against what.
      lines: a curve a model.
      x_ticks, y_ticks: (label, place in [0, 100]) of each tick; of y from the top.
    """

    title: str
    x_name: str
    lines: list[Line]
    x_ticks: list[tuple[str, float]]
    y_ticks: list[tuple[str, float]]


def of_trainings(trainings: Mapping[str, Mapping[str, Any]]) -> list[Chart]:
    """Eval loss and mean IoU against steps, and against time where it is known.

    Args:
      trainings: what `training.json` tells, by the model's name.
    """
    made = [
        _chart(title, x_name, trainings, column, x_of)
        for x_name, x_of in (("training step", step), (_time_name(trainings), _time(trainings)))
        for title, column in (("Mean IoU", "val_mean_iou"), ("Loss", "val_loss"))
    ]
    return [chart for chart in made if chart is not None]


def timed(training: Mapping[str, Any]) -> bool:
    """Whether a training says how long each epoch took; older versions did not."""
    history = training["history"]
    return bool(history) and "seconds" in history[-1]


XOf = Callable[[Mapping[str, Any], Mapping[str, float]], float]
"""From a training and an entry of its history to its place along the axis; NaN if unknown."""


def step(training: Mapping[str, Any], entry: Mapping[str, float]) -> float:
    """The optimizer step at which an entry of a history was written."""
    return entry["epoch"] * curves.steps_per_epoch(training)


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


def _chart(
    title: str,
    x_name: str,
    trainings: Mapping[str, Mapping[str, Any]],
    column: str,
    x_of: XOf,
) -> Chart | None:
    series: list[tuple[int, str, list[Point], Point | None]] = []
    for place, (name, training) in enumerate(trainings.items()):
        points, best = [], None
        for entry in training["history"]:
            point = x_of(training, entry), float(entry.get(column, math.nan))
            if all(map(math.isfinite, point)):
                points.append(point)
                if step(training, entry) == training["best_step"]:
                    best = point
        if points:
            series.append((place, name, points, best))
    if not series:
        return None
    right = max(x for _, _, points, _ in series for x, _ in points)
    values = [y for _, _, points, _ in series for _, y in points]
    x_ticks = curves.ticks(0, right)
    y_ticks = curves.ticks(min(values), max(values))
    low, high = y_ticks[0], y_ticks[-1]

    def place_of(point: Point) -> Point:
        return 100 * point[0] / right, 100 * (high - point[1]) / (high - low)

    return Chart(
        title,
        x_name,
        [
            Line(place, name, [*map(place_of, points)], points[-1][1], best and place_of(best))
            for place, name, points, best in series
        ],
        [(f"{tick:g}", 100 * tick / right) for tick in x_ticks if tick <= right],
        [(f"{tick:.4g}", 100 * (high - tick) / (high - low)) for tick in y_ticks],
    )
