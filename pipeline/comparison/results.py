"""What a comparison holds: its models, how they differ, and all else that a page tells of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from components.evaluation import bootstrap
from components.records import Layout
from components.run_report import curves, splits
from components.run_report.images import Key
from components.run_report.joining import Picture
from pipeline.comparison.features import Features
from pipeline.comparison.measuring import Measurement
from pipeline.comparison.recorded import Recorded
from trainer import cost


class Difference(NamedTuple):
    """How much higher a metric of one model is than that of another.

    Attributes:
      first, second: their names.
      value: of mean IoU, first less second.
      interval: of the same, over images drawn alike for both; None where there are too few.
    """

    first: str
    second: str
    value: float
    interval: bootstrap.Interval | None

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


@dataclasses.dataclass(frozen=True)
class Entry:
    """One model, or one classical method.

    Attributes:
      name: unlike the others'.
      about: what it is, in a few words.
      measurement: what it is worth.
      run: that it comes from; None of a classical method.
      cost: parameters, multiply-adds, receptive field; None of a classical method.
      maps: what a layer of it makes of the first image; None of a classical method.
    """

    name: str
    about: str
    measurement: Measurement
    run: Recorded | None = None
    cost: cost.Cost | None = None
    maps: Features | None = None

    @property
    def mean_iou(self) -> float:
        """NaN where nothing is labelled."""
        return self.measurement.metrics.get("mean_iou", float("nan"))

    @property
    def loss(self) -> float | None:
        """Of the eval split, at the step that was exported."""
        if self.run is None:
            return None
        return next(
            (
                float(entry["val_loss"])
                for entry in self.run.training["history"]
                if curves.step(self.run.training, entry) == self.run.training["best_step"]
                and "val_loss" in entry
            ),
            None,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        run, spent = self.run, self.cost
        return {
            "name": self.name,
            "kind": "classical" if run is None else "model",
            "about": self.about,
            "run": run and run.run,
            "workspace": run and str(run.workspace),
            "config": run and run.file,
            "model": run and run.model,
            "architecture": run and run.training["settings"]["model"]["name"],
            "parameters": spent and spent.parameters,
            "multiply_adds": spent and spent.multiply_adds,
            "receptive_field": spent and [spent.field.height, spent.field.width],
            "stride": spent and spent.field.stride,
            "seconds": run and run.seconds,
            "steps": run and run.training["steps"],
            "best_step": run and run.training["best_step"],
            "loss": self.loss,
            "metrics": self.measurement.metrics,
            "intervals": {
                name: list(interval) for name, interval in self.measurement.intervals.items()
            },
            "layer": self.maps and self.maps.layer,
        }


@dataclasses.dataclass(frozen=True)
class Comparison:
    """All that is told of several models.

    Attributes:
      created: when, for people.
      data: the data set's folder.
      layout: of the records.
      colours: a class's colour as #rrggbb, for some of the classes.
      entries: models first, in the order in which they were named, then classical methods.
      train, eval: what is in the splits of the first.
      differences: of every two models.
      settings: what models do not have in common: key and each model's value.
      charts: the curves.
      groups: a title and the keys of the images that are shown under it.
      pictures: of each entry those images with its prediction.
      conclusion: a sentence.
      notes: what is to be kept in mind, a sentence each.
      command: that makes the page again.
    """

    created: str
    data: str
    layout: Layout
    colours: Mapping[str, str]
    entries: list[Entry]
    train: splits.Split
    eval: splits.Split
    differences: list[Difference]
    settings: list[tuple[str, list[str]]]
    charts: list[curves.Chart]
    groups: list[tuple[str, list[Key]]]
    pictures: dict[str, dict[Key, Picture]]
    conclusion: str
    notes: list[str]
    command: list[str]

    def models(self) -> list[Entry]:
        """Those that were trained."""
        return [entry for entry in self.entries if entry.run is not None]

    def best(self) -> Entry:
        """The trained model of the highest mean IoU."""
        return ranked(self.models())[0]

    def to_json(self) -> dict[str, Any]:
        """What `overtile compare --json` prints, but for the page."""
        return {
            "data": self.data,
            "classes": list(self.layout.classes),
            "images": self.eval.images,
            "models": [entry.to_json() for entry in self.entries],
            "differences": [
                {
                    "first": one.first,
                    "second": one.second,
                    "metric": "mean_iou",
                    "value": one.value,
                    "interval": one.interval and list(one.interval),
                }
                for one in self.differences
            ],
            "conclusion": self.conclusion,
            "notes": self.notes,
        }


def ranked(entries: Sequence[Entry]) -> list[Entry]:
    """By mean IoU, the highest first."""
    return sorted(entries, key=lambda entry: -np.nan_to_num(entry.mean_iou))
