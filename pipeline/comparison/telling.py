"""What a comparison comes to, in sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence

from components.run_report import splits
from pipeline.comparison import charts
from pipeline.comparison.recorded import Recorded
from pipeline.comparison.results import Difference, Entry, ranked


def conclusion(entries: Sequence[Entry], apart: Sequence[Difference]) -> str:
    """Which model is ahead, and whether the images are enough to say so."""
    models = ranked([entry for entry in entries if entry.run is not None])
    best = models[0]
    told = f"{best.name} reaches {'the highest ' if len(models) > 1 else 'a '}mean IoU"
    told += f"{' of' if len(models) == 1 else ','} {best.mean_iou:.3f}"
    if len(models) > 1:
        second = models[1]
        one = next(one for one in apart if (one.first, one.second) == (best.name, second.name))
        if one.interval is None:
            told += f"; {second.name} is {one.value:.3f} lower, on too few images for an interval"
        else:
            within = f"95\u00a0% interval {one.interval.low:.3f} to {one.interval.high:.3f}"
            if one.is_clear:
                told += f"; {second.name} is {one.value:.3f} lower ({within})"
            else:
                told += (
                    f", but these images do not tell it from {second.name}, which is "
                    f"{one.value:.3f} lower ({within})"
                )
    told += "."
    classical = ranked([entry for entry in entries if entry.run is None])
    if classical:
        told += (
            f" The best classical method, {classical[0].name}, reaches {classical[0].mean_iou:.3f}."
        )
    return told


def notes(
    runs: Sequence[Recorded], names: Sequence[str], trains: Sequence[splits.Split]
) -> list[str]:
    """What is to be kept in mind, a sentence each."""
    told = []
    others = [
        name
        for name, split in zip(names[1:], trains[1:])
        if (split.images, split.class_pixels) != (trains[0].images, trains[0].class_pixels)
    ]
    if others:
        told.append(
            f"{_and(others)} learned from other images than {names[0]}; all were evaluated on the "
            "same ones."
        )
    losses = {json.dumps(run.training["settings"]["train"].get("loss")) for run in runs}
    weights = {run.training["settings"]["train"].get("class_weights") for run in runs}
    if len(losses) > 1 or len(weights) > 1:
        told.append("The models minimise different losses: compare the course of each, not values.")
    untimed = [name for name, run in zip(names, runs) if not charts.timed(run.training)]
    if untimed:
        told.append(
            f"{_and(untimed)} {'was' if len(untimed) == 1 else 'were'} trained by a version that "
            "kept no times: no curve against time, and the training time is that of the whole "
            "component."
        )
    return told


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
