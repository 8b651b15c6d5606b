"""Prints what losses and optimizers come to on one logical device and on two.

A process of its own: logical devices are fixed before TensorFlow first computes.
"""

from __future__ import annotations

import json

import keras
import numpy as np
import tensorflow as tf

from components.records import IGNORE
from tests.trainer.test_losses import LOSSES, made
from trainer import schedules
from trainer.config import TrainConfig
from trainer.losses import pixel_weights


def weights_after(where: tf.distribute.Strategy, plan: TrainConfig) -> list[list[np.ndarray]]:
    """The weights of each replica's copy of a layer after two steps."""
    with where.scope():
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(3, "relu", name="dense")])
        optimizer = schedules.optimizer(plan)
        model.set_weights([np.array([[1.0, 2.0, -3.0]]), np.array([0.5, -0.5, 2.0])])
        optimizer.build(model.trainable_variables)
    each = 3.0 / where.num_replicas_in_sync  # they are added up

    @tf.function
    def step() -> None:
        where.run(
            lambda: optimizer.apply_gradients(
                [(tf.fill(one.shape, each), one) for one in model.trainable_variables]
            )
        )

    step()
    step()
    copies = [where.experimental_local_results(one) for one in model.trainable_variables]
    return [[one[replica].numpy().ravel() for one in copies] for replica in range(len(copies[0]))]


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 3, (2, 3, 4)).astype(np.uint8)
    masks[0, :, :3] = IGNORE  # the first replica's image has 3 labelled pixels
    weights = pixel_weights(tf.constant(masks), tf.constant([1.0, 3.0, 2.0]))
    logits = rng.normal(size=(2, 3, 4, 3)).astype(np.float32)

    def slope(name: str, mask: tf.Tensor, guess: tf.Tensor, weight: tf.Tensor) -> tuple:
        with tf.GradientTape() as tape:
            tape.watch(guess)
            loss = made(name)(mask, guess, sample_weight=weight)
        return loss, tape.gradient(loss, guess)

    told: dict[str, dict[str, list[float]]] = {"losses": {}, "optimizers": {}}
    for name in LOSSES:
        one, whole = slope(name, tf.constant(masks), tf.constant(logits), weights)

        @tf.function
        def apart(name: str = name) -> tuple:
            def on_each() -> tuple:
                place = tf.distribute.get_replica_context().replica_id_in_sync_group
                mine = slice(place, place + 1)
                return slope(
                    name, tf.constant(masks)[mine], tf.constant(logits)[mine], weights[mine]
                )

            return both.run(on_each)

        losses, gradients = (both.experimental_local_results(each) for each in apart())
        difference = np.max(np.abs(np.concatenate(gradients) - whole))
        told["losses"][name] = [float(one), float(tf.add_n(losses)), float(difference)]

    for name in ("adam", "adamw", "sgd", "lamb"):
        plan = TrainConfig(optimizer=name, momentum=0.5, clip_norm=1.0)  # type: ignore[arg-type]
        alone = weights_after(tf.distribute.MirroredStrategy(["CPU:0"]), plan)
        first, second = (np.concatenate(copy) for copy in weights_after(both, plan))
        furthest = np.max(np.abs(first - np.concatenate(alone[0])))
        told["optimizers"][name] = [float(furthest), float(np.max(np.abs(first - second)))]
    print(json.dumps(told))


if __name__ == "__main__":
    main()
