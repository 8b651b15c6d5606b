"""AlexNet. https://doi.org/10.1145/3065386 (Krizhevsky, Sutskever, Hinton 2012), section 3."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import layers

from trainer.models.channels import Channels


class LocalResponseNormalization(layers.Layer):
    """Section 3.3: x / (k + alpha * sum of squares over n neighbouring channels) ^ beta.

    With the paper's k = 2, n = 5, alpha = 1e-4, beta = 0.75; in float32, since bfloat16 cannot
    tell 2 + 1e-4 from 2.
    """

    def __init__(self, **options: Any) -> None:
        """Makes the layer; `options` are those of every Keras layer."""
        super().__init__(**{"dtype": "float32", **options})

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Called by Keras."""
        return tf.nn.local_response_normalization(x, depth_radius=2, bias=2, alpha=1e-4, beta=0.75)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Called by Keras."""
        return input_shape

    def sees(self, span: tuple[int, int], axis: int, taken: int, given: int) -> tuple[int, int]:
        """Which pixels a span of its answer looks at: called by `trainer.receptive_field`."""
        del axis, taken, given
        return span


def features(x: Any) -> dict[int, Any]:
    """The five convolutions of AlexNet, all padded.

    The paper's second, fourth and fifth convolution stand on two GPUs that see one half of the
    channels each. Here, too, they are two layers, `conv2_1` and `conv2_2`.

    Args:
      x: [N, H, W, 3].

    Returns:
      The features at strides 8, 16 and 32: after each of the three pooling layers.
    """
    x = layers.Conv2D(96, 11, strides=4, padding="same", activation="relu", name="conv1", **_START)(
        x
    )
    at_8 = _pool(LocalResponseNormalization(name="norm1")(x), "pool1")
    x = _on_two(at_8, 256, 5, "conv2")
    at_16 = _pool(LocalResponseNormalization(name="norm2")(x), "pool2")
    x = layers.Conv2D(384, 3, padding="same", activation="relu", name="conv3", **_START)(at_16)
    x = _on_two(x, 384, 3, "conv4")
    x = _on_two(x, 256, 3, "conv5")
    return {8: at_8, 16: at_16, 32: _pool(x, "pool5")}


_START = {"kernel_initializer": "he_normal"}


def _on_two(x: Any, channels: int, size: int, name: str) -> Any:
    """A convolution in two groups; Keras has a kernel for groups on GPUs alone."""
    half = x.shape[-1] // 2
    return layers.Concatenate(name=name)(
        [
            layers.Conv2D(
                channels // 2, size, padding="same", activation="relu", name=f"{name}_{i}", **_START
            )(part)
            for i, part in ((1, Channels(end=half)(x)), (2, Channels(begin=half)(x)))
        ]
    )


def _pool(x: Any, name: str) -> Any:
    return layers.MaxPooling2D(3, strides=2, padding="same", name=name)(x)
