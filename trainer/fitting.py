"""Calls Keras's loop, and has an answer where memory or the compiler is at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from components.errors import InputError
from trainer import memory
from trainer.settings import Settings
from trainer.trainee import Trainee

progress = logging.getLogger("overtile.progress")


def jits(settings: Settings, replicas: int) -> bool:
    """Whether XLA compiles the step.

    On processors it makes convolution nets several times slower. Over several replicas each one's
    pass would have to be compiled apart from what they say to each other.

    Raises:
      InputError: it is asked for with several replicas.
    """
    if settings.train.jit == "auto":
        return replicas == 1 and bool(tf.config.list_physical_devices("GPU"))
    if settings.train.jit and replicas > 1:
        raise InputError(
            f"train.jit: true is for one device, and {replicas} train: set train.strategy to "
            "one_device, or train.jit to false."
        )
    return bool(settings.train.jit)


def fit(
    model: Trainee,
    settings: Settings,
    batches: Callable[[int, int], Any],
    first_step: int,
    cluster: bool,
    **options: Any,
) -> None:
    """Trains.

    Args:
      model: compiled.
      settings: of the training.
      batches: training batches of so many tiles, from a step on.
      first_step: that is trained.
      cluster: whether other machines take part.
      options: of `keras.Model.fit`.

    Raises:
      InputError: a step does not fit into memory; the message names the batch size that would.
    """
    plan = settings.train
    before = int(model.optimizer.iterations.numpy())
    steps = _Steps()
    options["callbacks"] = [*options["callbacks"], steps]

    def train() -> None:
        try:
            model.fit(batches(plan.batch_size, first_step), verbose=0, **options)
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            if not memory.is_exhausted(error):
                raise
            said = str(error)
        else:
            return
        # Only here, where the error with what it holds is gone.
        raise memory.does_not_fit(
            plan.batch_size,
            plan.accumulate,
            model.distribute_strategy.num_replicas_in_sync,
            # The others would have to take these steps too.
            None if cluster else lambda size: _one_step(model, batches(size, first_step)),
        ) from RuntimeError(said)

    try:
        train()
    except tf.errors.OpError as error:
        gives_up = plan.jit == "auto" and model.uses_jit and not steps.done
        if not gives_up or memory.is_exhausted(error):
            raise
        note = f"XLA cannot compile this model ({_last_line(error)}); it trains without."
        progress.info(note, extra={"note": note})
        model.use_jit(False)
        model.optimizer.iterations.assign(before)  # counted before the pass was there
        train()


class _Steps(keras.callbacks.Callback):
    """Counts them."""

    _supports_tf_logs = True  # it looks at none; Keras 2 would read all of them after each step

    done = 0

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self.done += 1


def _one_step(model: Trainee, batches: Any) -> None:
    model.fit(batches, steps_per_epoch=1, verbose=0)


def _last_line(error: tf.errors.OpError) -> str:
    lines = [line.strip() for line in str(error.message).splitlines() if line.strip()]
    return lines[-1][:200].rstrip(".") if lines else type(error).__name__
