from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout
from tests.trainer.conftest import blobs
from tests.trainer.models import checks
from trainer import train
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import autoencoder, registry
from trainer.statistics import Statistics

SMALL = {"width": 4, "depth": 3}


def images() -> tf.data.Dataset:
    some = np.stack([blobs(seed)[0] for seed in range(8)]).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices(some).repeat().batch(4)


def test_sizes_and_parameters() -> None:
    checks.check_sizes("autoencoder_fcn", SMALL, sizes=((32, 32), (24, 40)))
    model = checks.built("autoencoder_fcn", SMALL)
    # Convolutions without biases, each with 4 c of batch normalisation: 9 a b + 4 b for
    # 1 -> 4 -> 4 -> 8 -> 8 -> 16 -> 16: 52 + 160 + 320 + 608 + 1216 + 2368 = 4724. Scores of two
    # classes from 4, 8 and 16 channels: 10 + 18 + 34. Up-sampling by 2, 2 and 2 (the finest is
    # stride 2): 2 * 2 * 16 each.
    assert model.count_params() == 4724 + 62 + 3 * 64


def test_one_record_is_learnt() -> None:
    checks.check_overfits("autoencoder_fcn", SMALL)


def test_an_export_answers_as_the_model(tmp_path: Path) -> None:
    checks.check_export("autoencoder_fcn", SMALL, tmp_path)


def test_it_learns_to_reproduce_images() -> None:
    model = checks.built("autoencoder_fcn", SMALL)
    encoder, score = model.get_layer("encoder"), model.get_layer("score_8")
    before = [encoder.get_weights()[0], score.get_weights()[0]]

    def error(steps: int) -> float:
        options = registry.options("autoencoder_fcn", {**SMALL, "pretrain_steps": steps})
        return autoencoder.pretrain(model, images(), options)

    # Discs of 180 on 60, about 1 in 5 pixels: a variance of about 48^2, which normalised is 0.9.
    # The first step knows nothing of that and is further off than the mean alone would be; all of
    # 150 steps together are nearer.
    assert error(steps=1) > 0.9
    assert error(steps=150) < 0.8
    after = [encoder.get_weights()[0], score.get_weights()[0]]
    # The encoder has learnt, and the class scores have not.
    assert not np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])


def test_no_steps_are_none() -> None:
    model = checks.built("autoencoder_fcn", SMALL)
    before = model.get_weights()
    prepare = registry.preparation("autoencoder_fcn", {**SMALL, "pretrain_steps": 0})
    assert prepare is not None
    prepare(model, images())
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights()))


def test_a_run_prepares_once(
    layout: Layout,
    statistics: Statistics,
    record_files: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []
    real = autoencoder.pretrain

    def pretrain(model: Any, batches: tf.data.Dataset, options: Any) -> float:
        calls.append(next(iter(batches)).shape)
        return real(model, batches, options)

    monkeypatch.setattr(autoencoder, "pretrain", pretrain)
    settings = train.Settings(
        layout,
        ModelConfig(name="autoencoder_fcn", options={**SMALL, "pretrain_steps": 2}),
        TrainConfig(steps=2, steps_per_epoch=1, batch_size=2, precision="float32"),
        AugmentConfig(),
    )
    files = [record_files["train"]], [record_files["eval"]]
    for _ in range(2):  # the second one finds the checkpoints of the first
        train.train(settings, statistics, *files, tmp_path / "checkpoints")
    assert calls == [(2, 32, 32, 1)]
