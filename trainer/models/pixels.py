"""From pixels as they are in records and files to what a network computes with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

# An image of one colour has no contrast to stretch: this share of the data set's is the least.
_LEAST_CONTRAST = 0.01


def normalise(
    inputs: Any,
    mean: Sequence[float],
    deviation: Sequence[float],
    by: Literal["data_set", "image"],
) -> Any:
    """Each channel with mean 0 and deviation 1.

    In float32 also under mixed precision: bfloat16 has 8 significant bits, pixels have up to 16.

    Args:
      inputs: float32 [N, H, W, C], in the pixels' own unit.
      mean: of each channel over the train split.
      deviation: standard deviation of each channel.
      by: the whole train split's, or each image's own.

    Returns:
      float32 [N, H, W, C].
    """
    if by == "image":
        least = [_LEAST_CONTRAST * value for value in deviation]
        return ImageNormalization(least, dtype="float32")(inputs)
    return keras.layers.Normalization(
        mean=list(mean), variance=[value**2 for value in deviation], dtype="float32"
    )(inputs)


def three_channels(inputs: Any) -> Any:
    """What networks see that were made for colour images.

    Args:
      inputs: [N, H, W, C].

    Returns:
      [N, H, W, 3]: one channel is repeated, others than three are mixed by a 1 x 1 convolution.
    """
    channels = inputs.shape[-1]
    if channels == 1:
        return keras.layers.Concatenate()([inputs] * 3)
    if channels != 3:
        return keras.layers.Conv2D(3, 1, name="to_three_channels")(inputs)
    return inputs


def grey_level(dtype: str, deviation: Sequence[float]) -> float:
    """What corresponds to one grey level of 8 bits, in the pixels' own unit.

    With other than 8 bits the range that is used is rarely that of the type. The train split's
    deviation then counts as 58 grey levels, which is that of ImageNet's photographs.

    Args:
      dtype: of the pixels.
      deviation: standard deviation of each channel over the train split, in the pixels' own unit.
    """
    return 1.0 if dtype == "uint8" else sum(deviation) / len(deviation) / 58


class ImageNormalization(keras.layers.Layer):
    """Takes each image's own mean away and divides by its own deviation, channel by channel."""

    def __init__(self, least: Sequence[float], **options: Any) -> None:
        """Makes the layer.

        Args:
          least: deviation of each channel that is divided by at least.
          options: of every Keras layer.
        """
        super().__init__(**options)
        self.least = list(least)

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Called by Keras."""
        mean, variance = tf.nn.moments(images, axes=[1, 2], keepdims=True)
        return (images - mean) / tf.maximum(tf.sqrt(variance), self.least)

    def get_config(self) -> dict[str, Any]:
        """Called by Keras."""
        return {**super().get_config(), "least": self.least}
