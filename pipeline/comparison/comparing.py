"""Gathers all that a comparison tells, before it is put on a page."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.errors import InputError
from components.evaluation import bootstrap
from components.run_report import splits
from components.run_report.images import FEW, Key
from components.run_report.joining import Picture
from pipeline.comparison import charts, features, measuring, telling
from pipeline.comparison import settings as differing
from pipeline.comparison.recorded import Recorded
from pipeline.comparison.results import Comparison, Difference, Entry, ranked
from pipeline.progress import Display
from trainer import baselines, cost

# Images that are shown: the two on which models differ most, a typical and a hard one.
_SHOWN, _DIFFERENT = 4, 2


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
    for first, second in itertools.combinations(ranked(entries), 2):
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
