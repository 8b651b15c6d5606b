"""From facts to one HTML file that needs nothing else."""

from __future__ import annotations

import functools
import itertools
import math
import shlex
from collections.abc import Sequence
from typing import Any

import jinja2
import markupsafe
import numpy as np

from components import display
from components.errors import SetAside
from components.evaluation import bootstrap, confusion
from components.run_report import curves, facts, images, searching, words
from components.run_report.facts import Facts

# More than this would make the file large; the lists are beside the records as well.
_MOST_LISTED, _MOST_LISTED_LETTERS = 2000, 500_000
_MOST_IN_MATRIX = 60
# Columns of a confusion matrix have their names on their side where there are more, or where a name
# is longer.
_MOST_UPRIGHT, _LONGEST_UPRIGHT = 6, 12
_MOST_MISTAKES = 5
_EXACT = 1e-6
_MOST_CLASSES_NAMED = 4
_MOST_EPOCHS = 500
_MOST_NEAR = 200


def render(told: Facts) -> str:
    """The page. Whatever comes from file names or the configuration is escaped."""
    return environment("components.run_report").get_template("report.html.j2").render(**view(told))


@functools.cache
def environment(*packages: str) -> jinja2.Environment:
    """Templates with the filters that put numbers and names into words.

    Args:
      packages: whose folders `templates` are looked into, in this order.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package) for package in packages]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        iou=words.iou,
        change=words.change,
        percent=words.percent,
        count=words.count,
        many=words.many,
        number=words.number,
        metric=words.metric,
        told_value=words.told_value,
        quoted=shlex.quote,
        breakable=_breakable,
    )
    environment.globals.update(zip=zip, nan=math.nan, resamples=bootstrap.RESAMPLES)
    return environment


def view(told: Facts) -> dict[str, Any]:
    """What the template needs, by name."""
    configuration = told.configuration
    palette = display.colours(told.layout.classes, configuration["data"].get("colours") or {})
    swatches = ["" if colour is None else f"#{bytes(colour).hex()}" for colour in palette]
    classes = list(zip(told.layout.classes, swatches))
    history = told.training["history"]
    every = -(-len(history) // _MOST_EPOCHS) or 1
    return {
        "told": told,
        "name": configuration["name"],
        "verdict": words.verdict(told),
        "serving_check": told.serving_check,
        "classes": classes,
        "settings": {
            section: words.used(told.training["settings"], configuration, section)
            for section in ("model", "train")
        },
        "augment": _augmentation(told.training["settings"].get("augment") or {}),
        "weakest": _weakest(told),
        "balance": _balance(told, classes),
        "channels": _channels(told),
        "looks": _looks(told),
        "typical": _typical(told),
        "findings": told.findings,
        "near_duplicates": told.near_duplicates[:_MOST_NEAR],
        "charts": curves.of_training(told.training),
        "searched": [searching.name(key) for key in searching.keys(told.trials)],
        "trials": searching.rows(told.trials),
        "trial_plots": searching.plots(
            told.trials, (configuration.get("tune") or {}).get("space") or {}
        ),
        "model_searched": "model.name" in searching.keys(told.trials),
        "history": history[::every],
        "steps_per_epoch": curves.steps_per_epoch(told.training),
        "iou_rows": _iou_rows(told, classes),
        "has_intervals": bool(told.intervals),
        "matrix": _matrix(told.confusion, classes),
        "turned": len(classes) > _MOST_UPRIGHT
        or max(map(len, told.layout.classes)) > _LONGEST_UPRIGHT,
        "recount": _recount(told),
        "mistakes": _mistakes(told.confusion, told.layout.classes),
        "groups": _groups(told, classes),
        "few": images.FEW,
        "lists": [
            (what, _beginning(bad), len(bad))
            for what, bad in (
                ("file|could not be used", told.set_aside),
                ("image|held back from training", told.held_back),
            )
            if bad
        ],
        "versions": facts.versions(),
        "tails": display.TAILS,
    }


def _breakable(name: str) -> markupsafe.Markup:
    """A name that a narrow column may break after its underscores."""
    return markupsafe.escape(name).replace("_", markupsafe.Markup("_<wbr>"))


def _weakest(told: Facts) -> tuple[str, float] | None:
    metrics = told.evaluation.metrics
    values = [
        (metrics[f"iou/{name}"], name) for name in told.layout.classes if f"iou/{name}" in metrics
    ]
    return min(values)[::-1] if values else None


def _balance(told: Facts, classes: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    largest = max([*told.train.shares(), *told.eval.shares()]) or 1.0
    return [
        {
            "name": name,
            "colour": colour,
            "train": train,
            "eval": evaluated,
            "train_bar": 100 * train / largest,
            "eval_bar": 100 * evaluated / largest,
        }
        for (name, colour), train, evaluated in zip(
            classes, told.train.shares(), told.eval.shares()
        )
    ]


def _channels(told: Facts) -> list[list[tuple[float, float]]]:
    """Of each channel mean and deviation, in train and eval."""
    return [
        [(split.mean[place], split.deviation[place]) for split in (told.train, told.eval)]
        for place in range(told.layout.channels)
    ]


def _looks(told: Facts) -> list[tuple[str, int, int]]:
    """How many images are odd, in train and eval; rows that say nothing are left out."""
    train, evaluated = told.train_look, told.eval_look
    rows = [
        ("images of a single class", train.one_class, evaluated.one_class),
        ("images without a labelled pixel", train.unlabelled, evaluated.unlabelled),
        ("images of one colour", train.one_colour, evaluated.one_colour),
    ]
    return [row for row in rows if row[1] or row[2]]


def _typical(told: Facts) -> list[list[tuple[float, float, float] | None]]:
    """Of each channel the percentiles of a typical image, in train and eval; None if not known."""
    both = (told.train_look, told.eval_look)
    return [
        [look.percentiles[place] if look.percentiles else None for look in both]
        for place in range(told.layout.channels)
    ]


def _augmentation(settings: dict[str, Any]) -> list[str]:
    """The random changes that were on, a phrase each."""
    return [
        name.replace("_", " ") + ("" if value is True else f" {_plainly(value)}")
        for name, value in settings.items()
        if value
        and not (name.startswith("elastic_") and not settings.get("elastic"))
        and (name, value) != ("strength", 1)
    ]


def _plainly(value: float | str) -> str:
    return value.replace("_", "-") if isinstance(value, str) else f"{value:g}"


def _iou_rows(told: Facts, classes: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """A row a class and one for the mean."""
    metrics, baseline = told.evaluation.metrics, told.evaluation.baseline
    floors = {rule.metric: rule.limit for rule in told.evaluation.rules if rule.rule != "max_drop"}
    rows = []
    for name, colour, key in [
        *((name, colour, f"iou/{name}") for name, colour in classes),
        ("mean", "", "mean_iou"),
    ]:
        value, before = metrics.get(key), (baseline or {}).get(key)
        rows.append(
            {
                "name": name,
                "colour": colour,
                "key": key,
                "value": value,
                "baseline": before,
                "change": None if value is None or before is None else value - before,
                "interval": told.intervals.get(key),
                "floor": floors.get(key),
                "dice": metrics.get(f"dice/{name}") if key != "mean_iou" else None,
                "short": key in floors and (value is None or value < floors[key]),
            }
        )
    return rows


def _matrix(matrix: np.ndarray, classes: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The classes with the most labels; of each label and prediction share and pixels."""
    labelled = matrix.sum(1)
    shown = np.sort(np.argsort(-labelled, kind="stable")[:_MOST_IN_MATRIX])
    shares = matrix / np.maximum(labelled, 1)[:, None]
    return {
        "classes": [classes[place] for place in shown],
        "rows": [
            [(float(shares[label, place]), int(matrix[label, place])) for place in shown]
            for label in shown
        ],
    }


def _recount(told: Facts) -> float | None:
    """The matrix's mean IoU, where another device rounded otherwise than the Evaluator's."""
    evaluated = told.evaluation.metrics.get("mean_iou", math.nan)
    counted = confusion.metrics(told.confusion, told.layout.classes)["mean_iou"]
    return counted if abs(counted - evaluated) > _EXACT else None


def _mistakes(matrix: np.ndarray, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Which class is taken for which other one, by the pixels that it costs."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    total = int(wrong.sum())
    order = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    return [
        {
            "label": classes[label],
            "prediction": classes[prediction],
            "of_label": float(wrong[label, prediction] / matrix[label].sum()),
            "of_wrong": float(wrong[label, prediction] / total),
        }
        for label, prediction in zip(*np.unravel_index(order, wrong.shape))
        if wrong[label, prediction]
    ]


def _beginning(bad: Sequence[SetAside]) -> list[SetAside]:
    """As many as a page can hold."""
    letters = itertools.accumulate(len(one.file) + len(one.reason) for one in bad)
    return [one for one, upto in zip(bad, letters) if upto <= _MOST_LISTED_LETTERS][:_MOST_LISTED]


def _groups(told: Facts, classes: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"title": title, "images": [_image(told, image, classes) for image in chosen]}
        for title, chosen in told.chosen.groups
    ]


def _image(
    told: Facts, image: images.Measured, classes: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    height, width = told.sizes[image.key]
    lowest = sorted(
        (float(value), name, colour)
        for value, (name, colour) in zip(image.iou, classes)
        if math.isfinite(value)
    )
    return {
        "name": image.key[1],
        "mean_iou": image.mean_iou,
        "wrong": image.wrong / image.labelled,
        "lowest": lowest[:_MOST_CLASSES_NAMED],
        "more": len(lowest) - _MOST_CLASSES_NAMED,
        "height": height,
        "width": width,
        "reduction": told.reductions[image.key],
        "panels": told.panels[image.key],
        "shape": "wide" if width > 1.5 * height else "",
    }
