"""Trains a few steps on one logical device and on two, and prints how far the weights differ.

A process of its own: logical devices are fixed before TensorFlow first computes.
"""

from __future__ import annotations

import json

import numpy as np
import tensorflow as tf

from components.records import IGNORE, Layout
from tests.trainer.conftest import blobs
from trainer.averaging import WeightAverage
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.losses import pixel_weights
from trainer.statistics import Statistics
from trainer.strategy import strategy
from trainer.train import Settings, compiled

STATISTICS = Statistics((90.0,), (50.0,), (80, 20), (100, 100))
LAYOUT = Layout(1, "uint8", ("background", "cell"))


def after_training(where: tf.distribute.Strategy) -> dict[str, list[np.ndarray]]:
    """Trained weights, their moving average, and the moving statistics of batch normalisation."""
    settings = Settings(
        LAYOUT,
        ModelConfig(options={"width": 4, "depth": 2}),
        TrainConfig(
            optimizer="sgd",
            learning_rate=0.05,
            momentum=0.9,
            schedule="constant",
            loss={"cross_entropy": 1.0, "dice": 1.0},
        ),
        AugmentConfig(),
    )
    images, masks = (np.stack(arrays) for arrays in zip(*(blobs(seed) for seed in range(7))))
    masks[0] = IGNORE  # one replica has far fewer labelled pixels than the other
    masks[1, :20] = IGNORE
    # Batches of 4 and 3: the last one does not split evenly.
    batches = (
        tf.data.Dataset.from_tensor_slices((images.astype(np.float32), masks))
        .batch(4)
        .map(lambda image, mask: (image, mask, pixel_weights(mask, tf.constant([1.0, 3.0]))))
    )
    tf.keras.utils.set_random_seed(5)
    with where.scope():
        model = compiled(settings, STATISTICS)
        average = WeightAverage(model, 0.5)
    model.fit(batches, epochs=2, verbose=0, callbacks=[average])
    return {
        "weights": [weight.numpy() for weight in model.trainable_weights],
        "averages": [
            value for value, weight in zip(average.weights(), model.weights) if weight.trainable
        ],
        "statistics": [weight.numpy() for weight in model.non_trainable_weights],
    }


def main() -> None:
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    both = strategy()
    one = after_training(tf.distribute.MirroredStrategy(["CPU:0"]))
    two = after_training(both)
    differences = {
        kind: max(float(np.max(np.abs(a - b))) for a, b in zip(one[kind], two[kind]))
        for kind in one
    }
    print(json.dumps({"replicas": both.num_replicas_in_sync, **differences}))


if __name__ == "__main__":
    main()
