"""FCN-8s. https://arxiv.org/abs/1411.4038 (Long, Shelhamer, Darrell, CVPR 2015), section 4.2.

On MobileNet (https://arxiv.org/abs/1704.04861) in the place of VGG16: a class score is computed
at strides 32, 16 and 8, and each is up-sampled onto the next finer one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers

from components.errors import InputError
from trainer.models.options import FCN8sOptions
from trainer.models.registry import Geometry

# The last layer of MobileNet at each stride.
_FEATURES = {8: "conv_pw_5_relu", 16: "conv_pw_11_relu", 32: "conv_pw_13_relu"}


def build(inputs: Any, classes: int, options: FCN8sOptions) -> Any:
    """Scores at three strides, fused from coarse to fine.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 32. MobileNet sees three
        channels: a single one is repeated, others are mixed by a 1 x 1 convolution.
      classes: number of classes, K.
      options: MobileNet's width and weights.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the weights' file is missing or not of this MobileNet.
    """
    channels = inputs.shape[-1]
    if channels == 1:
        inputs = layers.Concatenate()([inputs] * 3)
    elif channels != 3:
        inputs = layers.Conv2D(3, 1)(inputs)
    at_8, at_16, at_32 = _backbone(options)(inputs)

    def scores(x: Any, name: str) -> Any:
        # As in the paper, scores begin at zero: the finer streams change nothing at first.
        return layers.Conv2D(classes, 1, kernel_initializer="zeros", name=name)(x)

    # The coarsest scores cannot begin at zero too, or no gradient would reach the backbone.
    x = layers.Conv2D(classes, 1, kernel_initializer="he_normal", name="score_32")(at_32)
    x = layers.Add()([_upsample(x, classes, 2), scores(at_16, "score_16")])
    x = layers.Add()([_upsample(x, classes, 2), scores(at_8, "score_8")])
    return _upsample(x, classes, 8, dtype="float32")


def geometry(options: FCN8sOptions) -> Geometry:
    """All convolutions are padded; sizes are multiples of the coarsest stride."""
    del options
    return Geometry(stride=32, smallest=32)


def bilinear_kernel(factor: int, channels: int) -> np.ndarray:
    """The transposed convolution that interpolates bilinearly, each channel by itself.

    Returns:
      float32 [2 * factor, 2 * factor, channels, channels]. Section 3.3 of the paper.
    """
    size = 2 * factor
    # Distance of each tap from the kernel's centre, in output pixels.
    distance = np.abs(np.arange(size) - (size - 1) / 2)
    line = 1 - distance / factor
    kernel = np.zeros((size, size, channels, channels), np.float32)
    for channel in range(channels):
        kernel[:, :, channel, channel] = np.outer(line, line)
    return kernel


def _upsample(x: Any, channels: int, factor: int, dtype: str | None = None) -> Any:
    return layers.Conv2DTranspose(
        channels,
        2 * factor,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=lambda shape, dtype=None: bilinear_kernel(factor, channels),
        dtype=dtype,
    )(x)


def _backbone(options: FCN8sOptions) -> Any:
    """MobileNet from three channels to its features at strides 8, 16 and 32."""
    weights = "imagenet" if options.weights == "imagenet" else None
    mobilenet = keras.applications.MobileNet(
        input_shape=(None, None, 3), alpha=options.alpha, include_top=False, weights=weights
    )
    if options.weights not in ("random", "imagenet"):
        file = Path(options.weights).expanduser()
        if not file.is_file():
            raise InputError(f"model.options.weights: there is no file {options.weights}.")
        try:
            mobilenet.load_weights(str(file))
        except (ValueError, OSError) as error:
            raise InputError(
                f"model.options.weights: {options.weights} does not hold weights of a MobileNet "
                f"of alpha {options.alpha} without its top: {error}"
            ) from error
    features = [mobilenet.get_layer(name).output for name in _FEATURES.values()]
    return keras.Model(mobilenet.input, features, name="mobilenet")
