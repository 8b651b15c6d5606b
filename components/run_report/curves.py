"""Where the points and ticks of a training curve go, in shares of its frame."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# About as many as can be read beside each other on a phone.
_TICKS = 5


Point = tuple[float, float]


class Series(NamedTuple):
    """What was measured, before it is laid out.

    Attributes:
      name: what it shows, for its legend.
      kind: of its style.
      points: (x, y), all finite.
      best: that of them at which the model was exported; None where none is marked.
    """

    name: str
    kind: str
    points: list[Point]
    best: Point | None


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
      name: what it shows, for its legend.
      kind: of its style.
      points: (x, y) in [0, 100] of the frame's width and height, from its upper left corner.
      last: its last value, for those who cannot see it.
      best: the point to be marked; None without one.
    """

    name: str
    kind: str
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
      lines: the curves.
      x_ticks, y_ticks: (label, place in [0, 100]) of each tick; of y from the top.
    """

    title: str
    x_name: str
    lines: list[Line]
    x_ticks: list[tuple[str, float]]
    y_ticks: list[tuple[str, float]]


def chart(title: str, x_name: str, series: Iterable[Series]) -> Chart | None:
    """Lays out curves on common axes; x begins at zero.

    Args:
      title: what is measured.
      x_name: against what.
      series: of which those without points are left out.

    Returns:
      None where there is no point.
    """
    shown = [one for one in series if one.points]
    if not shown:
        return None
    right = max(x for one in shown for x, _ in one.points)
    values = [y for one in shown for _, y in one.points]
    x_ticks = ticks(0, right)
    y_ticks = ticks(min(values), max(values))
    low, high = y_ticks[0], y_ticks[-1]

    def place(point: Point) -> Point:
        return 100 * point[0] / right, 100 * (high - point[1]) / (high - low)

    return Chart(
        title,
        x_name,
        [
            Line(
                one.name,
                one.kind,
                [*map(place, one.points)],
                one.points[-1][1],
                one.best and place(one.best),
            )
            for one in shown
        ],
        [(f"{tick:g}", 100 * tick / right) for tick in x_ticks if tick <= right],
        [(f"{tick:.4g}", 100 * (high - tick) / (high - low)) for tick in y_ticks],
    )


def ticks(low: float, high: float) -> list[float]:
    """Round numbers that enclose a range, at least two.

    >>> ticks(0.13, 0.52)
    [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    """
    if high <= low:
        reach = abs(low) * 0.1 or 0.1
        low, high = low - reach, high + reach
    rough = (high - low) / _TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    # Rounded, since 3 * 0.1 is not 0.3.
    digits = max(0, 1 - math.floor(math.log10(step)))
    return [round(number * step, digits) for number in range(first, last + 1)]


def of_training(training: Mapping[str, Any]) -> list[Chart]:
    """Loss and mean IoU of what `training.json` tells."""
    made = []
    for title, column in (("Loss", "loss"), ("Mean IoU", "mean_iou")):
        train = series("train", "train", training, column, step)
        evaluated = series("eval", "eval", training, f"val_{column}", step)
        # What was chosen was chosen by the eval split.
        if evaluated.best is not None:
            train = train._replace(best=None)
        made.append(chart(title, "training step", [train, evaluated]))
    return [one for one in made if one is not None]


XOf = Callable[[Mapping[str, Any], Mapping[str, float]], float]
"""From a training and an entry of its history to its place along the axis; NaN if unknown."""


def series(name: str, kind: str, training: Mapping[str, Any], column: str, x_of: XOf) -> Series:
    """A column of a training's history, where it is finite."""
    points, best = [], None
    for entry in training["history"]:
        point = x_of(training, entry), float(entry.get(column, math.nan))
        if all(map(math.isfinite, point)):
            points.append(point)
            if step(training, entry) == training["best_step"]:
                best = point
    return Series(name, kind, points, best)


def step(training: Mapping[str, Any], entry: Mapping[str, float]) -> float:
    """The optimizer step at which an entry of a history was written."""
    return entry["epoch"] * steps_per_epoch(training)


def steps_per_epoch(training: Mapping[str, Any]) -> int:
    """Optimizer steps between two looks at the eval split."""
    history = training["history"]
    return max(1, round(training["steps"] / history[-1]["epoch"])) if history else 1
