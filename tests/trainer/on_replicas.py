"""Trains a few steps on 1, 2 and 4 logical devices, and prints how far the results differ.

A process for each: logical devices are fixed before TensorFlow first computes.
"""

from __future__ import annotations

import json
import os
import pickle
import tempfile
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.records import IGNORE, Layout
from tests.trainer.conftest import blobs
from trainer.averaging import WeightAverage
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.losses import pixel_weights
from trainer.settings import Settings
from trainer.statistics import Statistics
from trainer.strategy import spread, strategy
from trainer.train import compiled

STATISTICS = Statistics((90.0,), (50.0,), (80, 20), (100, 100))
LAYOUT = Layout(1, "uint8", ("background", "cell"))
STEPS = 4


def batches(tiles: int, size: int) -> tf.data.Dataset:
    """Tiles, of which the first has no label and the second few, in batches of so many."""
    images, masks = (np.stack(arrays) for arrays in zip(*(blobs(seed) for seed in range(tiles))))
    masks[0] = IGNORE  # the first device has far fewer labelled pixels than the others
    masks[1, :20] = IGNORE
    return (
        tf.data.Dataset.from_tensor_slices((images.astype(np.float32), masks))
        .batch(size)
        .map(lambda image, mask: (image, mask, pixel_weights(mask, tf.constant([1.0, 3.0]))))
    )


def trained(devices: int, normalisation: str, accumulate: int) -> dict[str, Any]:
    """What a few steps come to."""
    settings = Settings(
        LAYOUT,
        ModelConfig(options={"width": 4, "depth": 1, "normalisation": normalisation}),
        TrainConfig(
            optimizer="sgd",
            learning_rate=0.05,
            momentum=0.9,
            schedule="constant",
            loss={"cross_entropy": 1.0, "dice": 1.0},
            accumulate=accumulate,
        ),
        AugmentConfig(),
    )
    tf.keras.utils.set_random_seed(5)
    where = strategy("auto", devices)
    assert where.num_replicas_in_sync == devices
    with where.scope():
        model = compiled(settings, STATISTICS)
        average = WeightAverage(model, 0.5)
    history = model.fit(
        # Batches of 6 and 5 tiles: four devices get 1, 2, 1, 2 and 1, 1, 1, 2.
        spread(batches(11, 6).repeat(), where),
        steps_per_epoch=STEPS,
        # And of 5 and 2: the last one does not go round.
        validation_data=spread(batches(7, 5).repeat(), where),
        validation_steps=2,
        verbose=0,
        callbacks=[average],
    ).history
    return {
        "weights": [weight.numpy() for weight in model.trainable_weights],
        "averages": [
            value for value, weight in zip(average.weights(), model.weights) if weight.trainable
        ],
        "statistics": [weight.numpy() for weight in model.non_trainable_weights],
        "told": [np.array([*history["loss"], *history["val_loss"], *history["val_mean_iou"]])],
    }


def in_a_process(devices: int, kinds: list[tuple[str, int]], folder: Path) -> list[Path]:
    """Forks before TensorFlow starts: a process has one number of logical devices."""
    files = [folder / f"{devices}-{normalisation}-{parts}" for normalisation, parts in kinds]
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
        return files
    code = 1
    try:
        cpu = tf.config.list_physical_devices("CPU")[0]
        logical = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(cpu, logical)
        for file, (normalisation, parts) in zip(files, kinds):
            file.write_bytes(pickle.dumps(trained(devices, normalisation, parts)))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def main() -> None:
    plain, parted = [("batch", 1), ("none", 1)], [("none", 2)]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            file
            for devices, kinds in ((1, plain), (2, plain + parted), (4, plain))
            for file in in_a_process(devices, kinds, Path(folder))
        ]
        results = {file.name: pickle.loads(file.read_bytes()) for file in files}
    found = {}
    for name, other in results.items():
        one = results[f"1-{name.split('-')[1]}-1"]
        found[name] = {
            kind: max([float(np.max(np.abs(a - b))) for a, b in zip(one[kind], other[kind])] or [0])
            for kind in one
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
