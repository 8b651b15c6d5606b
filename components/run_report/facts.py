"""All that a report tells, before it is put into words."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from components.errors import SetAside
from components.evaluation.bootstrap import Interval
from components.image_example_gen.duplicates import Near
from components.records import Layout
from components.run_report.images import Chosen, Key
from components.run_report.looks import Look
from components.run_report.pictures import Panels
from components.run_report.splits import Split
from components.tuner.trials import Trial

if TYPE_CHECKING:
    from components.evaluation.gate import Evaluation

_PACKAGES = (
    "overtile",
    "tfx",
    "tensorflow",
    "keras",
    "keras-tuner",
    "tensorflow-model-analysis",
    "apache-beam",
    "numpy",
)


@dataclasses.dataclass(frozen=True)
class ServingCheck:
    """What came of asking the model as a server would.

    Attributes:
      passed: whether it may be served.
      checks: each with name, value, limit, passed and sentence; empty where whoever checked left
        no more than a verdict.
    """

    passed: bool
    checks: list[dict[str, Any]]


@dataclasses.dataclass(frozen=True)
class Pushed:
    """Where the model went.

    Attributes:
      path: folder of the version.
      version: its number.
    """

    path: str
    version: str


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a run.

    Attributes:
      run: its id; empty where it has none.
      created: when the report was written, for people.
      configuration: the whole of it, as YAML has it.
      configuration_text: the same, as YAML.
      layout: of the records.
      train, eval: the two splits.
      images_found, unused: images in the data set, and those that no list of data.split names.
      findings: what is worth a look in the data: check, where, value, limit, stops, sentence.
      near_duplicates: images of both sides of the split that look alike, the most similar first.
      train_look, eval_look: what the images of the two splits are like, one by one.
      relabelled: images of older spans whose labels a newer span replaces.
      set_aside: files that were left out.
      held_back: images that do not train because they belong to the evaluation set.
      fingerprints: of the data set, one a span.
      trials: of the search for hyperparameters, the best first; empty where there was none.
      training: what `training.json` tells.
      model: URI of the exported model.
      evaluation: metrics, baseline and gate.
      intervals: of some metrics, over images.
      confusion: int64 [K, K] over the eval split; rows are labels.
      chosen: the images to show.
      panels: their pictures.
      sizes: (height, width) of those images.
      reductions: source pixels a pixel of a picture, along each side.
      serving_check: None where nobody checked.
      pushed: None where the model was not.
    """

    run: str
    created: str
    configuration: Mapping[str, Any]
    configuration_text: str
    layout: Layout
    train: Split
    eval: Split
    images_found: int
    unused: int
    findings: Sequence[Mapping[str, Any]]
    near_duplicates: Sequence[Near]
    train_look: Look
    eval_look: Look
    relabelled: Mapping[str, str]
    set_aside: Sequence[SetAside]
    held_back: Sequence[SetAside]
    fingerprints: Sequence[str]
    trials: Sequence[Trial]
    training: Mapping[str, Any]
    model: str
    evaluation: Evaluation
    intervals: Mapping[str, Interval]
    confusion: np.ndarray
    chosen: Chosen
    panels: Mapping[Key, Panels]
    sizes: Mapping[Key, tuple[int, int]]
    reductions: Mapping[Key, int]
    serving_check: ServingCheck | None
    pushed: Pushed | None


def versions() -> dict[str, str]:
    """Of this process: Python, its packages, the machine."""
    found = {"Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a copy of the sources, perhaps
    found["machine"] = f"{platform.system()} {platform.machine()}"
    return found
