"""Training that starts from an exported model."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout
from trainer import export, strategy, train, warm_start
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import registry
from trainer.statistics import Statistics

MODEL = ModelConfig(options={"width": 4, "depth": 2})


def settings(layout: Layout, model: ModelConfig = MODEL, **plan: Any) -> train.Settings:
    # One step at a rate that changes no weight that float32 can tell: 1 + 1e-12 is 1.
    steps = {"steps": 1, "steps_per_epoch": 1, "batch_size": 2, "learning_rate": 1e-12}
    return train.Settings(layout, model, TrainConfig(**{**steps, **plan}), AugmentConfig())


@pytest.fixture(scope="module")
def base(
    layout: Layout, statistics: Statistics, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, list[np.ndarray]]:
    """The folder of an exported model of random weights, and these."""
    with strategy.policy("float32"):
        model = train.build(settings(layout), statistics)
    rng = np.random.default_rng(1)
    # Of batch normalisation too, whose variances must be positive.
    weights = [rng.uniform(0.1, 0.2, value.shape) for value in model.get_weights()]
    model.set_weights(weights)
    folder = str(tmp_path_factory.mktemp("base") / "model")
    export.export(
        model,
        layout,
        registry.geometry(MODEL.name, MODEL.options),
        folder,
        {"name": "cells", "model": MODEL.model_dump(mode="json")},
        tf.zeros([32, 32, 1], tf.uint8),
    )
    return folder, model.get_weights()


def plain(layout: Layout, statistics: Statistics, model: ModelConfig = MODEL) -> Any:
    with strategy.policy("float32"):
        return train.build(settings(layout, model), statistics)


def test_the_exported_weights_are_the_models(
    base: tuple[str, list[np.ndarray]], layout: Layout, statistics: Statistics
) -> None:
    folder, expected = base
    found = warm_start.weights(folder, MODEL, plain(layout, statistics))
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_training_starts_from_them(
    precision: str,
    base: tuple[str, list[np.ndarray]],
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
) -> None:
    folder, expected = base
    trained = train.train(
        settings(layout, precision=precision),
        statistics,
        [record_files["train"]],
        [record_files["eval"]],
        tmp_path / "checkpoints",
        folder,
    )
    assert trained.summary["warm_start_from"] == folder
    trainable = {weight.name for weight in trained.model.trainable_weights}
    for weight, value in zip(trained.model.weights, expected, strict=True):
        # Statistics of batch normalisation move in a step, however small its rate.
        if weight.name in trainable:
            np.testing.assert_allclose(weight.numpy(), value, rtol=0, atol=1e-9)


def test_a_checkpoint_goes_before_the_base_model(
    base: tuple[str, list[np.ndarray]],
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
) -> None:
    def start(base_model: str | None) -> train.Trained:
        plan = settings(layout, learning_rate=0.01, precision="float32")
        files = [record_files["train"]], [record_files["eval"]]
        return train.train(plan, statistics, *files, tmp_path / "checkpoints", base_model)

    begun = start(None).model.get_weights()
    # The same directory as after a kill: all epochs are done, so nothing changes any more.
    for one, other in zip(start(base[0]).model.get_weights(), begun, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ModelConfig(name="fcn8s", options={"alpha": 0.25}), "it is a unet, not a fcn8s"),
        (ModelConfig(options={"width": 8, "depth": 2}), "model.options differ in width"),
        (ModelConfig(), "model.options differ in width, depth"),
    ],
)
def test_another_model_starts_afresh(
    model: ModelConfig,
    reason: str,
    base: tuple[str, list[np.ndarray]],
    layout: Layout,
    statistics: Statistics,
) -> None:
    with pytest.raises(warm_start.OtherModelError, match=reason):
        warm_start.weights(base[0], model, plain(layout, statistics, model))


def test_options_by_default_are_those_spelled_out(
    base: tuple[str, list[np.ndarray]], layout: Layout, statistics: Statistics
) -> None:
    defaults = registry.options("unet", MODEL.options).model_dump()
    spelled_out = ModelConfig(options=defaults)
    found = warm_start.weights(base[0], spelled_out, plain(layout, statistics, spelled_out))
    np.testing.assert_array_equal(found[0], base[1][0])


def test_starting_afresh_is_said(
    base: tuple[str, list[np.ndarray]],
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    other = ModelConfig(options={"width": 6, "depth": 2})
    with caplog.at_level(logging.INFO, "overtile.progress"):
        trained = train.train(
            settings(layout, other, precision="float32"),
            statistics,
            [record_files["train"]],
            [record_files["eval"]],
            tmp_path / "checkpoints",
            base[0],
        )
    assert trained.summary["warm_start_from"] is None
    notes = [record.note for record in caplog.records if hasattr(record, "note")]
    assert notes == [
        "Training starts afresh, not from the last blessed model: model.options differ in width."
    ]


def test_a_model_that_does_not_say_what_it_is(
    layout: Layout, statistics: Statistics, tmp_path: Path
) -> None:
    (tmp_path / "assets.extra").mkdir()
    (tmp_path / "assets.extra/overtile.json").write_text(json.dumps({"layout": layout.to_json()}))
    with pytest.raises(warm_start.OtherModelError, match="does not say which architecture"):
        warm_start.weights(str(tmp_path), MODEL, plain(layout, statistics))


def test_a_training_goes_on_with_other_devices_and_with_no_other_settings(layout: Layout) -> None:
    begun = train.key(settings(layout), "files")
    assert train.key(settings(layout, strategy="mirrored", jit=True), "files") == begun
    assert train.key(settings(layout, seed=1), "files") != begun


def test_the_checkpoints_of_another_base_model_are_others(layout: Layout) -> None:
    assert train.key(settings(layout), "files", "a") != train.key(settings(layout), "files", None)
