"""Where the points and ticks of a training curve go, in shares of its frame."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

# About as many as can be read beside each other on a phone.
_TICKS = 5


@dataclasses.dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
      name: what it shows, for its legend.
      kind: `train` or `eval`, for its style.
      points: (x, y) in [0, 100] of the frame's width and height, from its upper left corner.
      last: its last value, for those who cannot see it.
    """

    name: str
    kind: str
    points: list[tuple[float, float]]
    last: float

    def path(self) -> str:
        """The points as an SVG polyline has them."""
        return " ".join(f"{x:.2f},{y:.2f}" for x, y in self.points)


@dataclasses.dataclass(frozen=True)
class Chart:
    """Curves that share their axes.

    Attributes:
      title: what is measured.
      lines: the curves.
      x_ticks, y_ticks: (label, place in [0, 100]) of each tick; of y from the top.
      best: (x, y) of the epoch that was exported, on the eval curve; None without one.
    """

    title: str
    lines: list[Line]
    x_ticks: list[tuple[str, float]]
    y_ticks: list[tuple[str, float]]
    best: tuple[float, float] | None


def chart(
    title: str,
    history: Sequence[Mapping[str, float]],
    names: Mapping[str, tuple[str, str]],
    best_step: int,
    steps_per_epoch: int,
) -> Chart | None:
    """Lays out some columns of a training's history.

    Args:
      title: what they measure.
      history: an entry an epoch: `epoch`, counted from 1, and the columns.
      names: each column with its name and its kind.
      best_step: of the epoch that was exported.
      steps_per_epoch: optimizer steps.

    Returns:
      None where no value is finite.
    """
    series = {
        column: [
            (entry["epoch"] * steps_per_epoch, float(entry[column]))
            for entry in history
            if math.isfinite(entry.get(column, math.nan))
        ]
        for column in names
    }
    values = [value for points in series.values() for _, value in points]
    if not values:
        return None
    steps = [entry["epoch"] * steps_per_epoch for entry in history]
    x_ticks = ticks(0, max(steps))
    y_ticks = ticks(min(values), max(values))
    low, high = y_ticks[0], y_ticks[-1]

    def place(point: tuple[float, float]) -> tuple[float, float]:
        return 100 * point[0] / max(steps), 100 * (high - point[1]) / (high - low)

    best: tuple[float, float] | None = None
    for column, (_, kind) in names.items():
        best = next((place(at) for at in series[column] if at[0] == best_step), best)
        if kind == "eval":
            break
    return Chart(
        title,
        [
            Line(name, kind, [place(point) for point in series[column]], series[column][-1][1])
            for column, (name, kind) in names.items()
            if series[column]
        ],
        [(f"{tick:g}", 100 * tick / max(steps)) for tick in x_ticks if tick <= max(steps)],
        [(f"{tick:.4g}", 100 * (high - tick) / (high - low)) for tick in y_ticks],
        best,
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
    history = training["history"]
    if not history:
        return []
    made = [
        chart(
            title,
            history,
            {column: ("train", "train"), f"val_{column}": ("eval", "eval")},
            training["best_step"],
            steps_per_epoch(training),
        )
        for title, column in (("Loss", "loss"), ("Mean IoU", "mean_iou"))
    ]
    return [one for one in made if one is not None]


def steps_per_epoch(training: Mapping[str, Any]) -> int:
    """Optimizer steps between two looks at the eval split."""
    history = training["history"]
    return max(1, round(training["steps"] / history[-1]["epoch"])) if history else 1
