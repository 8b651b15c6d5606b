"""Gathers what a run left and writes the report. TFX's launcher calls `Executor.Do`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import yaml
from tfx import types
from tfx.components.example_gen import utils as example_gen
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import path_utils

from components import artifacts, display
from components.evaluation import bootstrap
from components.evaluation.config import EvaluateConfig
from components.evaluation.gate import read_evaluation
from components.example_validator import checks as checks_of_data
from components.image_example_gen import duplicates, integrity
from components.places import place
from components.records import EVAL, TRAIN
from components.run_report import FILE, RUN_PROPERTY, images, joining, looks, page, pictures, splits
from components.run_report.facts import Facts, Pushed, ServingCheck
from components.serving_validator import checks
from components.superseded import superseded
from components.tuner.trials import read as read_trials


class Executor(base_executor.BaseExecutor):
    """Looks at every evaluation image once more, and writes the page."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes `report.html`.

        Args:
          input_dict: see `RunReport`.
          output_dict: `report`, one artifact.
          exec_properties: `configuration`, as YAML.
        """
        run = (self._context.pipeline_run_id if self._context else None) or ""
        facts = gather(input_dict, exec_properties["configuration"], run)
        report = artifact_utils.get_single_instance(output_dict["report"])
        report.set_string_custom_property(RUN_PROPERTY, run)
        fileio.makedirs(report.uri)
        with fileio.open(os.path.join(report.uri, FILE), "wb") as file:
            file.write(page.render(facts).encode("utf-8", "replace"))


def gather(inputs: Mapping[str, Sequence[types.Artifact]], configuration: str, run: str) -> Facts:
    """Reads the artifacts, and asks the model about the evaluation images.

    Args:
      inputs: by the names of `RunReport`.
      configuration: as YAML.
      run: id of the run.
    """
    settings = yaml.safe_load(configuration)
    exported = path_utils.serving_model_path(_one(inputs, "model").uri)
    layout = artifacts.layout(exported)
    assert layout is not None, "the Trainer exported it in this run or an earlier one"
    examples = inputs["examples"]
    train_examples = inputs.get("train_examples") or examples
    files = artifacts.split_files(examples, EVAL)
    evaluated = splits.read(files, layout)

    model = tf.saved_model.load(exported)
    classes = len(layout.classes)
    measured, confusion = images.measure(
        files, lambda records: _evaluate(model, records, classes), classes, evaluated.records
    )
    chosen = images.choose(measured)
    joined = joining.join(
        files, [image.key for image in chosen.images()], layout, lambda image: _mask(model, image)
    )
    palette = display.colours(layout.classes, settings["data"].get("colours") or {})
    drawn = pictures.draw_all(list(joined.values()), palette)

    ingested = {artifact.uri: artifact for artifact in [*train_examples, *examples]}
    replaced = superseded(artifact.uri for artifact in train_examples)
    # Where images are held back for evaluation alone, the counts are beside what trains.
    folders = [Path(uri) for uri in ingested if (Path(uri) / integrity.COUNTS_FILE).is_file()]
    counted = [integrity.read(folder) for folder in folders]
    return Facts(
        run=run,
        created=time.strftime("%Y-%m-%d %H:%M %z"),
        configuration=settings,
        configuration_text=configuration,
        layout=layout,
        train=splits.read(artifacts.split_files(train_examples, TRAIN), layout, replaced),
        eval=evaluated,
        images_found=sum(counts.images for counts, _ in counted),
        unused=sum(counts.unused for counts, _ in counted),
        findings=[
            finding
            for artifact in inputs.get("anomalies") or []
            for finding in checks_of_data.read(place(artifact.uri) / checks_of_data.FILE)
        ],
        near_duplicates=[
            pair for uri in ingested for pair in duplicates.read(place(uri) / duplicates.FILE)
        ],
        train_look=looks.read([one.uri for one in train_examples], TRAIN, replaced),
        eval_look=looks.read([one.uri for one in examples], EVAL),
        relabelled=replaced,
        set_aside=[entry for _, entries in counted for entry in entries],
        held_back=[entry for folder in folders for entry in integrity.read_held_back(folder)],
        fingerprints=[
            artifact.get_string_custom_property(example_gen.FINGERPRINT_PROPERTY_NAME)
            for artifact in ingested.values()
        ],
        trials=[
            trial
            for artifact in inputs.get("tuner_results") or []
            for trial in read_trials(artifact.uri)
        ],
        training=json.loads(_text(os.path.join(_one(inputs, "model_run").uri, "training.json"))),
        model=exported,
        evaluation=read_evaluation(
            _one(inputs, "evaluation").uri, EvaluateConfig(**settings["evaluate"]), layout.classes
        ),
        intervals=bootstrap.intervals(
            np.stack([image.marginals for image in measured]), layout.classes
        ),
        confusion=confusion,
        chosen=chosen,
        panels=dict(zip(joined, drawn)),
        sizes={key: picture.size for key, picture in joined.items()},
        reductions={key: picture.reduction for key, picture in joined.items()},
        serving_check=_serving_check(inputs.get("infra_blessing") or []),
        pushed=_pushed(_one(inputs, "pushed_model")),
    )


def _one(inputs: Mapping[str, Sequence[types.Artifact]], name: str) -> types.Artifact:
    return artifact_utils.get_single_instance(list(inputs[name]))


def _text(path: str) -> str:
    with fileio.open(path) as file:
        return file.read()


def _evaluate(model: Any, records: list[bytes], classes: int) -> np.ndarray:
    counts = model.signatures["evaluate"](examples=tf.constant(records))["confusion"]
    return counts.numpy().reshape(-1, classes, classes)


def _mask(model: Any, image: np.ndarray) -> np.ndarray:
    return model.signatures["tensor"](image=tf.constant(image[None]))["mask"][0].numpy()


def _serving_check(blessings: Sequence[types.Artifact]) -> ServingCheck | None:
    if not blessings:
        return None
    blessing = blessings[0]
    passed = blessing.get_int_custom_property("blessed") == 1
    file = os.path.join(blessing.uri, checks.FILE)  # TFX's InfraValidator leaves none
    told = checks.read(_text(file)) if fileio.exists(file) else []
    return ServingCheck(passed, told)


def _pushed(model: types.Artifact) -> Pushed | None:
    if model.get_int_custom_property("pushed") != 1:
        return None
    path = model.get_string_custom_property("pushed_destination")
    return Pushed(path, os.path.basename(path.rstrip("/")))
