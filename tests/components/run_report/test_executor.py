"""The component on a model that answers by a threshold, evaluated by TFX's own Evaluator."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import yaml

from components.errors import SetAside
from components.evaluation import confusion
from components.evaluation.config import EvaluateConfig
from components.image_example_gen import integrity
from components.records import Record, encode
from components.run_report import executor
from tests.components.evaluation.test_gate import IMAGES, LAYOUT, MASKS, run_evaluator
from tests.components.run_report.parsing import Page
from trainer.export import export
from trainer.models.registry import Geometry

# What is above 100 is called bright. IMAGES are [[10, 90], [120, 200]] and [[30, 250], [160, 140]],
# MASKS [[dark, dark], [bright, bright]] and [[dark, bright], [ignore, bright]]: all is right.
LIMIT = 100


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    inputs = tf.keras.Input((None, None, 1))
    bright = tf.keras.layers.Lambda(lambda x: tf.concat([LIMIT - x, x - LIMIT], -1))(inputs)
    folder = tmp_path_factory.mktemp("model")
    export(
        tf.keras.Model(inputs, bright),
        LAYOUT,
        Geometry(stride=1),
        str(folder / "Format-Serving"),
        {"name": "discs"},
        tf.zeros([2, 2, 1], tf.uint8),
    )
    return folder


def artifact(name: str, uri: Path, **properties: Any) -> list[Any]:
    from tfx.types import standard_artifacts

    made = getattr(standard_artifacts, name)()
    made.uri = str(uri)
    for key, value in properties.items():
        if isinstance(value, int):
            made.set_int_custom_property(key, value)
        else:
            made.set_string_custom_property(key, value)
    return [made]


def inputs(folder: Path, model: Path, floor: float) -> dict[str, list[Any]]:
    """What the components before would have left in `folder`."""
    from tfx.types import artifact_utils

    evaluation = run_evaluator(folder, EvaluateConfig(min_mean_iou=floor), str(model), None)
    train = folder / "examples" / "Split-train"
    train.mkdir()
    with tf.io.TFRecordWriter(str(train / "records")) as writer:
        image, mask = np.zeros((2, 2, 1), np.uint8), np.zeros((2, 2), np.uint8)
        writer.write(encode(Record(image, mask, "t", "", (2, 2)), LAYOUT))
    counts = integrity.Counts(4, {"train": 1, "eval": 2}, {"train": 1, "eval": 2}, set_aside=1)
    integrity.write(folder / "examples", counts, [SetAside("images/bad.png", "empty file")])
    examples = artifact("Examples", folder / "examples", input_fingerprint="f" * 64)
    examples[0].split_names = artifact_utils.encode_split_names(["train", "eval"])
    (folder / "model_run").mkdir()
    settings = {
        "layout": LAYOUT.to_json(),
        "model": {"name": "unet", "options": {}},
        "train": {"seed": 0},
        "augment": {},
    }
    (folder / "model_run" / "training.json").write_text(
        json.dumps(
            {
                "resumed_from_step": 0, "steps": 2, "best_step": 2, "precision": "float32",
                "replicas": 1, "parameters": 2, "settings": settings,
                "history": [{"epoch": 1, "loss": 0.5, "val_loss": 0.4, "mean_iou": 0.7,
                             "val_mean_iou": 1.0}],
            }
        )
    )  # fmt: skip
    pushed: dict[str, Any] = {"pushed": 0}
    if evaluation.blessed:
        pushed = {"pushed": 1, "pushed_destination": str(folder / "serving" / "17")}
    return {
        "examples": examples,
        "model": artifact("Model", model),
        "model_run": artifact("ModelRun", folder / "model_run"),
        "evaluation": artifact("ModelEvaluation", folder / "evaluation"),
        "blessing": artifact("ModelBlessing", folder / "blessing", blessed=evaluation.blessed),
        "pushed_model": artifact("PushedModel", folder / "pushed", **pushed),
    }


def configuration(floor: float) -> str:
    return yaml.safe_dump(
        {
            "name": "discs",
            "data": {"path": "/data", "colours": {"bright": "#102030"}},
            "evaluate": {"min_mean_iou": floor},
        }
    )


def written(folder: Path, given: dict[str, list[Any]], floor: float) -> str:
    """The page that the component writes."""
    from components.run_report.component import Report

    report = Report()
    report.uri = str(folder / "report")
    context = executor.Executor.Context(pipeline_run_id="20260102-030405")
    executor.Executor(context).Do(
        given, {"report": [report]}, {"configuration": configuration(floor)}
    )
    assert report.get_string_custom_property("run") == "20260102-030405"
    return (folder / "report" / "report.html").read_text()


def test_numbers_are_those_of_the_evaluator_and_of_the_masks(tmp_path: Path, model: Path) -> None:
    given = inputs(tmp_path, model, floor=0.5)
    told = executor.gather(given, configuration(0.5), "run")
    assert told.evaluation.metrics["mean_iou"] == 1
    # By hand, from pixels: dark is at most 100.
    by_hand = sum(
        confusion.confusion(np.array(mask), (np.array(image) > LIMIT).astype(int), 2)
        for image, mask in zip(IMAGES, MASKS)
    )
    np.testing.assert_array_equal(told.confusion, by_hand)
    assert told.confusion.tolist() == [[3, 0], [0, 4]]
    assert told.intervals["mean_iou"] == (1, 1)
    assert (told.train.images, told.eval.images) == (1, 2)
    assert (told.train.class_pixels, told.eval.class_pixels) == ((4, 0), (3, 4))
    assert told.eval.ignored == 1
    assert told.fingerprints == ["f" * 64]
    assert told.set_aside == [SetAside("images/bad.png", "empty file")]
    assert told.serving_check is None
    read = Page(written(tmp_path, given, 0.5))
    assert read.text("h1") == "Pushed as version 17"
    assert "--c:#102030" in read.all("span", class_="swatch")[1].attributes["style"]


def test_a_model_that_is_refused_has_a_report_too(tmp_path: Path, model: Path) -> None:
    # Good enough for the gate, and answering otherwise than it should.
    given = inputs(tmp_path, model, floor=1.0)
    given["pushed_model"] = artifact("PushedModel", tmp_path / "pushed", pushed=0)
    infra = tmp_path / "infra"
    infra.mkdir()
    check = {"name": "tensor", "value": 3, "limit": 0, "passed": False,
             "sentence": "3 of 8 pixels differ from the model's own"}  # fmt: skip
    (infra / "validation.json").write_text(json.dumps({"passed": False, "checks": [check]}))
    given["infra_blessing"] = artifact("InfraBlessing", infra, blessed=0)
    read = Page(written(tmp_path, given, 1.0))
    assert read.text("h1") == "Not pushed"
    assert read.text("ul", class_="reasons") == "3 of 8 pixels differ from the model's own."


def test_records_that_are_elsewhere_train(tmp_path: Path, model: Path) -> None:
    from tfx.types import artifact_utils

    given = inputs(tmp_path, model, floor=0.5)
    # With spans the evaluation set is an artifact of its own, without counts beside it.
    for name in (integrity.COUNTS_FILE, integrity.SET_ASIDE_FILE):
        (tmp_path / "examples" / name).unlink()
    windows = []
    for number in range(2):
        folder = tmp_path / f"span-{number}"
        (folder / "Split-train").mkdir(parents=True)
        with tf.io.TFRecordWriter(str(folder / "Split-train" / "records")) as writer:
            image, mask = np.zeros((2, 2, 1), np.uint8), np.ones((2, 2), np.uint8)
            # The same name in two deliveries is two images.
            writer.write(encode(Record(image, mask, "t", "", (2, 2), span=number), LAYOUT))
        counts = integrity.Counts(2, {"train": 1, "eval": 0}, {"train": 1, "eval": 0}, set_aside=1)
        integrity.write(folder, counts, [SetAside(f"bad_{number}.png", "empty file")])
        windows += artifact("Examples", folder)
        windows[-1].split_names = artifact_utils.encode_split_names(["train"])
    told = executor.gather({**given, "train_examples": windows}, configuration(0.5), "run")
    assert (told.train.images, told.train.class_pixels) == (2, (0, 8))
    assert (told.eval.images, told.images_found) == (2, 4)
    assert [bad.file for bad in told.set_aside] == ["bad_0.png", "bad_1.png"]
