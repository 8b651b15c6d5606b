"""Adam, and AdamW with a weight decay, whose step goes over each weight once."""

from __future__ import annotations

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Kingma, Ba 2015, https://arxiv.org/abs/1412.6980, algorithm 1; weights decay beside it.

    Keras writes the step in some ten operations, each of which goes through memory; TensorFlow's
    kernel of the same arithmetic goes through it once (measured on CPU: benchmarks/optimizer.py).
    """

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable) -> None:
        """Takes one step. Called by Keras."""
        dtype = variable.dtype
        step = tf.cast(self.iterations + 1, dtype)
        beta_1, beta_2 = tf.cast(self.beta_1, dtype), tf.cast(self.beta_2, dtype)
        index = self._index_dict[self._var_key(variable)]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].handle,
            v=self._velocities[index].handle,
            beta1_power=tf.pow(beta_1, step),
            beta2_power=tf.pow(beta_2, step),
            lr=tf.cast(self.learning_rate, dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=tf.cast(self.epsilon, dtype),
            grad=gradient,
        )
