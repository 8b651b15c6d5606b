from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from trainer import schedules
from trainer.adam import Adam
from trainer.config import TrainConfig
from trainer.lamb import LAMB


def rates(steps: list[int], **plan: Any) -> list[float]:
    rate = schedules.learning_rate(TrainConfig(**{"learning_rate": 0.1, "steps": 100, **plan}))
    return [float(rate(step)) if callable(rate) else rate for step in steps]


def test_constant() -> None:
    assert rates([0, 50, 99], schedule="constant") == [0.1, 0.1, 0.1]
    # A tenth of the way up after a tenth of the warm-up.
    assert rates([0, 2, 20, 70], schedule="constant", warmup_steps=20) == pytest.approx(
        [0, 0.01, 0.1, 0.1]
    )


def test_cosine() -> None:
    # (1 + cos(pi t)) / 2 at 0, 1/4, 1/2 and 1.
    quarter = (1 + math.sqrt(0.5)) / 2
    expected = [0.1, 0.1 * quarter, 0.05, 0]
    assert rates([0, 25, 50, 100]) == pytest.approx(expected, abs=1e-8)
    # After a warm-up of 20 it takes the other 80.
    assert rates([0, 10, 20, 40, 60, 100], warmup_steps=20) == pytest.approx(
        [0, 0.05, *expected], abs=1e-8
    )


@pytest.mark.parametrize("warmup", [0, 20])
def test_cosine_is_what_it_was(warmup: int) -> None:
    # Keras's own, by which every configuration without `schedule` has been trained.
    known = keras.optimizers.schedules.CosineDecay(
        *((0.0, 80) if warmup else (0.1, 100)),
        warmup_target=0.1 if warmup else None,
        warmup_steps=warmup,
    )
    steps = list(range(101))
    assert rates(steps, warmup_steps=warmup) == [float(known(step)) for step in steps]


def test_polynomial() -> None:
    # (1 - t)^power.
    plan = {"schedule": "polynomial", "power": 2}
    assert rates([0, 50, 90, 100], **plan) == pytest.approx([0.1, 0.025, 0.001, 0])
    assert rates([0, 10, 20, 60, 100], warmup_steps=20, **plan) == pytest.approx(
        [0, 0.05, 0.1, 0.025, 0]
    )
    # DeepLab's power.
    assert rates([75], schedule="polynomial") == pytest.approx([0.1 * 0.25**0.9])


def test_stairs_at_shares() -> None:
    plan = {"schedule": "step", "step_at": [0.5, 0.75], "step_factor": 0.2}
    # The 50 steps 0 to 49 are the first half.
    assert rates([0, 49, 50, 74, 75, 99], **plan) == pytest.approx(
        [0.1, 0.1, 0.02, 0.02, 0.004, 0.004]
    )
    # Shares of the 80 steps after the warm-up: 20 + 40 and 20 + 60.
    assert rates([10, 20, 59, 60, 79, 80], warmup_steps=20, **plan) == pytest.approx(
        [0.05, 0.1, 0.1, 0.02, 0.02, 0.004]
    )


def test_stairs_every_so_many_steps() -> None:
    plan = {"schedule": "step", "step_every": 30, "step_factor": 0.5}
    assert rates([0, 29, 30, 59, 60, 90], **plan) == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.025, 0.0125]
    )
    assert rates([20, 49, 50], warmup_steps=20, **plan) == pytest.approx([0.1, 0.1, 0.05])


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.7, 0.3], [0.0, 0.5], [0.5, 1.0], []])
def test_stairs_that_make_no_sense_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValidationError, match="step_at"):
        TrainConfig(step_at=shares)


def test_adam_with_decay_is_adamw() -> None:
    with pytest.raises(ValidationError, match="adam with it is adamw"):
        TrainConfig(optimizer="adam", weight_decay=0.1)


def layer(kernel: float = 3.0) -> keras.Model:
    """y = 3x + 2, normalised: a weight, an offset, and the two of normalisation."""
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, kernel_initializer="ones", bias_initializer="ones"),
            keras.layers.BatchNormalization(),
        ]
    )
    values = [np.full_like(value, 2.0) for value in model.get_weights()]
    model.set_weights([np.full_like(values[0], kernel), *values[1:]])
    return model


def after(gradient: float, steps: int = 1, **plan: Any) -> dict[str, float]:
    """The weights after steps of one gradient for all, by name."""
    model = layer()
    optimizer = schedules.optimizer(
        TrainConfig(**{"learning_rate": 0.1, "schedule": "constant", **plan})
    )
    variables = model.trainable_variables
    for _ in range(steps):
        optimizer.apply_gradients([(tf.fill(each.shape, gradient), each) for each in variables])
    return {each.name.split("/")[-1].split(":")[0]: each.numpy().item() for each in variables}


def test_momentum_and_nesterov_by_hand() -> None:
    # Velocities -0.1 and -0.9 * 0.1 - 0.1 = -0.19.
    plain = after(1.0, 2, optimizer="sgd", momentum=0.9)
    assert plain["kernel"] == pytest.approx(3 - 0.1 - 0.19)
    # Nesterov goes 0.9 of the velocity and one step further: 0.9 v - 0.1.
    ahead = after(1.0, 2, optimizer="sgd", momentum=0.9, nesterov=True)
    assert ahead["kernel"] == pytest.approx(3 - (0.09 + 0.1) - (0.171 + 0.1))


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_weights_decay_and_offsets_do_not(name: str) -> None:
    plan: dict[str, Any] = {"optimizer": name, "momentum": 0.0}
    without = after(0.5, weight_decay=0.0, **plan)
    found = after(0.5, weight_decay=0.2, **plan)
    # sgd and adamw take 0.1 * 0.2 of the weight, 3, away. LAMB's step has the size of the weight
    # whatever it is made of: 0.1 * 3 with the decay as without.
    expected = without["kernel"] - (0.0 if name == "lamb" else 0.06)
    assert found["kernel"] == pytest.approx(expected, rel=1e-5)
    for offset in ("bias", "gamma", "beta"):
        assert found[offset] == without[offset]


@pytest.mark.parametrize(("name", "decays"), [("sgd", 0.0), ("adamw", 0.01), ("lamb", 0.01)])
def test_decay_by_default(name: str, decays: float) -> None:
    plan: dict[str, Any] = {"optimizer": name, "momentum": 0.0}
    assert after(0.5, **plan) == after(0.5, weight_decay=decays, **plan)


def test_gradients_are_cut_together() -> None:
    # Four gradients of 3 have the norm 6; cut to 1, each is 1/2.
    plan: dict[str, Any] = {"optimizer": "sgd", "momentum": 0.0, "clip_norm": 1.0}
    assert after(3.0, **plan)["kernel"] == pytest.approx(3 - 0.1 * 0.5)
    # A norm of 0.2 stays.
    assert after(0.1, **plan)["kernel"] == pytest.approx(3 - 0.1 * 0.1)


@pytest.mark.parametrize("decay", [None, 0.1])
def test_adam_is_kerass(decay: float | None) -> None:
    rng = np.random.default_rng(0)
    start = rng.normal(size=(4, 3)).astype(np.float32)
    weights = [tf.Variable(start), tf.Variable(start)]
    plan = {"learning_rate": 0.05, "weight_decay": decay}
    optimizers = [Adam(**plan), keras.optimizers.Adam(**plan)]
    for _ in range(5):
        gradient = tf.constant(rng.normal(size=(4, 3)), tf.float32)
        for optimizer, weight in zip(optimizers, weights):
            optimizer.apply_gradients([(gradient, weight)])
    assert np.allclose(*weights, atol=1e-6)
    assert not np.allclose(weights[0], start, atol=0.01)


def test_lamb_by_hand() -> None:
    weight = tf.Variable([3.0, 4.0])
    optimizer = LAMB(0.1, weight_decay=0.5, epsilon=0.0)
    optimizer.apply_gradients([(tf.constant([2.0, -7.0]), weight)])
    # Adam's first step is the sign, (1, -1); with half of the weights (2.5, 1), of the length
    # sqrt(7.25), made as long as the weights, 5.
    size = 5 / math.sqrt(7.25)
    assert weight.numpy() == pytest.approx([3 - 0.1 * size * 2.5, 4 - 0.1 * size], rel=1e-5)


def test_lamb_is_tensorflow_addons() -> None:
    from trainer.addons import tfa

    rng = np.random.default_rng(0)
    start = rng.normal(size=(4, 3)).astype(np.float32)
    ours, theirs, still = tf.Variable(start), tf.Variable(start), tf.Variable(tf.zeros([2]))
    one, other = LAMB(0.05, weight_decay=0.1), tfa.optimizers.LAMB(0.05, weight_decay=0.1)
    for _ in range(5):
        gradient = tf.constant(rng.normal(size=(4, 3)), tf.float32)
        one.apply_gradients([(gradient, ours), (tf.ones([2]), still)])
        other.apply_gradients([(gradient, theirs)])
    assert np.allclose(ours, theirs, atol=1e-6)
    # A layer of zeros takes Adam's step.
    assert np.all(np.isfinite(still))
    assert np.all(still.numpy() < 0)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lamb"])
def test_a_checkpoint_goes_on_as_if_nothing_had_been(name: str, tmp_path: Path) -> None:
    def begun() -> tuple[tf.Variable, Any, tf.train.Checkpoint]:
        weight = tf.Variable([3.0, 4.0], name="kernel")
        plan = TrainConfig(
            optimizer=name,  # type: ignore[arg-type]
            learning_rate=0.1,
            schedule="polynomial",
            steps=9,
            warmup_steps=2,
            momentum=0.9,
            clip_norm=3.0,
        )
        optimizer = schedules.optimizer(plan)
        optimizer.build([weight])
        return weight, optimizer, tf.train.Checkpoint(weight=weight, optimizer=optimizer)

    def train(weight: tf.Variable, optimizer: Any, steps: range) -> None:
        for step in steps:
            optimizer.apply_gradients([(tf.constant([1.0, -2.0]) * (step + 1), weight)])

    whole, optimizer, _ = begun()
    train(whole, optimizer, range(6))
    weight, optimizer, checkpoint = begun()
    train(weight, optimizer, range(3))
    path = checkpoint.write(str(tmp_path / "checkpoint"))
    weight, optimizer, checkpoint = begun()
    checkpoint.read(path).assert_consumed()
    train(weight, optimizer, range(3, 6))
    assert np.array_equal(weight, whole)


@pytest.mark.parametrize("name", ["adam", "sgd", "adamw", "lamb"])
def test_float16_with_loss_scaling(name: str) -> None:
    # What Keras wraps the optimizer in for float16: gradients are unscaled before they are cut.
    plan = TrainConfig(optimizer=name, learning_rate=0.1, schedule="constant", clip_norm=0.5)  # type: ignore[arg-type]
    found = []
    for wrap in (lambda each: each, keras.mixed_precision.LossScaleOptimizer):
        weight = tf.Variable([3.0, 4.0], name="kernel")
        optimizer = wrap(schedules.optimizer(plan))
        for _ in range(2):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(weight**2)
                scaled = optimizer.get_scaled_loss(loss) if found else loss
            (gradient,) = tape.gradient(scaled, [weight])
            if found:
                (gradient,) = optimizer.get_unscaled_gradients([gradient])
            optimizer.apply_gradients([(gradient, weight)])
        found.append(weight.numpy())
    assert np.allclose(*found, rtol=1e-6)
    assert not np.allclose(found[0], [3, 4])
