from __future__ import annotations

import dataclasses
import functools
import json
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from components.records import Layout
from tests.trainer.apart import told_by
from trainer import train
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.statistics import Statistics


def settings(layout: Layout, **changes: Any) -> train.Settings:
    plan = {
        "steps": 12,
        "steps_per_epoch": 4,
        "batch_size": 4,
        "precision": "float32",
        "learning_rate": 0.01,
        **changes,
    }
    return train.Settings(
        layout,
        ModelConfig(options={"width": 4, "depth": 2}),
        TrainConfig(**plan),
        AugmentConfig(elastic=True, elastic_sigma=2),
    )


@pytest.fixture
def run(record_files: dict[str, str], layout: Layout, statistics: Statistics, tmp_path: Path):
    def start(folder: str, **changes: Any) -> train.Trained:
        return train.train(
            settings(layout, **changes),
            statistics,
            [record_files["train"]],
            [record_files["eval"]],
            tmp_path / folder,
        )

    return start


def test_it_learns(run) -> None:
    trained = run("one", steps=60, steps_per_epoch=20)
    # The disc is far brighter than its ground: a threshold alone would do.
    assert trained.summary["best_mean_iou"] > 0.9
    assert [entry["epoch"] for entry in trained.summary["history"]] == [1, 2, 3]


@pytest.mark.parametrize("weight_average", [0.0, 0.9])
def test_a_killed_training_goes_on_to_the_same_model(
    run, weight_average: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = functools.partial(run, weight_average=weight_average)
    whole = run("whole")

    class Killed(BaseException):
        pass

    def kill(self: Any, batch: int, logs: Any = None) -> None:
        if int(self.model.optimizer.iterations.numpy()) == 10:
            raise Killed  # in the third epoch, after the checkpoint of the second

    with monkeypatch.context() as patch:
        patch.setattr(train.Progress, "on_train_batch_end", kill)
        with pytest.raises(Killed):
            run("killed")
    with caplog.at_level(logging.INFO, "overtile.progress"):
        resumed = run("killed")
    assert resumed.summary["resumed_from_step"] == 8
    notes = [getattr(record, "note", None) for record in caplog.records]
    assert "Training goes on from step 8 of 12." in notes
    assert [entry["epoch"] for entry in resumed.summary["history"]] == [1, 2, 3]
    for expected, given in zip(whole.model.get_weights(), resumed.model.get_weights()):
        assert np.allclose(expected, given, atol=1e-5)
    assert resumed.summary["best_mean_iou"] == pytest.approx(whole.summary["best_mean_iou"])


def test_what_is_evaluated_and_kept_is_the_average_of_the_weights(
    run, record_files, layout
) -> None:
    # With this decay and four steps the average still holds much of the first, worse weights.
    trained = run("average", steps=4, weight_average=0.9)
    last = run("last", steps=4)
    told = trained.summary["history"][0]["val_mean_iou"]
    assert told != last.summary["history"][0]["val_mean_iou"]
    batches = train.evaluation_batches(settings(layout), [record_files["eval"]])
    assert trained.model.evaluate(batches, verbose=0, return_dict=True)[
        "mean_iou"
    ] == pytest.approx(told)


def test_a_finished_training_is_not_trained_further(run) -> None:
    first = run("same")
    again = run("same")
    assert again.summary["resumed_from_step"] == 12
    assert again.summary["history"] == first.summary["history"]


def test_early_stopping_keeps_the_best_epoch(run) -> None:
    # A rate of nothing changes only the batch statistics, once they have settled.
    trained = run("early", steps=400, schedule="constant", learning_rate=1e-12, early_stopping=2)
    history = trained.summary["history"]
    best = max(history, key=lambda entry: entry["val_mean_iou"])["epoch"]
    assert history[-1]["epoch"] == best + 2
    assert trained.summary["best_step"] == best * 4
    assert trained.summary["steps"] < 400


@pytest.mark.slow
def test_a_step_on_several_replicas_is_the_step_on_one() -> None:
    found = told_by("on_replicas")
    # Devices, normalisation, parts that a step looks at one after the other.
    others = {"2-batch-1", "4-batch-1", "2-none-1", "4-none-1", "2-none-2"}
    assert found.keys() == {"1-batch-1", "1-none-1"} | others
    for name, differences in found.items():
        # Sums in another order differ by rounding, and the synchronised layer computes the variance
        # in another way; dividing by each replica's own pixels would differ by 0.1.
        nearly = 2e-5 if "batch" in name else 1e-6
        assert differences["weights"] < nearly
        assert differences["averages"] < nearly
        # The fused kernel of a single device keeps the variance of n pixels as n / (n - 1) times
        # what it is; at the bottom of this network n is 5 * 16 * 16 in the smaller batch.
        assert differences["statistics"] < (0.01 if "batch" in name else 1e-9)
        # The loss of training, that of evaluation, whose last batch does not go round, and its IoU.
        assert differences["told"] < (1e-3 if "batch" in name else 1e-6)


def test_hyperparameters_replace_what_the_configuration_says(layout: Layout) -> None:
    changed = settings(layout).replaced(
        {"train.learning_rate": 0.5, "model.width": 8, "tuner/epochs": 3}
    )
    assert changed.train.learning_rate == 0.5
    assert changed.model.options == {"width": 8, "depth": 2}
    assert changed.train.steps == 12


def test_settings_survive_json(layout: Layout) -> None:
    before = settings(layout)
    after = train.Settings.from_json(json.loads(json.dumps(before.to_json())))
    assert dataclasses.asdict(after.layout) == dataclasses.asdict(before.layout)
    assert after == before


def test_mixed_precision_keeps_weights_and_logits_in_float32(
    layout: Layout, statistics: Statistics
) -> None:
    from trainer import strategy

    with strategy.policy("mixed_bfloat16"):
        model = train.compiled(settings(layout), statistics)
    assert keras.mixed_precision.global_policy().name == "float32"
    assert {keras.backend.dtype(weight) for weight in model.weights} == {"float32"}
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert convolutions[0].compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"


def test_precision_follows_the_processors_flags(tmp_path: Path) -> None:
    from trainer import strategy

    for flags, expected in (("fpu avx2", False), ("fpu avx512_bf16", True), ("amx_bf16", True)):
        file = tmp_path / "cpuinfo"
        file.write_text(f"flags : {flags}\n")
        assert strategy.cpu_computes_bfloat16(file) == expected
    assert not strategy.cpu_computes_bfloat16(tmp_path / "none")
