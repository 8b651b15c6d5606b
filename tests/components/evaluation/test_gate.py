"""TFX's own Evaluator on models that answer by a threshold, so that every count is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.evaluation.config import EvaluateConfig
from components.evaluation.gate import Evaluation, Rule, eval_config, read_evaluation
from components.records import IGNORE, Layout, Record, encode, parse
from trainer.metrics import confusion

CLASSES = ["dark", "bright"]
LAYOUT = Layout(1, "uint8", tuple(CLASSES))

# Two records: their pixels, and what people say they are.
IMAGES = [[[10, 90], [120, 200]], [[30, 250], [160, 140]]]
MASKS = [[[0, 0], [1, 1]], [[0, 1], [IGNORE, 1]]]


def threshold_model(folder: Path, limit: int) -> str:
    """A SavedModel that calls bright what is above `limit`."""

    def count(serialized: tf.Tensor) -> tf.Tensor:
        record = parse(serialized, LAYOUT)
        prediction = tf.cast(record["image"][..., 0] > limit, tf.uint8)
        return tf.reshape(confusion(record["mask"], prediction, 2), [4])

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def evaluate(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        spec = tf.TensorSpec([4], tf.int64)
        return {"confusion": tf.map_fn(count, examples, fn_output_signature=spec)}

    module = tf.Module()
    directory = str(folder / f"{limit}" / "Format-Serving")
    tf.saved_model.save(module, directory, signatures={"evaluate": evaluate})
    return str(folder / f"{limit}")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    folder = tmp_path_factory.mktemp("models")
    return {limit: threshold_model(folder, limit) for limit in (100, 150)}


def run_evaluator(
    folder: Path, evaluate: EvaluateConfig, model: str, baseline: str | None
) -> Evaluation:
    from tfx.components.evaluator import executor
    from tfx.types import artifact_utils, standard_artifacts
    from tfx.utils import proto_utils

    examples = standard_artifacts.Examples()
    examples.uri = str(folder / "examples")
    examples.split_names = artifact_utils.encode_split_names(["eval"])
    examples.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    records = folder / "examples" / "Split-eval" / "data_tfrecord-00000-of-00001"
    records.parent.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(records)) as writer:
        for number, (image, mask) in enumerate(zip(IMAGES, MASKS)):
            pixels, ids = np.array(image, np.uint8)[..., None], np.array(mask, np.uint8)
            site = {"site": "AB"[number]}
            writer.write(
                encode(Record(pixels, ids, str(number), "", (2, 2), attributes=site), LAYOUT)
            )

    def artifact(kind: Any, uri: str, number: int) -> Any:
        made = kind()
        made.uri, made.id = uri, number
        return [made]

    inputs = {"examples": [examples], "model": artifact(standard_artifacts.Model, model, 1)}
    if baseline:
        inputs["baseline_model"] = artifact(standard_artifacts.Model, baseline, 2)
    evaluation, blessing = str(folder / "evaluation"), str(folder / "blessing")
    outputs = {
        "evaluation": artifact(standard_artifacts.ModelEvaluation, evaluation, 3),
        "blessing": artifact(standard_artifacts.ModelBlessing, blessing, 4),
    }
    context = executor.Executor.Context(
        beam_pipeline_args=["--runner=FnApiRunner", "--sdk_container_image=none"],
        tmp_dir=str(folder / "tmp"),
        unique_id="1",
    )
    properties = {
        "eval_config": proto_utils.proto_to_json(eval_config(evaluate, CLASSES)),
        "example_splits": json.dumps(["eval"]),
    }
    executor.Executor(context).Do(inputs, outputs, properties)
    found = read_evaluation(evaluation, evaluate, CLASSES)
    blessed = outputs["blessing"][0].get_int_custom_property("blessed")
    assert found.blessed == (blessed == 1)
    return found


def test_metrics_and_a_passed_gate(tmp_path: Path, models: dict[int, str]) -> None:
    evaluate = EvaluateConfig(min_mean_iou=0.6, min_iou={"dark": 0.5})
    found = run_evaluator(tmp_path, evaluate, models[150], baseline=None)
    # Above 150 are 200, 250 and the ignored 160. Dark 10, 90, 30 are right; bright 120 and 140
    # are missed, 200 and 250 found: dark 3 of 5, bright 2 of 4.
    assert found.metrics["iou/dark"] == pytest.approx(3 / 5)
    assert found.metrics["iou/bright"] == pytest.approx(2 / 4)
    assert found.metrics["mean_iou"] == pytest.approx(0.55)
    assert found.metrics["pixel_accuracy"] == pytest.approx(5 / 7)
    assert found.baseline is None
    assert not found.blessed
    assert [(rule.rule, rule.passed) for rule in found.rules] == [
        ("min_mean_iou", False),
        ("min_iou.dark", True),
    ]
    assert found.rules[0].sentence() == "mean_iou 0.550 is below 0.6 (evaluate.min_mean_iou)"


def test_slices_are_measured_and_the_whole_is_judged(
    tmp_path: Path, models: dict[int, str]
) -> None:
    evaluate = EvaluateConfig(min_mean_iou=0.52, slices=("site", "camera"))
    found = run_evaluator(tmp_path, evaluate, models[150], baseline=None)
    # Site A is the first record: dark 2 of 3, bright 1 of 2. B the second: dark 1 of 2, bright 1
    # of 2, which is below the floor, as the whole is not. No record has a camera.
    assert list(found.slices) == ["site=A", "site=B"]
    assert found.slices["site=A"]["mean_iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found.slices["site=B"]["mean_iou"] == pytest.approx(1 / 2)
    assert found.metrics["mean_iou"] == pytest.approx(0.55)
    assert found.blessed


@pytest.mark.parametrize(
    ("value", "limit", "passed", "told"),
    [
        (0.7, 0.7, True, "mean_iou 0.700 reaches 0.7"),
        (0.6996, 0.7, False, "mean_iou 0.6996 is below 0.7"),  # not 0.700
        (0.91234, 0.912345, False, "mean_iou 0.912340 is below 0.912345"),
        (None, 0.5, False, "mean_iou undefined is below 0.5"),
    ],
)
def test_a_sentence_shows_what_falls_short(
    value: float | None, limit: float, passed: bool, told: str
) -> None:
    rule = Rule("min_mean_iou", "mean_iou", value, limit, passed)
    assert rule.sentence() == f"{told} (evaluate.min_mean_iou)"


def test_a_worse_model_than_the_baseline_is_not_blessed(
    tmp_path: Path, models: dict[int, str]
) -> None:
    worse = run_evaluator(
        tmp_path / "worse", EvaluateConfig(min_mean_iou=0.1), models[150], models[100]
    )
    # The model of threshold 100 is right everywhere: its mean IoU is 1.
    assert worse.baseline is not None
    assert worse.baseline["mean_iou"] == pytest.approx(1.0)
    assert not worse.blessed
    assert [(rule.rule, rule.passed) for rule in worse.rules] == [
        ("min_mean_iou", True),
        ("max_drop", False),
    ]
    better = run_evaluator(
        tmp_path / "better", EvaluateConfig(min_mean_iou=0.1), models[100], models[150]
    )
    assert better.blessed
    equal = run_evaluator(
        tmp_path / "equal", EvaluateConfig(min_mean_iou=0.1), models[150], models[150]
    )
    assert equal.blessed  # no worse
    allowed = run_evaluator(
        tmp_path / "allowed",
        EvaluateConfig(min_mean_iou=0.1, max_drop=0.5),
        models[150],
        models[100],
    )
    assert allowed.blessed


def test_a_floor_for_a_class_that_there_is_not_is_refused() -> None:
    with pytest.raises(InputError, match="names grey; the classes are dark, bright"):
        eval_config(EvaluateConfig(min_iou={"grey": 0.5}), CLASSES)
