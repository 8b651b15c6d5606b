"""LAMB, an Adam whose step has the size of the layer that it changes."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class LAMB(keras.optimizers.Optimizer):
    """You et al. 2020, https://arxiv.org/abs/1904.00962, algorithm 2: for large batches.

    tensorflow-addons has one for Keras's former optimizers, which have no `build` and whose state
    Keras's present ones cannot read; this one does the same arithmetic. Variables that are not
    decayed (`exclude_from_weight_decay`) take Adam's step as it is, as there.

    Args:
      learning_rate: a number or a schedule.
      weight_decay: share of a weight that is added to its step; None is 0.
      beta_1: decay of the mean of gradients.
      beta_2: decay of the mean of their squares.
      epsilon: keeps the step finite where gradients vanish.
      global_clipnorm: norm that all gradients together are cut down to.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay: float | None = None,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        global_clipnorm: float | None = None,
        name: str = "lamb",
    ) -> None:
        # Keras would decay beside the step; here the decay is a part of it.
        super().__init__(name=name, weight_decay=None, global_clipnorm=global_clipnorm)
        self._learning_rate = self._build_learning_rate(learning_rate)
        self.decay = weight_decay or 0.0
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, var_list: Any) -> None:
        """Makes the two means of each variable. Called by Keras."""
        super().build(var_list)
        if getattr(self, "_means", None):
            return
        self._means = [self.add_variable_from_reference(each, "m") for each in var_list]
        self._squares = [self.add_variable_from_reference(each, "v") for each in var_list]

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Takes one step. Called by Keras."""
        rate = tf.cast(self.learning_rate, variable.dtype)
        step = tf.cast(self.iterations + 1, variable.dtype)
        index = self._index_dict[self._var_key(variable)]
        mean, square = self._means[index], self._squares[index]
        mean.assign(self.beta_1 * mean + (1 - self.beta_1) * gradient)
        square.assign(self.beta_2 * square + (1 - self.beta_2) * tf.square(gradient))
        first = mean / (1 - self.beta_1**step)
        second = square / (1 - self.beta_2**step)
        change = first / (tf.sqrt(second) + self.epsilon)
        if self._use_weight_decay(variable):
            change += self.decay * variable
            size, length = tf.norm(variable), tf.norm(change)
            # A layer of zeros, or one that stays, has no size to go by.
            change *= tf.where((size > 0) & (length > 0), tf.math.divide_no_nan(size, length), 1.0)
        variable.assign_sub(rate * change)

    def get_config(self) -> dict[str, Any]:
        """What Keras builds it from again."""
        return {
            "learning_rate": self._serialize_hyperparameter(self._learning_rate),
            "weight_decay": self.decay,
            "beta_1": self.beta_1,
            "beta_2": self.beta_2,
            "epsilon": self.epsilon,
            "global_clipnorm": self.global_clipnorm,
            "name": self.name,
        }
