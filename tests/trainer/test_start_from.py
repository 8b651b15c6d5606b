"""`train.start_from`: weights of other models, whole or by the names of layers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.records import Layout
from trainer import export, starting, strategy, train, warm_start
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import registry
from trainer.settings import Settings
from trainer.statistics import Statistics

SMALL = ModelConfig(options={"width": 4, "depth": 1})
WIDE = ModelConfig(options={"width": 6, "depth": 1})


def settings(layout: Layout, model: ModelConfig, start_from: Path | None = None) -> Settings:
    return Settings(layout, model, TrainConfig(start_from=start_from), AugmentConfig())


def built(layout: Layout, statistics: Statistics, model: ModelConfig, seed: int) -> keras.Model:
    keras.utils.set_random_seed(seed)
    with strategy.policy("float32"):
        return train.build(settings(layout, model), statistics)


def exported(
    folder: Path, layout: Layout, statistics: Statistics, config: ModelConfig
) -> tuple[str, keras.Model]:
    model = built(layout, statistics, config, seed=1)
    export.export(
        model,
        layout,
        registry.geometry(config.name, config.options),
        str(folder),
        {
            "name": "cells",
            "model": config.model_dump(mode="json"),
            "statistics": {"mean": statistics.mean, "deviation": statistics.deviation},
        },
        tf.zeros([32, 32, 1], tf.uint8),
    )
    return str(folder), model


def equal(one: keras.Model, other: keras.Model) -> bool:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", ["model.keras", "model.weights.h5", "model.h5", "checkpoint"])
def test_weights_of_files(
    kind: str, layout: Layout, statistics: Statistics, tmp_path: Path
) -> None:
    source = built(layout, statistics, SMALL, seed=1)
    path = tmp_path / kind
    if kind == "model.keras":
        source.save(path)
    elif kind == "checkpoint":
        tf.train.CheckpointManager(tf.train.Checkpoint(model=source), str(path), 1).save()
    else:
        source.save_weights(path)
    model = built(layout, statistics, SMALL, seed=2)
    assert not equal(source, model)
    # Three blocks of two convolutions, each with its normalisation, the way up, and the scores.
    assert warm_start.start(model, str(path), SMALL) == warm_start.Taken(14, 14)
    assert equal(source, model)
    # Of another width the first layer differs, and both shapes are told.
    with pytest.raises(InputError) as told:
        warm_start.start(built(layout, statistics, WIDE, seed=2), str(path), WIDE)
    sentence = str(told.value)
    assert str(path) in sentence
    assert "\n" not in sentence
    assert "(3, 3, 1, 4) in " in sentence
    assert " and (3, 3, 1, 6) in this model" in sentence


def test_weights_of_an_exported_model(
    layout: Layout, statistics: Statistics, tmp_path: Path
) -> None:
    path, source = exported(tmp_path / "model", layout, statistics, SMALL)
    model = built(layout, statistics, SMALL, seed=2)
    assert warm_start.start(model, path, SMALL) == warm_start.Taken(14, 14)
    assert equal(source, model)
    wide = built(layout, statistics, WIDE, seed=2)
    before = wide.get_weights()
    with pytest.raises(InputError) as told:
        warm_start.start(wide, path, WIDE)
    assert str(told.value) == (
        f"train.start_from: down0_conv1 has the shape (3, 3, 1, 4) in {path} and (3, 3, 1, 6) in "
        "this model; model.options, channels and classes must be the same."
    )
    # Nothing was taken.
    for one, other in zip(before, wide.get_weights()):
        assert np.array_equal(one, other)
    other = ModelConfig(name="fcn16s", options={"backbone": "mobilenet", "alpha": 0.25})
    with pytest.raises(InputError, match="is a unet, which a fcn16s cannot start from"):
        warm_start.start(built(layout, statistics, other, seed=2), path, other)


@pytest.mark.slow
def test_a_finer_fcn_starts_from_a_coarser_one(
    layout: Layout, statistics: Statistics, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {"backbone": "mobilenet", "alpha": 0.25}
    coarse, fine = (ModelConfig(name=name, options=options) for name in ("fcn32s", "fcn16s"))
    path, source = exported(tmp_path / "fcn32s", layout, statistics, coarse)
    chosen = settings(layout, fine, Path(path))
    model = built(layout, statistics, fine, seed=2)
    with caplog.at_level(logging.INFO, "overtile.progress"):
        start = starting.weights(
            model, lambda: built(layout, statistics, fine, seed=2), chosen, None
        )
    ours, theirs = warm_start.leaves(model), warm_start.leaves(source)
    shared = [name for name in ours if name in theirs]
    # All but the scores at stride 16, their up-sampling, and that of the coarser ones onto them.
    new = set(ours) - set(shared)
    assert len(new) == 3
    assert "score_16" in new
    assert start.told() == {"path": path, "layers": len(shared), "of": len(ours)}
    assert f"{len(shared)} of {len(ours)} layers have its weights." in caplog.text
    for name in shared:
        for one, other in zip(ours[name].get_weights(), theirs[name].get_weights(), strict=True):
            assert np.array_equal(one, other)
    # New scores begin at zero.
    assert not any(np.any(value) for value in ours["score_16"].get_weights())


def test_nothing_to_start_from(layout: Layout, statistics: Statistics, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.h5").write_text("not HDF5")
    for name in ("empty", "missing", "notes.h5"):
        with pytest.raises(InputError, match=f"^train.start_from: {tmp_path / name} "):
            warm_start.start(built(layout, statistics, SMALL, seed=2), str(tmp_path / name), SMALL)
