"""A model while it trains: a step in parts, and a loss that is told exactly over replicas."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from components.records import IGNORE


class Trainee(keras.Model):
    """A model whose steps are those of the global batch.

    With `parts` above 1 a step looks at its tiles in so many parts, one after the other, adds up
    their gradients and applies the sum: the same step, in less memory. Batch normalisation alone
    sees each part for itself, and moves its statistics once a part.

    Args:
      model: [N, H, W, C] to logits; its layers are shared.
      parts: of a step; no more than a replica has tiles.
      jit: whether XLA compiles forward and backward pass; on one device.
    """

    def __init__(self, model: keras.Model, parts: int = 1, jit: bool = False) -> None:
        super().__init__(inputs=model.inputs, outputs=model.outputs, name=model.name)
        self._parts = parts
        self.use_jit(jit)

    def use_jit(self, jit: bool) -> None:
        """Has XLA compile forward and backward pass, or not; metrics and optimizer never are."""
        # Keras's own `jit_compile` takes the metrics too, and XLA cannot count into bins.
        self.uses_jit = jit
        self._pass = tf.function(self._look, jit_compile=True) if jit else self._look
        self.train_function = None

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As Keras does, for a loss whose sum over replicas is the global batch's."""
        super().compile(*args, **kwargs)
        mean = keras.metrics.Mean(name="loss")
        # Behind a function, or Keras would take it for a layer and its state for weights.
        self._mean_loss = lambda: mean

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss and what was compiled."""
        return [self._mean_loss(), *super().metrics] if self.optimizer else super().metrics

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Called by Keras, in each replica, with its part of the batch."""
        size = tf.shape(data[0])[0]
        total = tf.zeros([])
        gradients: list[tf.Tensor | None] = []
        for part in range(self._parts):
            begin, end = part * size // self._parts, (part + 1) * size // self._parts
            # Or TensorFlow would look at all parts at once, in the memory of the whole.
            with tf.control_dependencies([one for one in gradients if one is not None]):
                # Uncut where there is one part: its shape stays known.
                images, masks, weights = (
                    data if self._parts == 1 else (values[begin:end] for values in data)
                )
                loss, logits, new = self._pass(images, masks, weights)
                gradients = list(map(_sum, gradients, new)) if part else new
                total += loss
                self.compiled_metrics.update_state(masks, logits, weights)
        if self._scales:
            gradients = self.optimizer.get_unscaled_gradients(gradients)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self._tell(total, data[1])
        return self.get_metrics_result()

    def _look(
        self, images: tf.Tensor, masks: tf.Tensor, weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]:
        """Loss, logits, and the gradients of the loss, scaled where float16 needs it."""
        with tf.GradientTape() as tape:
            logits = self(images, training=True)
            loss = self.loss(masks, logits, weights) + self._penalty() / self._parts
            scaled = self.optimizer.get_scaled_loss(loss) if self._scales else loss
        return loss, logits, tape.gradient(scaled, self.trainable_variables)

    @property
    def _scales(self) -> bool:
        return isinstance(self.optimizer, keras.mixed_precision.LossScaleOptimizer)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None
    ) -> tf.Tensor:
        """Called by Keras; this replica's part of the loss."""
        del x
        loss = self.loss(y, y_pred, sample_weight) + self._penalty()
        self._tell(loss, y)
        return loss

    def _penalty(self) -> tf.Tensor | float:
        """What regularisers add, once over all replicas."""
        return tf.nn.scale_regularization_loss(tf.add_n(self.losses)) if self.losses else 0.0

    def _tell(self, loss: tf.Tensor, masks: tf.Tensor) -> None:
        """Counts a batch's loss, of which this is a replica's part, by its labelled tiles."""
        replicas = self.distribute_strategy.num_replicas_in_sync
        labelled = tf.reduce_any(masks != IGNORE, axis=[1, 2])
        size = tf.reduce_sum(tf.cast(labelled, tf.float32))
        if replicas > 1:
            # Keras's own mean would weigh the replicas by their tiles, though losses are summed.
            context = tf.distribute.get_replica_context()
            size = context.all_reduce(tf.distribute.ReduceOp.SUM, size) / replicas
        self._mean_loss().update_state(loss * replicas, sample_weight=size)


def _sum(one: tf.Tensor | None, other: tf.Tensor | None) -> tf.Tensor | None:
    return None if one is None or other is None else one + other
