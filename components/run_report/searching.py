"""The trials of a search for hyperparameters, as a table and as plots."""

from __future__ import annotations

import dataclasses
import json
import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from components.run_report import curves, words
from components.tuner.trials import Trial

# A range over more than this factor is told apart on a logarithmic axis alone.
_WIDE = 30.0
# Letters of a label below a plot, and of all in one line, on a phone.
_LONGEST, _MOST_LETTERS = 22, 42


@dataclasses.dataclass(frozen=True)
class Plot:
    """Mean IoU against one hyperparameter.

    Attributes:
      title: the hyperparameter.
      dots: (x, y) of each trial in [0, 100] of the frame's width and height, from its upper left
        corner; the best trial last, so that it lies on top.
      x_ticks, y_ticks: (label, place in [0, 100]) of each tick; of y from the top.
      best: its value, for those who cannot see it.
      is_wide: whether the labels below stand in each other's way in one line.
    """

    title: str
    dots: list[tuple[float, float]]
    x_ticks: list[tuple[str, float]]
    y_ticks: list[tuple[str, float]]
    best: str
    is_wide: bool = False


def keys(trials: Sequence[Trial]) -> list[str]:
    """What was searched, in the order of the first trial that has it."""
    return list(dict.fromkeys(key for trial in trials for key in trial.values))


def name(key: str) -> str:
    """What a key is called.

    >>> name("train.learning_rate"), name("model.name"), name("augment.blur")
    ('learning rate', 'model', 'augmentation blur')
    """
    section, _, field = key.partition(".")
    field = "model" if key == "model.name" else field.replace("_", " ")
    return f"augmentation {field}" if section == "augment" else field


def value(chosen: Any) -> str:
    """A value as people read it; a dash where a trial's model has no such option.

    >>> value(0.0031623), value('{"dice": 1.0}'), value("true"), value(None)
    ('0.003162', 'dice 1', 'yes', '–')
    """
    if chosen is None:
        return "–"
    if isinstance(chosen, str):
        # Choices that are neither numbers nor words were JSON to the search.
        try:
            chosen = json.loads(chosen)
        except ValueError:
            return chosen.replace("_", " ")
    if isinstance(chosen, bool) or chosen is None:
        return {True: "yes", False: "no", None: "none"}[chosen]
    return words.setting(chosen)


def rows(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """A row a trial, in the order given: the best first."""
    columns = keys(trials)
    numeric = [_are_numbers([one.values.get(key) for one in trials]) for key in columns]
    return [
        {
            "trial": trial,
            "values": [value(trial.values.get(key)) for key in columns],
            "numeric": numeric,
        }
        for trial in trials
    ]


def plots(trials: Sequence[Trial], space: Mapping[str, Any]) -> list[Plot]:
    """A plot a hyperparameter that had more than one value.

    Args:
      trials: the best first.
      space: `tune.space` of the configuration, with the scale of each range.
    """
    done = [trial for trial in trials if trial.mean_iou is not None]
    found = [_plot(done, key, space.get(key)) for key in keys(done)]
    return [plot for plot in found if plot is not None]


def _plot(done: Sequence[Trial], key: str, searched: Any) -> Plot | None:
    shown = [(trial.values[key], trial.mean_iou or 0.0) for trial in done if key in trial.values]
    given = [one for one, _ in shown]
    if len(set(map(str, given))) < 2:
        return None
    if not _are_numbers(given):
        chosen = sorted(set(given), key=str)
        places = {one: 100 * (place + 0.5) / len(chosen) for place, one in enumerate(chosen)}
        x_ticks = [
            (textwrap.shorten(value(one), _LONGEST, placeholder="…"), places[one]) for one in chosen
        ]
    else:
        log = min(given) > 0 and max(given) > _WIDE * min(given)
        if isinstance(searched, Mapping):
            log = searched.get("scale") == "log"
        x_ticks, places = _axis(given, log)
    y_ticks = curves.ticks(min(iou for _, iou in shown), max(iou for _, iou in shown))
    low, high = y_ticks[0], y_ticks[-1]

    def down(iou: float) -> float:
        return 100 * (high - iou) / (high - low)

    dots = [(places[one], down(iou)) for one, iou in shown]
    return Plot(
        name(key),
        dots[::-1],
        x_ticks,
        [(f"{tick:.4g}", down(tick)) for tick in y_ticks],
        value(given[0]),
        is_wide=sum(len(label) + 2 for label, _ in x_ticks) > _MOST_LETTERS,
    )


def _are_numbers(given: Sequence[Any]) -> bool:
    return all(one is None or isinstance(one, int | float) for one in given)


def _axis(given: Sequence[float], log: bool) -> tuple[list[tuple[str, float]], dict[float, float]]:
    """Ticks, and the place of each value."""
    if not log:
        ticks = curves.ticks(min(given), max(given))
        low, high = ticks[0], ticks[-1]

        def place(one: float) -> float:
            return 100 * (one - low) / (high - low)

    else:
        first, last = math.floor(math.log10(min(given))), math.ceil(math.log10(max(given)))
        last = max(last, first + 1)
        factors = (1, 3) if last - first < 3 else (1,)
        ticks = [10.0**power * by for power in range(first, last) for by in factors] + [10.0**last]

        def place(one: float) -> float:
            return 100 * (math.log10(one) - first) / (last - first)

    return [(f"{tick:g}", place(tick)) for tick in ticks], {one: place(one) for one in given}
