"""Trains once without and once with several SIGKILLs, and prints whether the weights are equal.

A process of its own, which forks before TensorFlow starts its threads: each training is a process
that can be killed, and only one of them has to import TensorFlow.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from components.records import Layout
from trainer import train
from trainer.callbacks import Progress
from trainer.checkpoints import Checkpoints
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.settings import Settings
from trainer.statistics import Statistics


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_the_middle_of_an_epoch() -> None:
    told = Progress.on_train_batch_end

    def on_train_batch_end(self: Any, batch: int, logs: Any = None) -> None:
        told(self, batch, logs)
        if self.done == 6:
            die()

    Progress.on_train_batch_end = on_train_batch_end  # type: ignore[method-assign]


def after_a_checkpoint() -> None:
    save = Checkpoints.on_epoch_end

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        save(self, epoch, logs)
        die()

    Checkpoints.on_epoch_end = on_epoch_end  # type: ignore[method-assign]


def while_a_checkpoint_is_written() -> None:
    write = tf.train.Checkpoint.write

    def half(self: Any, prefix: str, *args: Any, **kwargs: Any) -> None:
        write(self, prefix, *args, **kwargs)
        (data,) = Path(prefix).parent.glob("state.data*")
        os.truncate(data, data.stat().st_size // 2)
        die()

    tf.train.Checkpoint.write = half


def nothing() -> None:
    pass


def run(files: list[str], directory: Path, precision: str, then: Callable[[], None]) -> int:
    """Trains in a process of its own; the signal that ended it, or 0."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] & 0x7F
    code = 1
    try:
        then()
        settings = Settings(
            Layout(1, "uint8", ("background", "cell")),
            ModelConfig(options={"width": 4, "depth": 1, "dropout": 0.3}),
            TrainConfig(
                steps=12,
                steps_per_epoch=4,
                batch_size=4,
                precision=precision,
                warmup_steps=3,
                learning_rate=0.01,
                weight_average=0.9,
            ),
            AugmentConfig(elastic=True, elastic_sigma=2),
        )
        statistics = Statistics((90.0,), (50.0,), (80, 20), (100, 100))
        trained = train.train(settings, statistics, files[:1], files[1:], directory)
        np.savez(directory / "end.npz", *trained.model.get_weights())
        (directory / "summary.json").write_text(json.dumps(trained.summary))
        code = 0
    finally:
        os._exit(code)


def main() -> None:
    files, folder, precision = sys.argv[1:3], Path(sys.argv[3]), sys.argv[4]
    kills = [in_the_middle_of_an_epoch, after_a_checkpoint, while_a_checkpoint_is_written]
    signals = [run(files, folder / "whole", precision, nothing)]
    signals += [run(files, folder / "killed", precision, then) for then in (*kills, nothing)]
    ends, told = [], []
    for name in ("whole", "killed"):
        with np.load(folder / name / "end.npz") as end:
            ends.append([end[key] for key in end.files])
        told.append(json.loads((folder / name / "summary.json").read_text()))
    print(
        json.dumps(
            {
                "signals": signals,
                "equal": all(np.array_equal(one, other) for one, other in zip(*ends)),
                "resumed_from_step": told[1]["resumed_from_step"],
                "histories": [summary["history"] for summary in told],
                "left": sorted(path.name for path in (folder / "killed").glob("*-0*")),
            }
        )
    )


if __name__ == "__main__":
    main()
