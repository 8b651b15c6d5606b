"""From a comparison to one HTML file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from components import display
from components.errors import InputError
from components.evaluation import bootstrap
from components.run_report import facts, pictures, words
from components.run_report.images import Key
from components.run_report.joining import Picture
from components.run_report.page import environment
from pipeline.commands.models import amount
from pipeline.comparison.results import Comparison, Difference, Entry
from pipeline.progress import format_seconds

# Lines that are told apart on white and on black, by the colour-blind too (after Okabe and Ito).
_LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b98a00", "#56b4e9", "#8a6bbf", "#7d8791")


def write(told: Comparison, file: Path) -> None:
    """Writes the page.

    Raises:
      InputError: it cannot be written there.
    """
    text = render(told)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        half = file.with_name(file.name + ".part")
        half.write_bytes(text.encode("utf-8", "replace"))
        half.replace(file)
    except OSError as error:
        raise InputError(f"{file} cannot be written: {error.strerror}.") from None


def render(told: Comparison) -> str:
    """The page. Whatever comes from file names or configurations is escaped."""
    # The style and small parts are those of a run's report.
    templates = environment("pipeline.comparison", "components.run_report")
    return templates.get_template("compare.html.j2").render(**view(told))


def view(told: Comparison) -> dict[str, Any]:
    """What the template needs, by name."""
    palette = display.colours(told.layout.classes, told.colours)
    swatches = ["" if colour is None else f"#{bytes(colour).hex()}" for colour in palette]
    models = told.models()
    rows = [_row(told, entry, place) for place, entry in enumerate(told.entries)]
    trained = rows[: len(models)]
    return {
        "told": told,
        "classes": list(zip(told.layout.classes, swatches)),
        "best": told.best(),
        "rows": rows,
        "trained": trained,
        "cards": _cards(models),
        "lines": [_LINES[place % len(_LINES)] for place in range(len(models))],
        "has_intervals": any(entry.measurement.intervals for entry in told.entries),
        "class_rows": _class_rows(told, swatches),
        "images": _images(told, palette),
        "settings": told.settings,
        "versions": facts.versions(),
    }


def _row(told: Comparison, entry: Entry, place: int) -> dict[str, Any]:
    """What the tables tell of a model."""
    best = told.best()
    return {
        "entry": entry,
        "place": place if entry.run else None,
        "training": entry.run.training if entry.run else None,
        "cost": entry.cost,
        "seconds": entry.run.seconds if entry.run else None,
        "took": ""
        if not entry.run or entry.run.seconds is None
        else format_seconds(entry.run.seconds),
        "multiply_adds": amount(entry.cost.multiply_adds) if entry.cost else "",
        "value": entry.measurement.metrics.get("mean_iou"),
        "interval": entry.measurement.intervals.get("mean_iou"),
        "behind": None if entry is best else _behind(told, best, entry),
        "field": _field(entry),
    }


def _behind(told: Comparison, best: Entry, entry: Entry) -> Difference:
    """How much higher the entry is than the best trained model, which for most is less than 0."""
    for one in told.differences:
        if (one.first, one.second) == (entry.name, best.name):
            return one
        if (one.first, one.second) == (best.name, entry.name):
            turned = one.interval and bootstrap.Interval(-one.interval.high, -one.interval.low)
            return Difference(entry.name, best.name, -one.value, turned)
    raise KeyError(f"{entry.name} was compared with nothing")


def _field(entry: Entry) -> str:
    if entry.cost is None:
        return ""
    field = entry.cost.field
    return "whole image" if field.height is None else f"{field.height} × {field.width}"


def _cards(models: list[Entry]) -> list[tuple[str, str, str]]:
    """The extremes: what it is, its value, whose it is."""
    best = max(models, key=lambda entry: entry.mean_iou)
    cards = [("Highest mean IoU", words.iou(best.mean_iou), best.name)]
    costed = [entry for entry in models if entry.cost]
    if len(costed) > 1:
        least = min(costed, key=lambda entry: entry.cost.multiply_adds)  # type: ignore[union-attr]
        assert least.cost is not None
        cards.append(("Fewest multiply-adds", amount(least.cost.multiply_adds), least.name))
        small = min(costed, key=lambda entry: entry.cost.parameters)  # type: ignore[union-attr]
        assert small.cost is not None
        cards.append(("Fewest parameters", amount(small.cost.parameters), small.name))
    timed = [(entry.run.seconds, entry.name) for entry in models if entry.run and entry.run.seconds]
    if len(timed) > 1:
        seconds, name = min(timed)
        cards.append(("Shortest training", format_seconds(seconds), name))
    return cards


def _class_rows(told: Comparison, swatches: list[str]) -> list[dict[str, Any]]:
    """IoU of each class, and the mean, of every entry."""
    found = []
    keys = [
        *((name, colour, f"iou/{name}") for name, colour in zip(told.layout.classes, swatches)),
        ("mean", "", "mean_iou"),
    ]
    for name, colour, key in keys:
        values = [entry.measurement.metrics.get(key) for entry in told.entries]
        known = [value for value in values if value is not None]
        found.append(
            {
                "name": name,
                "colour": colour,
                "key": key,
                "cells": [
                    {
                        "value": value,
                        "interval": entry.measurement.intervals.get(key),
                        "is_best": value is not None and value == max(known),
                    }
                    for entry, value in zip(told.entries, values)
                ],
            }
        )
    return found


def _images(told: Comparison, palette: Any) -> list[dict[str, Any]]:
    """Each image that is shown, with its label and every prediction."""
    keys = [key for _, group in told.groups for key in group]
    everything: list[Picture] = [
        told.pictures[entry.name][key] for key in keys for entry in told.entries
    ]
    drawn = iter(pictures.draw_all(everything, palette))
    titles = {key: title for title, group in told.groups for key in group[:1]}
    found = []
    for key in keys:
        panels = [next(drawn) for _ in told.entries]
        picture = told.pictures[told.entries[0].name][key]
        height, width = picture.size
        found.append(
            {
                "title": titles.get(key),
                "name": key[1],
                "height": height,
                "width": width,
                "reduction": picture.reduction,
                "photograph": panels[0].photograph,
                "label": panels[0].label,
                "predictions": [
                    (entry.name, one.prediction, _of_image(entry, key))
                    for entry, one in zip(told.entries, panels)
                ],
            }
        )
    return found


def _of_image(entry: Entry, key: Key) -> float:
    """Mean IoU on one image."""
    return next(one.mean_iou for one in entry.measurement.images if one.key == key)
