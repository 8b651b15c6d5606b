"""What its input costs a training step, and how much faster than the step the input is.

    python benchmarks/input.py [--rounds 7] [--steps 8]

Trains the U-Net of width 32 and depth 4 on batches of four 256 x 256 RGB tiles, in the precision
that this machine computes fast, and takes turns, so that what else the machine does hits all alike,
at

    memory   steps on one batch that is held in memory
    fed      steps fed from records, with flips, quarter turns, brightness, contrast, gamma and
             elastic deformation
    step     the same changes, made of the batch inside the step, in place of the input's threads
    plain    the input alone, as fast as it goes, with all changes but the elastic one
    elastic  the input alone, with that too

and prints as one JSON line the medians over rounds of `fed` and `step` over `memory`, and of the
batches that `plain` and `elastic` deliver in the time of a step. Wanted: fed at most 1.10, plain at
least 5, elastic at least 2. Beside the ratios of seconds it prints those of the processors' time,
which other work on the machine changes less: where a step keeps all cores busy, they are the same.
Takes some four minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

import numpy as np
import tensorflow as tf

from components.records import Layout, Record, encode
from trainer import augment as augmentation
from trainer import strategy as devices
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.statistics import Statistics
from trainer.train import Settings, compiled, training_batches

SIDE, BATCH, TILES = 256, 4, 64
LAYOUT = Layout(3, "uint8", ("ground", "cell"))
STATISTICS = Statistics((120.0,) * 3, (50.0,) * 3, (70, 30), (100, 100))
PLAIN = AugmentConfig(brightness=0.4, contrast=0.25, gamma=0.3)
ELASTIC = PLAIN.model_copy(update={"elastic": True})
NOTHING = AugmentConfig(flip=False, quarter_turns=False)
_WARM = 3


def write_records(file: Path) -> None:
    """Discs on noise, every tile another."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    with tf.io.TFRecordWriter(str(file)) as writer:
        for number in range(TILES):
            mask = np.zeros((SIDE, SIDE), np.uint8)
            for y, x, radius in rng.uniform((0, 0, 8), (SIDE, SIDE, 40), (8, 3)):
                mask |= (rows - y) ** 2 + (columns - x) ** 2 < radius**2
            image = 90 + 70 * mask[..., None] + rng.normal(0, 20, (SIDE, SIDE, 3))
            pixels = np.clip(image, 0, 255).astype(np.uint8)
            writer.write(encode(Record(pixels, mask, f"{number}", "", mask.shape), LAYOUT))


def batches(file: Path, augment: AugmentConfig) -> tf.data.Dataset:
    """What the Trainer trains on."""
    return training_batches(_settings(augment), STATISTICS, [str(file)])


def _settings(augment: AugmentConfig) -> Settings:
    model = ModelConfig(options={"width": 32, "depth": 4})
    return Settings(LAYOUT, model, TrainConfig(batch_size=BATCH), augment)


class Time(NamedTuple):
    """Of a step or a batch, in seconds."""

    wall: float
    processor: float


@contextlib.contextmanager
def timed(count: int, found: list[Time]) -> Iterator[None]:
    """Adds the time of one of `count` to `found`."""
    begun, used = time.perf_counter(), time.process_time()
    yield
    taken, used = time.perf_counter() - begun, time.process_time() - used
    found.append(Time(taken / count, used / count))


class Training:
    """A model and its step.

    Args:
      augment: what the step itself changes of its batch, if anything.
    """

    def __init__(self, augment: AugmentConfig | None = None) -> None:
        self._strategy = devices.strategy()
        with devices.policy(devices.precision("auto")), self._strategy.scope():
            self.model = compiled(_settings(NOTHING), STATISTICS)
        if augment:
            plain_step = self.model.train_step
            self.model.train_step = lambda batch: plain_step(_augmented(batch, augment))
        self._step = self.model.make_train_function()

    def iterator(self, dataset: tf.data.Dataset) -> Iterator[Any]:
        """One that `step` takes."""
        return iter(self._strategy.experimental_distribute_dataset(dataset))

    def time(self, iterator: Iterator[Any], steps: int) -> Time:
        """Of one step, on average, once the input is under way."""
        for _ in range(_WARM):
            self._step(iterator)
        found: list[Time] = []
        with timed(steps, found):
            for _ in range(steps):
                logs = self._step(iterator)
            float(logs["loss"])  # wait for the last step
        return found[0]


def _augmented(batch: tuple[tf.Tensor, ...], augment: AugmentConfig) -> tuple[tf.Tensor, ...]:
    """A batch whose every tile is changed as by `trainer.augment`, on the device."""
    images, masks, weights = batch
    # Nothing depends on which seed it is here.
    seeds = tf.random.uniform([BATCH, 2], maxval=2**31, dtype=tf.int64)
    images, masks = tf.vectorized_map(
        lambda tile: augmentation.augment(tile[0], tile[1], augment, tile[2]),
        (images, masks, seeds),
    )
    return images, masks, weights


def delivered(dataset: tf.data.Dataset, count: int) -> Time:
    """Of a batch, of the input alone."""
    iterator = iter(dataset)
    for _ in range(_WARM):
        next(iterator)
    found: list[Time] = []
    with timed(count, found):
        for _ in range(count):
            next(iterator)
    return found[0]


def measure(file: Path, rounds: int, steps: int) -> dict[str, Any]:
    held = next(iter(batches(file, ELASTIC)))
    memory = tf.data.Dataset.from_tensors(held).repeat()
    training, changing = Training(), Training(ELASTIC)
    datasets = {"plain": batches(file, PLAIN), "elastic": batches(file, ELASTIC)}
    stored = batches(file, NOTHING)

    # A fresh iterator each time: one that waits would fill its buffers while others are measured.
    taken: dict[str, list[Time]] = {}
    ways = {
        "memory": lambda: training.time(training.iterator(memory), steps),
        "fed": lambda: training.time(training.iterator(datasets["elastic"]), steps),
        "step": lambda: changing.time(changing.iterator(stored), steps),
        "plain": lambda: delivered(datasets["plain"], 10 * steps),
        "elastic": lambda: delivered(datasets["elastic"], 10 * steps),
    }
    for turn in range(rounds + 1):
        order = list(ways) if turn % 2 else list(reversed(ways))
        times = {name: ways[name]() for name in order}
        told = {name: [round(each, 4) for each in value] for name, value in times.items()}
        print(f"# {json.dumps(told)}", file=sys.stderr)
        if turn:  # the first round compiles
            for name, value in times.items():
                taken.setdefault(name, []).append(value)

    def told_of(which: int) -> dict[str, Any]:
        each = {name: [one[which] for one in values] for name, values in taken.items()}

        def ratio(of: str, to: str) -> float:
            return round(statistics.median(a / b for a, b in zip(each[of], each[to])), 3)

        return {
            "fed": ratio("fed", "memory"),
            "in_the_step": ratio("step", "memory"),
            "plain": ratio("memory", "plain"),
            "elastic": ratio("memory", "elastic"),
            "milliseconds": {
                name: round(1000 * statistics.median(values), 1) for name, values in each.items()
            },
        }

    return {
        "precision": devices.precision("auto"),
        **told_of(0),
        "processor_time": told_of(1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=8, help="in a turn")
    options = parser.parse_args()
    # What libraries print is not the answer.
    with contextlib.redirect_stdout(sys.stderr), tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "records"
        write_records(file)
        told = measure(file, options.rounds, options.steps)
    print(json.dumps({"benchmark": "input", "cores": os.cpu_count(), **told}))


if __name__ == "__main__":
    main()
