"""What happens at the end of each epoch: progress, checkpoint, early stopping."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.averaging import WeightAverage

progress = logging.getLogger("overtile.progress")


class Progress(keras.callbacks.Callback):
    """Tells whoever listens to `overtile.progress` how far training is."""

    def __init__(self, steps: int, first_step: int = 0, what: str = "step") -> None:
        super().__init__()
        self.steps, self.done, self.what = steps, first_step, what
        self.iou: float | None = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self.done += 1
        loss = (logs or {}).get("loss", float("nan"))
        detail = f"loss {loss:.3f}" + (f", IoU {self.iou:.3f}" if self.iou is not None else "")
        progress.info(
            "%s %d of %d, %s",
            self.what,
            self.done,
            self.steps,
            detail,
            extra={"what": self.what, "done": self.done, "total": self.steps, "detail": detail},
        )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self.iou = (logs or {}).get("val_mean_iou")


class Checkpoints(keras.callbacks.Callback):
    """Saves everything after each epoch, keeps the best weights, and stops early.

    A killed training that is started again with the same directory goes on after the last whole
    epoch with the same weights, optimizer and patience. The best weights are those that were
    evaluated: the average, where there is one.

    Attributes:
      epoch: epochs that are done.
      best_epoch: the one with the best eval mean IoU, counted from 1; 0 before the first.
      best_iou: its eval mean IoU.
    """

    def __init__(
        self,
        model: keras.Model,
        directory: Path,
        patience: int | None,
        average: WeightAverage | None = None,
    ) -> None:
        super().__init__()
        self.directory, self.patience = directory, patience
        self._evaluated = average.weights if average else model.get_weights
        self.history: list[dict[str, float]] = []
        self._model = model
        self._state = {
            "epoch": tf.Variable(0, dtype=tf.int64),
            "best_epoch": tf.Variable(0, dtype=tf.int64),
            "best_iou": tf.Variable(-1.0, dtype=tf.float64),
            "history": tf.Variable("[]", dtype=tf.string),
        }
        model.optimizer.build(model.trainable_variables)
        saved = {**self._state, "average": average.variables} if average else self._state
        checkpoint = tf.train.Checkpoint(model=model, optimizer=model.optimizer, **saved)
        self._manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=1)
        if self._manager.restore_or_initialize():
            self.history = json.loads(self._state["history"].numpy())

    @property
    def epoch(self) -> int:
        """Epochs that are done."""
        return int(self._state["epoch"].numpy())

    @property
    def best_epoch(self) -> int:
        """The epoch of the best eval mean IoU, counted from 1."""
        return int(self._state["best_epoch"].numpy())

    @property
    def best_iou(self) -> float:
        """The best eval mean IoU."""
        return float(self._state["best_iou"].numpy())

    @property
    def out_of_patience(self) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        return self.patience is not None and self.epoch - self.best_epoch >= self.patience

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        self.history.append({"epoch": epoch + 1, **values})
        self._state["epoch"].assign(epoch + 1)
        if values["val_mean_iou"] > self.best_iou:
            # The weights first: a checkpoint never names a best epoch whose weights are missing.
            np.savez(self._best_weights(epoch + 1), *self._evaluated())
            self._state["best_epoch"].assign(epoch + 1)
            self._state["best_iou"].assign(values["val_mean_iou"])
        self._state["history"].assign(json.dumps(self.history))
        self._manager.save(checkpoint_number=epoch + 1)
        for file in self.directory.glob("best-*.npz"):
            if file != self._best_weights(self.best_epoch):
                file.unlink()
        if self.out_of_patience:
            self._model.stop_training = True

    def load_best(self) -> None:
        """Gives the model the weights of its best epoch."""
        with np.load(self._best_weights(self.best_epoch)) as weights:
            self._model.set_weights([weights[name] for name in weights.files])

    def _best_weights(self, epoch: int) -> Path:
        return self.directory / f"best-{epoch:06d}.npz"
