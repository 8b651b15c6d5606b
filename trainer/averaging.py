"""A moving average of weights, which is evaluated and exported in their place."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf


class WeightAverage(keras.callbacks.Callback):
    """Keeps an exponential moving average of a model's weights, and evaluates with it.

    Averages along the path of training are better than its last point (Polyak, Juditsky 1992,
    https://doi.org/10.1137/0330046). Statistics of batch normalisation are averaged as well, since
    they belong to the weights. Early steps would weigh on a slow average for long: at step t the
    decay is at most (1 + t) / (10 + t).

    Attributes:
      variables: what a checkpoint has to keep: the number of steps, and an average a weight.
    """

    _supports_tf_logs = True  # it looks at none; Keras 2 would read all of them after each step

    def __init__(self, model: keras.Model, decay: float) -> None:
        super().__init__()
        self._model = model
        self._trained: list[np.ndarray] | None = None
        steps = tf.Variable(0, dtype=tf.int64)
        averages = [tf.Variable(value, dtype=value.dtype) for value in model.get_weights()]
        self.variables = [steps, *averages]

        @tf.function
        def update() -> None:
            t = tf.cast(steps.assign_add(1), tf.float32)
            kept = tf.minimum(decay, (1 + t) / (10 + t))
            for average, weight in zip(averages, model.weights):
                average.assign(kept * average + (1 - kept) * weight)

        self._update = update

    def begin(self) -> None:
        """Starts anew from the model's weights as they are."""
        for variable, value in zip(self.variables, [0, *self._model.get_weights()]):
            variable.assign(value)

    def weights(self) -> list[np.ndarray]:
        """The averages, in the order of the model's `get_weights`."""
        return [variable.numpy() for variable in self.variables[1:]]

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._update()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._trained = self._model.get_weights()
        self._model.set_weights(self.weights())

    def on_test_end(self, logs: dict[str, Any] | None = None) -> None:
        """Called by Keras."""
        self._model.set_weights(self._trained)
        self._trained = None
