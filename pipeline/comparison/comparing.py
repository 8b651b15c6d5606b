"""Gathers all that a comparison tells, before it is put on a page."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.errors import InputError
from components.evaluation import bootstrap
from components.records import Layout
from components.run_report import splits
from components.run_report.images import FEW, Key
from components.run_report.joining import Picture
from pipeline.comparison import charts, features, measuring, telling
from pipeline.comparison import settings as differing
from pipeline.comparison.features import Features
from pipeline.comparison.measuring import Measurement
from pipeline.comparison.recorded import Recorded
from pipeline.progress import Display
from trainer import baselines, cost

# Images that are shown: the two on which models differ most, a typical and a hard one.
_SHOWN, _DIFFERENT = 4, 2


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
                if charts.step(self.run.training, entry) == self.run.training["best_step"]
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
    charts: list[charts.Chart]
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
        return telling.ranked(self.models())[0]

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


def compare(
    runs: Sequence[Recorded],
    names: Sequence[str],
    display: Display,
    classical: bool = False,
    layers: Sequence[str] = (),
    command: Sequence[str] = (),
) -> Comparison:
    """Measures models on the images that none of them was trained on.

    Args:
      runs: whose models.
      names: a name each.
      display: shows how far it is.
      classical: whether classical methods are measured too.
      layers: whose feature maps are shown.
      command: that makes the page again.

    Raises:
      InputError: the runs are not on the same data set and eval split, two are of one model, or no
        model has a layer of that name.
    """
    display.begin("Look at the data")
    _refuse_twice(runs, names)
    eval_splits = measuring.same_images(runs, names)
    train_splits = [splits.read(run.train_files, run.layout) for run in runs]
    networks = [features.rebuild(run) for run in runs]
    features.refuse_unknown(networks, names, layers)
    display.end("done")

    entries = []
    for run, name, split, network in zip(runs, names, eval_splits, networks):
        display.begin(f"Measure {name}")
        settings = run.training["settings"]["model"]
        spent, _ = cost.of_model(
            network, settings["name"], settings["options"], run.layout.channels
        )
        measured = measuring.model(run, split.records)
        entries.append(Entry(name, settings["name"], measured, run, spent))
        display.end("done")
    keys = [image.key for image in entries[0].measurement.images]
    if classical:
        display.begin("Classical methods")
        entries += _classical(runs[0], keys)
        display.end("done")

    display.begin("Draw")
    groups = choose(entries)
    shown = [key for _, group in groups for key in group]
    pictures = _pictures(entries, shown)
    trained = [entry for entry in entries if entry.run is not None]
    if shown:
        image = next(iter(pictures.values()))[shown[0]].image
        maps = [
            features.of_image(network, run, image, layers) for network, run in zip(networks, runs)
        ]
        trained = [dataclasses.replace(entry, maps=one) for entry, one in zip(trained, maps)]
        entries = [*trained, *entries[len(trained) :]]
    display.end("done")
    apart = differences(entries)
    data = runs[0].configuration.get("data") or {}
    return Comparison(
        created=time.strftime("%Y-%m-%d %H:%M %z"),
        data=str(data.get("path") or ""),
        layout=runs[0].layout,
        colours=data.get("colours") or {},
        entries=entries,
        train=train_splits[0],
        eval=eval_splits[0],
        differences=apart,
        settings=differing.that_differ(runs),
        charts=charts.of_trainings({name: run.training for name, run in zip(names, runs)}),
        groups=groups,
        pictures=pictures,
        conclusion=telling.conclusion(entries, apart),
        notes=telling.notes(runs, names, train_splits),
        command=list(command),
    )


def choose(entries: Sequence[Entry]) -> list[tuple[str, list[Key]]]:
    """The images to show: where models differ most, a typical one and a hard one; of few all."""
    first = entries[0].measurement.images
    labelled = [image.labelled for image in first]
    enough = FEW * float(np.median([one for one in labelled if one] or [1]))
    ranked = [place for place, pixels in enumerate(labelled) if pixels and pixels >= enough]
    if len(ranked) <= _SHOWN:
        return [("All images", [first[place].key for place in ranked])] if ranked else []
    models = [entry for entry in entries if entry.run is not None]
    values = np.array([[e.measurement.images[place].mean_iou for place in ranked] for e in models])
    order = np.argsort(values.mean(0), kind="stable")
    typical, hard = int(order[len(order) // 2]), int(order[0])
    apart = np.argsort(-np.ptp(values, axis=0), kind="stable")
    taken = {typical, hard}
    different = [int(place) for place in apart if int(place) not in taken][:_DIFFERENT]
    chosen = [("A typical image", [typical]), ("The hardest one", [hard])]
    if len(models) > 1:
        chosen.insert(0, ("Where they differ most", different))
    return [(title, [first[ranked[at]].key for at in places]) for title, places in chosen]


def differences(entries: Sequence[Entry]) -> list[Difference]:
    """Of every two, models and classical methods, the better one first."""
    found = []
    for first, second in itertools.combinations(telling.ranked(entries), 2):
        # Only the mean is looked at here, so the classes' names do not matter.
        marginals = first.measurement.marginals()
        intervals = bootstrap.differences(
            marginals,
            second.measurement.marginals(),
            [str(place) for place in range(marginals.shape[-1])],
        )
        found.append(
            Difference(
                first.name,
                second.name,
                first.mean_iou - second.mean_iou,
                intervals.get("mean_iou"),
            )
        )
    return found


def _classical(run: Recorded, keys: Sequence[Key]) -> list[Entry]:
    found = measuring.classical(run, keys)
    return [
        Entry(
            baselines.METHODS[name].title,
            baselines.METHODS[name].source,
            measurement,
        )
        for name, measurement in found.items()
    ]


def _pictures(entries: Sequence[Entry], keys: Sequence[Key]) -> dict[str, dict[Key, Picture]]:
    drawn: dict[str, dict[Key, Picture]] = {}
    first: dict[Key, Picture] = {}
    for entry in entries:
        if entry.run is not None:
            made = measuring.pictures(entry.run, keys, entry.measurement.predict)
            first = first or made
        else:
            made = measuring.repainted(first, entry.measurement.predict)
        drawn[entry.name] = made
    return drawn


def _refuse_twice(runs: Sequence[Recorded], names: Sequence[str]) -> None:
    for (one, first), (other, second) in itertools.combinations(zip(runs, names), 2):
        if Path(one.model) == Path(other.model):
            raise InputError(
                f"{first} and {second} are one and the same model, trained once: compare wants "
                "different ones."
            )
