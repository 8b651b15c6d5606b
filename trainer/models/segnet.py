"""SegNet. https://arxiv.org/abs/1511.00561 (Badrinarayanan, Kendall, Cipolla, PAMI 2017).

Section 3: the 13 convolutions of VGG16, and the same ones backwards. A decoder gets no features
from its encoder, only the places of the maxima that were pooled: what is up-sampled goes back to
where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from trainer import addons
from trainer.models import backbones, pixels, weights
from trainer.models.options import DeconvNetOptions, FCN8sOptions, SegNetOptions
from trainer.models.registry import Geometry
from trainer.models.unet import normalise

BLOCKS = {1: (1, 2), 2: (2, 2), 3: (4, 3), 4: (8, 3), 5: (8, 3)}
"""VGG16's: width as a multiple of the first one's, and number of convolutions."""


def build(inputs: Any, classes: int, options: SegNetOptions) -> Any:
    """VGG16's convolutions, and their mirror image on the pooling indices.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 32.
      classes: number of classes, K.
      options: width, weights.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the weights cannot be had or are not VGG16's.
    """
    x, indices = encode(inputs, options)
    for block in reversed(BLOCKS):
        _, convolutions = BLOCKS[block]
        x = addons.unpool(x, indices[block], f"unpool{block}")
        for number in range(convolutions, 0, -1):
            # The last convolution of a block has the width of the block that comes next.
            width = options.width * BLOCKS[block if number > 1 else max(block - 1, 1)][0]
            if (block, number) != (1, 1):
                x = convolution(x, width, 3, f"decode{block}_conv{number}")
    return layers.Conv2D(
        classes,
        3,
        padding="same",
        kernel_initializer="he_normal",
        dtype="float32",
        name="decode1_conv1",
    )(x)


def geometry(options: SegNetOptions) -> Geometry:
    """All convolutions are padded; five pooling layers halve exactly."""
    del options
    return Geometry(stride=32, smallest=32)


def encode(inputs: Any, options: SegNetOptions | DeconvNetOptions) -> tuple[Any, Mapping[int, Any]]:
    """VGG16's convolutions with batch normalisation, and its pooling layers.

    Returns:
      [N, H / 32, W / 32, 8 * width], and the pooling indices of each block, int64.

    Raises:
      InputError: the weights cannot be had or are not VGG16's.
    """
    if options.weights != "random":
        inputs = pixels.three_channels(inputs)
    given = keras.Input((None, None, inputs.shape[-1]))
    x = given if options.weights == "random" else backbones.as_trained(given, caffe=True)
    indices = {}
    for block, (width, convolutions) in BLOCKS.items():
        for number in range(1, convolutions + 1):
            x = convolution(x, options.width * width, 3, f"block{block}_conv{number}")
        x, indices[block] = MaxPoolingWithIndices(2, name=f"block{block}_pool")(x)
    encoder = keras.Model(given, [x, *indices.values()], name="encoder")
    if options.weights != "random":
        vgg16 = backbones.build(FCN8sOptions(backbone="vgg16", weights=options.weights, fc_width=1))
        normalisations = [layer.name for layer in encoder.layers if "norm" in layer.name]
        weights.assign(encoder, weights.of_model(vgg16), optional=normalisations)
    x, *found = encoder(inputs)
    return x, dict(zip(indices, found))


def convolution(x: Any, width: int, size: int, name: str) -> Any:
    """A padded convolution, batch normalisation, ReLU."""
    x = layers.Conv2D(width, size, padding="same", kernel_initializer="he_normal", name=name)(x)
    return activate(x, name)


def activate(x: Any, name: str) -> Any:
    """Batch normalisation, ReLU."""
    return layers.Activation("relu", name=f"{name}_relu")(normalise(x, f"{name}_norm"))


class MaxPoolingWithIndices(layers.MaxPooling2D):
    """Max pooling that says as well where in its image each maximum was."""

    def call(self, inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Called by Keras: [N, H, W, C] and int64 [N, H, W, C], (y * W + x) * C + c."""
        return tf.nn.max_pool_with_argmax(
            inputs, self.pool_size, self.strides, self.padding.upper()
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Called by Keras."""
        shape = super().compute_output_shape(input_shape)
        return [shape, shape]
