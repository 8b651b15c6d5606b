"""What Adam's step costs over the weights of a U-Net, beside Keras's own Adam.

    python benchmarks/optimizer.py [--repetitions 20]

The weights of U-Net of width 32 and depth 4, 7.8 million numbers, and random gradients. Keras's
takes turns with `trainer.adam`'s; both must end in the same weights. Prints one JSON line with the
medians in milliseconds and Keras's time over ours. Takes a quarter of a minute.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path

os.environ.update(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import keras
import numpy as np
import tensorflow as tf

from trainer.adam import Adam
from trainer.models import registry


class Side:
    """One optimizer with weights of its own."""

    def __init__(self, made: type[keras.optimizers.Optimizer], weights: list[np.ndarray]) -> None:
        self.weights = [tf.Variable(each) for each in weights]
        rng = np.random.default_rng(0)
        gradients = [
            tf.constant(rng.normal(size=each.shape).astype(np.float32)) for each in weights
        ]
        optimizer = made(1e-3)
        optimizer.build(self.weights)
        self._pairs = list(zip(gradients, self.weights, strict=True))
        self._step = tf.function(lambda: optimizer.apply_gradients(self._pairs))

    def seconds(self) -> float:
        """Takes a step."""
        began = time.perf_counter()
        self._step()
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repetitions", type=int, default=20)
    options = parser.parse_args()
    shape = {"width": 32, "depth": 4}
    model = registry.build("unet", shape, classes=2, mean=(0, 0, 0), deviation=(1, 1, 1))
    weights = [each.numpy() for each in model.trainable_variables]
    sides = {"keras": Side(keras.optimizers.Adam, weights), "overtile": Side(Adam, weights)}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repetitions):
        for name, side in sides.items():
            taken[name].append(side.seconds())
    for ours, theirs in zip(sides["overtile"].weights, sides["keras"].weights, strict=True):
        if not np.allclose(ours, theirs, atol=1e-5):
            raise SystemExit("the two take different steps, so nothing is compared")
    medians = {name: statistics.median(each[2:]) for name, each in taken.items()}
    told = {
        "benchmark": "optimizer",
        "weights": int(sum(each.size for each in weights)),
        **{f"{name}_ms": round(1000 * each, 2) for name, each in medians.items()},
        "ratio": round(medians["keras"] / medians["overtile"], 2),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
