"""`run_fn` from records to an exported model, with each architecture and kind of padding."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf

from components.records import Layout
from trainer import train
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.statistics import Statistics


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("unet", {"width": 4, "depth": 2}),
        ("unet", {"width": 4, "depth": 2, "padding": "valid", "normalisation": "none"}),
        ("fcn8s", {"alpha": 0.25}),
    ],
)
def test_what_is_exported_answers_as_it_was_evaluated_in_training(
    name: str,
    options: dict[str, Any],
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = train.Settings(
        layout,
        ModelConfig(name=name, options=options),
        TrainConfig(steps=4, steps_per_epoch=2, batch_size=2, precision="float32"),
        AugmentConfig(),
    )
    monkeypatch.setattr(train, "read", lambda uri: statistics)
    arguments = SimpleNamespace(
        custom_config={
            **settings.to_json(),
            "checkpoints": str(tmp_path / "checkpoints"),
            "description": {"name": "discs"},
        },
        # What the Tuner found goes before what the configuration says.
        hyperparameters={"space": [], "values": {"train.learning_rate": 0.005}},
        transform_output="unused",
        base_model=None,
        train_files=[record_files["train"]],
        eval_files=[record_files["eval"]],
        serving_model_dir=str(tmp_path / "serving"),
        model_run_dir=str(tmp_path / "run"),
    )
    train.run_fn(arguments)

    summary = json.loads((tmp_path / "run" / "training.json").read_text())
    assert summary["settings"]["train"]["learning_rate"] == 0.005
    assert list((tmp_path / "run" / "logs").rglob("events*"))
    assert not list((tmp_path / "checkpoints").iterdir())

    signatures = tf.saved_model.load(arguments.serving_model_dir).signatures
    records = list(tf.data.TFRecordDataset(record_files["eval"]).as_numpy_iterator())
    counts = signatures["evaluate"](examples=tf.constant(records))["confusion"]
    cells = tf.cast(tf.reshape(tf.reduce_sum(counts, axis=0), [2, 2]), tf.float64).numpy()
    # 3 records of 32 x 32 pixels, of which 16 are ignored.
    assert cells.sum() == 3 * (32 * 32 - 16)
    union = cells.sum(0) + cells.sum(1) - cells.diagonal()
    iou = (cells.diagonal() / union)[union > 0]
    assert iou.mean() == pytest.approx(summary["best_mean_iou"], abs=1e-3)
