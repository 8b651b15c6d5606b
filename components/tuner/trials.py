"""What became of each trial of a search: `trials.json` beside the Tuner's results."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from typing import Any, Literal

from tfx.dsl.io import fileio

FILE = "trials.json"


@dataclasses.dataclass(frozen=True)
class Trial:
    """One short training with values that the search chose.

    Attributes:
      trial: its number in the search, from 1.
      values: what was chosen, by key, such as `train.learning_rate`.
      status: whether it came to a result.
      mean_iou: on the eval split; None where it failed.
      steps: optimizer steps, those of the trial that it goes on from among them.
      seconds: that it took; where it was killed and begun again, the last time.
      error: why it failed, in a sentence.
    """

    trial: int
    values: dict[str, Any]
    status: Literal["completed", "failed"]
    mean_iou: float | None
    steps: int
    seconds: float
    error: str | None = None


def write(folder: str, trials: Sequence[Trial]) -> None:
    """Writes them into an artifact's folder, the best first and those that failed last."""
    ordered = sorted(trials, key=lambda one: (one.mean_iou is None, -(one.mean_iou or 0.0)))
    with fileio.open(os.path.join(folder, FILE), "w") as file:
        file.write(json.dumps([dataclasses.asdict(trial) for trial in ordered], indent=2))


def read(folder: str) -> list[Trial]:
    """What `write` wrote; nothing where an earlier version of the Tuner wrote nothing."""
    path = os.path.join(folder, FILE)
    if not fileio.exists(path):
        return []
    with fileio.open(path) as file:
        return [Trial(**values) for values in json.loads(file.read())]
