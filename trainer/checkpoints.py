"""Checkpoints: whole or not there, and of a damaged one the one before."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from components.errors import InputError
from trainer.averaging import WeightAverage
from trainer.strategy import randomness

progress = logging.getLogger("overtile.progress")

# One more than is needed, for the day on which the last one cannot be read.
_KEPT = 2
_STATE, _BEST = "state", "best.npz"


class Checkpoints(keras.callbacks.Callback):
    """Saves everything after each epoch, keeps the best weights, and stops early.

    A killed training that is started again with the same directory goes on after the last whole
    epoch with the same weights, optimizer, randomness and patience. The best weights are those that
    were evaluated: the average, where there is one. Of several workers each must have this
    callback, since weights are read from all of them, but only the chief's files are kept.

    Attributes:
      seconds: that training has taken so far, without evaluation and checkpoints.
      history: an entry an epoch: what Keras tells, `epoch` counted from 1, and `seconds`.
    """

    def __init__(
        self,
        model: keras.Model,
        directory: Path,
        patience: int | None,
        average: WeightAverage | None = None,
        writes: bool = True,
    ) -> None:
        """Makes the callback; the model has the state of the last checkpoint then, if there is one.

        Args:
          model: compiled.
          directory: of the checkpoints; each is a folder in it.
          patience: epochs without a better eval mean IoU until training stops.
          average: of the weights; what it needs is saved too.
          writes: whether this process is the one whose files are kept.
        """
        super().__init__()
        self.directory, self.patience, self._writes = directory, patience, writes
        self._evaluated = average.weights if average else model.get_weights
        self.history: list[dict[str, float]] = []
        self._model = model
        self._began: float | None = None
        # Not in the strategy's scope: several workers could not share a string.
        self._state = {
            "epoch": tf.Variable(0, dtype=tf.int64),
            "best_epoch": tf.Variable(0, dtype=tf.int64),
            "best_iou": tf.Variable(-1.0, dtype=tf.float64),
            "seconds": tf.Variable(0.0, dtype=tf.float64),
            "history": tf.Variable("[]", dtype=tf.string),
        }
        with model.distribute_strategy.scope():
            model.optimizer.build(model.trainable_variables)
        saved = {**self._state, "average": average.variables} if average else self._state
        self._checkpoint = tf.train.Checkpoint(
            model=model, optimizer=model.optimizer, randomness=randomness(model), **saved
        )
        self._restore()

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return int(self._state["epoch"].numpy())

    @property
    def best_epoch(self) -> int:
        """The epoch of the best eval mean IoU, counted from 1; 0 before the first."""
        return int(self._state["best_epoch"].numpy())

    @property
    def best_iou(self) -> float:
        """The best eval mean IoU."""
        return float(self._state["best_iou"].numpy())

    @property
    def seconds(self) -> float:
        """That training has taken so far, without evaluation and checkpoints."""
        return float(self._state["seconds"].numpy())

    @property
    def out_of_patience(self) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._began = time.perf_counter()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        if self._began is not None:
            self._state["seconds"].assign_add(time.perf_counter() - self._began)
            self._began = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras.

        Raises:
          InputError: the checkpoint cannot be written.
        """
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, "seconds": self.seconds, **values})
        self._state["epoch"].assign(epoch + 1)
        is_best = values["val_mean_iou"] > self.best_iou
        if is_best:
            self._state["best_epoch"].assign(epoch + 1)
            self._state["best_iou"].assign(values["val_mean_iou"])
        self._state["history"].assign(json.dumps(self.history))
        best = self._evaluated() if is_best else None
        if self._writes:
            self._save(best)
        else:
            # Values that several workers share are read by all of them together, or by none.
            with tempfile.TemporaryDirectory(prefix="overtile-worker-") as elsewhere:
                self._checkpoint.write(f"{elsewhere}/{_STATE}")
        if self.out_of_patience:
            self._model.stop_training = True

    def load_best(self) -> None:
        """Gives the model the weights of its best epoch."""
        self._model.set_weights(best_weights(self.directory))

    def _save(self, best: Sequence[np.ndarray] | None) -> None:
        partial = self.directory / f".writing-{self.epoch:06d}"
        whole = self.directory / f"epoch-{self.epoch:06d}"
        before = _folders(self.directory)
        try:
            partial.mkdir(parents=True)
            if best is not None:
                np.savez(partial / _BEST, *best)
            else:
                # Not a link: what damages the one file shall not damage the other.
                shutil.copyfile(before[0] / _BEST, partial / _BEST)
            self._checkpoint.write(str(partial / _STATE))
            # A folder by this name is one that could not be read.
            shutil.rmtree(whole, ignore_errors=True)
            partial.rename(whole)
        except (OSError, tf.errors.OpError) as error:
            shutil.rmtree(partial, ignore_errors=True)
            last = f" from epoch {_number(before[0])}" if before else " from its beginning"
            raise InputError(
                f"The checkpoint of epoch {self.epoch} could not be written to {self.directory} "
                f"({_reason(error)}): make room there and run again; training goes on{last}."
            ) from error
        for folder in _folders(self.directory)[_KEPT:]:
            shutil.rmtree(folder)

    def _restore(self) -> None:
        """Goes on from the newest checkpoint that can be read."""
        if self._writes:
            for partial in self.directory.glob(".writing-*"):
                shutil.rmtree(partial)
        damaged: list[Path] = []
        for folder in _folders(self.directory):
            try:
                _check(folder)
                status = self._checkpoint.read(str(folder / _STATE))
                status.assert_existing_objects_matched()
            except Exception:  # TensorFlow's readers raise of all kinds
                damaged.append(folder)
                continue
            self.history = json.loads(self._state["history"].numpy())
            break
        if damaged and self._writes:
            names = " and ".join(str(folder) for folder in damaged)
            start = f"goes on from epoch {self.epoch}" if self.epoch else "begins anew"
            note = f"Training {start}, since {names} cannot be read: a damaged file."
            progress.warning(note, extra={"note": note})


def best_weights(directory: Path) -> list[np.ndarray]:
    """The best weights of the newest checkpoint in a directory, in the model's order."""
    newest, *_ = _folders(directory)
    with np.load(newest / _BEST) as weights:
        return [weights[name] for name in weights.files]


def _folders(directory: Path) -> list[Path]:
    """Whole checkpoints, the newest first."""
    return sorted(directory.glob("epoch-*"), key=_number, reverse=True)


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _check(folder: Path) -> None:
    """Reads all of a checkpoint, whose parts have checksums, before any variable has a new value.

    Raises:
      Exception: something is missing or damaged.
    """
    reader = tf.train.load_checkpoint(str(folder / _STATE))
    for name in reader.get_variable_to_shape_map():
        reader.get_tensor(name)
    with zipfile.ZipFile(folder / _BEST) as best:
        if (name := best.testzip()) is not None:
            raise zipfile.BadZipFile(name)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines: Sequence[str] = str(getattr(error, "message", error)).splitlines()
    return lines[0].rpartition("; ")[2] if lines else type(error).__name__
