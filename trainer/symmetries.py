"""What a model answers of an image, averaged over mirrored and turned copies of it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from trainer.config import AverageOver

# Each a symmetry of the square: whether rows are put upside down, columns, and both exchanged.
_SYMMETRIES: dict[AverageOver, list[tuple[bool, bool, bool]]] = {
    "left_right": [(False, columns, False) for columns in (False, True)],
    "flips": [(rows, columns, False) for rows in (False, True) for columns in (False, True)],
    "flips_and_turns": [
        (rows, columns, exchanged)
        for exchanged in (False, True)
        for rows in (False, True)
        for columns in (False, True)
    ],
}

_ROWS, _COLUMNS = 1, 2
# Where no copy leaves a class any probability its logarithm stays finite.
_LEAST = 1.2e-38


def averaged(model: keras.Model, over: AverageOver) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function that answers as a model does, or as it does on average.

    Ronneberger, Fischer, Brox 2015 (https://arxiv.org/abs/1505.04597, section 4) average over
    turned copies of the image. One copy is in memory at a time, and the graph holds the model once.

    Args:
      model: float32 [N, H, W, C] to logits, float32 [N, H', W', K].
      over: the copies: 1, 2, 4 or 8.

    Returns:
      Of float32 [N, H, W, C] the logits; of several copies the logarithm of the mean of their
      probabilities, which a softmax turns into that mean.
    """
    if over == "none":
        return lambda images: model(images, training=False)
    copies = _SYMMETRIES[over]
    rows, columns, exchanged = (tf.constant(flags) for flags in zip(*copies))

    def logits(images: tf.Tensor) -> tf.Tensor:
        def add(copy: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            seen = _reversed(_reversed(images, rows[copy], _ROWS), columns[copy], _COLUMNS)
            seen = _exchanged(seen, exchanged[copy])
            answer = _exchanged(tf.nn.softmax(model(seen, training=False)), exchanged[copy])
            answer = _reversed(_reversed(answer, rows[copy], _ROWS), columns[copy], _COLUMNS)
            return copy + 1, total + answer

        classes = model.output_shape[-1]
        _, total = tf.while_loop(
            lambda copy, _: copy < len(copies),
            add,
            # Grows to the answer's size with the first of them.
            (tf.constant(0), tf.zeros([1, 1, 1, classes])),
            shape_invariants=(tf.TensorShape([]), tf.TensorShape([None, None, None, classes])),
            parallel_iterations=1,
        )
        return tf.math.log(tf.maximum(total / len(copies), _LEAST))

    return logits


def _reversed(pixels: tf.Tensor, flag: tf.Tensor, axis: int) -> tf.Tensor:
    return tf.cond(flag, lambda: tf.reverse(pixels, [axis]), lambda: pixels)


def _exchanged(pixels: tf.Tensor, flag: tf.Tensor) -> tf.Tensor:
    """[N, H, W, C] -> [N, W, H, C] where the flag is true."""
    return tf.cond(flag, lambda: tf.transpose(pixels, [0, 2, 1, 3]), lambda: pixels)
