"""How far training is."""

from __future__ import annotations

import logging
import time
from typing import Any

import keras

progress = logging.getLogger("overtile.progress")

_EVERY = 0.25  # seconds between two looks at the loss


class Progress(keras.callbacks.Callback):
    """Tells whoever listens to `overtile.progress` how far training is.

    The loss is read a few times a second: to read it is to wait until the step is done, and a GPU
    would idle until the next one is sent.
    """

    _supports_tf_logs = True  # Keras 2 would read all of them after each step

    def __init__(self, steps: int, first_step: int = 0, what: str = "step") -> None:
        super().__init__()
        self.steps, self.done, self.what = steps, first_step, what
        self.iou: float | None = None
        self._loss, self._read = float("nan"), 0.0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self.done += 1
        now = time.monotonic()
        if now - self._read >= _EVERY or self.done == self.steps:
            self._loss, self._read = float((logs or {}).get("loss", self._loss)), now
        detail = f"loss {self._loss:.3f}" + (
            f", IoU {self.iou:.3f}" if self.iou is not None else ""
        )
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
