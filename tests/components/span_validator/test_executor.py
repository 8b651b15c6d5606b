from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts

from components.image_example_gen import spans
from components.records import Layout, Record, encode
from components.span_validator import blessing
from components.span_validator.blessing import VERDICTS, SpanBlessing, Verdict, decode
from components.span_validator.executor import FILE, Executor

LAYOUT = Layout(1, "uint8", ("ground", "disc"))


def disc(seed: int) -> np.ndarray:
    y, x = np.mgrid[:32, :32]
    row, column = np.random.default_rng(seed).uniform(8, 24, 2)
    return ((y - row) ** 2 + (x - column) ** 2 < 36).astype(np.uint8)


class Bright(tf.Module):
    """Takes bright pixels for discs; here that is what they are."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1], tf.uint8, name="image")])
    def tensor(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": tf.cast(image[..., 0] > 100, tf.uint8)}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made = standard_artifacts.Model()
    made.uri = str(tmp_path_factory.mktemp("model"))
    module = Bright()
    tf.saved_model.save(module, f"{made.uri}/Format-Serving", signatures={"tensor": module.tensor})
    return made


def examples(folder: Path, number: int, kind: str, split: str, labels: list[np.ndarray]) -> Any:
    """An artifact of images of discs, with these labels."""
    made = standard_artifacts.Examples()
    made.id, made.uri, made.split_names = number, str(folder), '["train", "eval"]'
    made.set_string_custom_property(spans.KIND, kind)
    made.set_string_custom_property(spans.NAME, f"span-{number}")
    for name in ("train", "eval"):
        (folder / f"Split-{name}").mkdir(parents=True)
        (folder / f"Split-{name}" / "empty").touch()
    with tf.io.TFRecordWriter(str(folder / f"Split-{split}" / "records")) as writer:
        for seed, label in enumerate(labels):
            image = (60 + 120 * disc(seed)).astype(np.uint8)[..., None]
            key = f"span-{number}/{seed:02d}"
            writer.write(encode(Record(image, label, key, "", label.shape), LAYOUT))
    return made


def judge(
    folder: Path, new: list[Any], evaluation: Any, models: list[Any], least: float = 0.5
) -> dict[int, Verdict]:
    output = SpanBlessing()
    output.uri = str(folder / "blessing")
    Executor().Do(
        {"examples": new, "evaluation": [evaluation], "model": models},
        {"blessing": [output]},
        {
            "layout": json.dumps(LAYOUT.to_json()),
            "min_agreement": least,
        },
    )
    assert (folder / "blessing" / FILE).is_file()
    return decode(output.get_string_custom_property(VERDICTS))


def test_a_good_span_is_accepted_and_one_of_mixed_up_masks_refused(
    tmp_path: Path, model: Any
) -> None:
    right = [disc(seed) for seed in range(8)]
    evaluation = examples(tmp_path / "1", 1, spans.EVALUATES, "eval", right)
    good = examples(tmp_path / "2", 2, spans.TRAINS, "train", right)
    mixed = examples(tmp_path / "3", 3, spans.TRAINS, "train", right[1:] + right[:1])
    verdicts = judge(tmp_path, [good, mixed], evaluation, [model])
    assert verdicts[2] == Verdict("span-2", True, 0.5, 1.0, 0.75, 1.0, 0.5)
    refused = verdicts[3]
    assert not refused.accepted
    assert refused.match is not None
    assert refused.match < 0.75
    assert "seem to be mixed up" in refused.reason
    assert "75% are needed" in refused.reason
    assert "where 0.50 are needed and it reaches 1.00 on the evaluation set" in refused.reason
    assert "fewest pixels agree in span-3/0" in refused.reason


def test_a_first_run_accepts_what_there_is(tmp_path: Path) -> None:
    labels = [disc(0)] * 4
    evaluation = examples(tmp_path / "1", 1, spans.EVALUATES, "eval", labels)
    training = examples(tmp_path / "2", 2, spans.TRAINS, "train", labels)
    verdicts = judge(tmp_path, [evaluation, training], evaluation, [])
    assert {key: one.accepted for key, one in verdicts.items()} == {1: True, 2: True}
    assert verdicts[2].match is None


def test_limits_of_zero_ask_no_model(tmp_path: Path) -> None:
    evaluation = examples(tmp_path / "1", 1, spans.EVALUATES, "eval", [disc(0)])
    training = examples(tmp_path / "2", 2, spans.TRAINS, "train", [disc(0)])
    nowhere = standard_artifacts.Model()
    nowhere.uri = str(tmp_path / "nowhere")
    assert judge(tmp_path, [training], evaluation, [nowhere], least=0)[2].accepted


def test_verdicts_of_another_version_are_read() -> None:
    verdict = Verdict("span-2", False, 0.5, reason="mixed up")
    text = blessing.encode({7: verdict}).replace('"reason"', '"severity": 3, "reason"')
    assert decode(text) == {7: verdict}
