"""Memory that runs out, a compiler that cannot, devices that are too many."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.records import Layout
from tests.trainer.test_train import settings
from trainer import fitting, memory, strategy, train
from trainer.statistics import Statistics


def out_of_memory(most: int) -> Any:
    """Takes so many tiles a step, and no more."""

    def step(size: int) -> None:
        if size > most:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    return step


@pytest.mark.parametrize(
    ("batch_size", "parts", "replicas", "most", "sentence"),
    [
        # 16 does not fit, 8 neither, 4 does: a quarter of the tiles, or four parts.
        (16, 1, 1, 5, "A step of 16 tiles does not fit into memory, and one of 4 does: set "
         "train.batch_size to 4, or train.accumulate to 4 for the same steps in less memory."),
        # 12 in two parts; 6 in two parts fits: 3 tiles at a time, four parts of 12.
        (12, 2, 1, 6, "A step of 12 tiles does not fit into memory, and one of 6 does: set "
         "train.batch_size to 6, or train.accumulate to 4 for the same steps in less memory."),
        # Two devices, at least a tile each: 4 is not tried below 2.
        (4, 1, 2, 1, "A step of 4 tiles does not fit into memory, nor does one of 2: set "
         "train.crop or ingest.tile to fewer pixels, or take a narrower model."),
        (1, 1, 1, 0, "A step of 1 tiles does not fit into memory: set train.crop or ingest.tile "
         "to fewer pixels, or take a narrower model."),
    ],
)  # fmt: skip
def test_what_would_fit_is_told(
    batch_size: int, parts: int, replicas: int, most: int, sentence: str
) -> None:
    told = memory.does_not_fit(batch_size, parts, replicas, out_of_memory(most))
    assert str(told) == sentence


def test_a_full_disk_is_not_full_memory() -> None:
    def error(message: str) -> tf.errors.OpError:
        return tf.errors.ResourceExhaustedError(None, None, message)

    assert memory.is_exhausted(error("OOM when allocating tensor with shape[16,512,512,64]"))
    assert not memory.is_exhausted(error("/ckpt/state.data; No space left on device"))


def test_a_step_that_does_not_fit_ends_in_a_sentence(
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    call = train.Loss.__call__

    def greedy(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        def allocate(tiles: Any) -> Any:
            if tiles > 2:
                raise MemoryError  # which TensorFlow turns into its own error
            return tiles

        tiles = tf.numpy_function(allocate, [tf.shape(y_true)[0]], tf.int32)
        with tf.control_dependencies([tiles]):
            return call(self, y_true, y_pred, sample_weight)

    monkeypatch.setattr(train.Loss, "__call__", greedy)
    with pytest.raises(InputError, match=r"A step of 8 tiles .* one of 2 does: .*batch_size to 2"):
        train.train(
            settings(layout, batch_size=8),
            statistics,
            [record_files["train"]],
            [record_files["eval"]],
            tmp_path,
        )


def plain(layout: Layout, statistics: Statistics, **options: Any) -> keras.Model:
    with strategy.policy("float32"):
        return train.build(settings(layout, **options), statistics)


def test_memory_is_estimated_from_what_layers_keep() -> None:
    x = inputs = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(8, 3, padding="same")(x)
    x = keras.layers.MaxPooling2D(2)(keras.layers.Activation("relu")(x))
    # Of a tile of 32 x 32 the convolution and what is left of it are kept, 8 channels of 4 bytes,
    # and a quarter of that after pooling.
    assert memory.activations(keras.Model(inputs, x), (32, 32, 1)) == 32 * 32 * 8 * 4 * 2.25


@pytest.mark.parametrize(
    ("free", "advice"),
    [
        # Half of the 16 tiles and what the weights take.
        (0.5, "train.batch_size: 8 would fit, or train.accumulate: 2"),
        (0.01, "not even one tile may fit: set train.crop to fewer pixels, or take a narrower "
         "model"),
        (1.0, None),
    ],
)  # fmt: skip
def test_a_step_that_the_kernel_would_kill_is_told_of_before(
    free: float,
    advice: str | None,
    layout: Layout,
    statistics: Statistics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = plain(layout, statistics)
    each = memory.activations(model, (32, 32, 1))
    fixed = 16 * model.count_params()
    monkeypatch.setattr(memory, "available", lambda: int(fixed + free * 16 * each))
    with caplog.at_level(logging.INFO, "overtile.progress"):
        memory.warn(model, (32, 32, 1), batch_size=16, parts=1)
    assert [record.note.partition("killed, ")[2] for record in caplog.records] == (
        [f"{advice}."] if advice else []
    )


def step(layout: Layout, statistics: Statistics, **options: Any) -> tuple[Any, Any]:
    """A model, and a function that trains it a step on 4 tiles."""
    chosen = settings(layout, optimizer="sgd", momentum=0.9, learning_rate=0.05, **options)
    keras.utils.set_random_seed(3)
    with strategy.policy(chosen.train.precision):
        model = train.compiled(chosen, statistics)
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (4, 16, 16, 1)).astype(np.float32)
    masks = (images[..., 0] > 128).astype(np.uint8)
    batch = (images, masks, np.full(masks.shape, 1 / masks.size, np.float32))
    batches = tf.data.Dataset.from_tensors(batch).repeat()

    def fit() -> None:
        fitting.fit(model, chosen, lambda *_: batches, 0, False, steps_per_epoch=2, callbacks=[])

    return model, fit


def test_xla_takes_the_same_step(layout: Layout, statistics: Statistics) -> None:
    ends = []
    for jit in (False, True):
        model, fit = step(layout, statistics, jit=jit)
        assert model.uses_jit == jit
        fit()
        ends.append(model.get_weights())
    for one, other in zip(*ends):
        # Fused operations round in other places.
        assert np.allclose(one, other, atol=1e-5)


def test_what_xla_cannot_compile_trains_without(
    layout: Layout,
    statistics: Statistics,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    call = train.Loss.__call__

    def odd(self: Any, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tf.Tensor:
        loss = call(self, y_true, y_pred, sample_weight)
        nothing = tf.numpy_function(np.zeros_like, [loss], tf.float32)
        return loss + tf.ensure_shape(nothing, [])

    monkeypatch.setattr(train.Loss, "__call__", odd)
    monkeypatch.setattr(fitting, "jits", lambda *_: True)  # as on a GPU
    model, fit = step(layout, statistics)
    with caplog.at_level(logging.INFO, "overtile.progress"):
        fit()
    assert int(model.optimizer.iterations.numpy()) == 2
    assert "XLA cannot compile this model" in caplog.text
    assert not model.uses_jit


@pytest.mark.parametrize("accumulate", [1, 3])
def test_float16_skips_a_step_that_overflows_and_lowers_the_scale(
    accumulate: int, layout: Layout, statistics: Statistics
) -> None:
    model, fit = step(layout, statistics, precision="mixed_float16", accumulate=accumulate)
    assert isinstance(model.optimizer, keras.mixed_precision.LossScaleOptimizer)
    before = model.get_weights()
    assert float(model.optimizer.loss_scale) == 2**15
    fit()
    changed = [not np.array_equal(one, other) for one, other in zip(before, model.get_weights())]
    assert any(changed)
    assert float(model.optimizer.loss_scale) == 2**15
    # A loss of some 0.5 times 2^24 gives gradients beyond float16's 65504 at the logits' end.
    trainable = [weight.numpy() for weight in model.trainable_weights]
    model.optimizer._loss_scale._current_loss_scale.assign(2.0**40)
    fit()
    # Both steps were skipped; each halves the scale.
    assert float(model.optimizer.loss_scale) == 2**38
    for one, other in zip(trainable, model.trainable_weights):
        assert np.array_equal(one, other.numpy())


def test_xla_is_for_one_device(layout: Layout) -> None:
    with pytest.raises(InputError, match=r"train\.jit: true is for one device, and 2 train"):
        fitting.jits(settings(layout, jit=True), replicas=2)
    assert not fitting.jits(settings(layout), replicas=1)  # there is no GPU here


def config(cluster: dict[str, Any], job: str, index: int) -> str:
    return json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})


TWO = {"worker": ["a:1", "b:1"]}


@pytest.mark.parametrize(
    ("told", "found"),
    [
        (config(TWO, "worker", 1), strategy.Cluster(2, 1)),
        (config({"chief": ["c:1"], **TWO}, "worker", 0), strategy.Cluster(3, 1)),
        (config({"chief": ["c:1"], **TWO}, "chief", 0), strategy.Cluster(3, 0)),
        (config({"worker": ["a:1"]}, "worker", 0), None),
        ("", None),
        ('{"of": "something else"}', None),
    ],
)
def test_tf_config_says_who_trains(
    told: str, found: strategy.Cluster | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", told)
    assert strategy.cluster("auto") == found
    assert strategy.cluster("one_device") is None


@pytest.mark.parametrize("told", ["", "no JSON", config(TWO, "worker", 2), config(TWO, "ps", 0)])
def test_workers_need_a_tf_config_that_names_them(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_CONFIG", told)
    with pytest.raises(InputError, match="TF_CONFIG must name the workers"):
        strategy.cluster("multi_worker")


def test_mirrored_devices_need_a_tile_each() -> None:
    assert not isinstance(strategy.strategy("auto"), tf.distribute.MirroredStrategy)
    assert isinstance(strategy.strategy("mirrored", 1), tf.distribute.MirroredStrategy)
    with pytest.raises(InputError, match="2 tiles at a time to 4 devices: make it 4 or more"):
        strategy._refuse_idle_replicas(4, 2)
