"""A convolutional autoencoder whose encoder becomes that of an FCN.

Masci, Meier, Ciresan, Schmidhuber, Stacked Convolutional Auto-Encoders for Hierarchical Feature
Extraction, ICANN 2011, https://doi.org/10.1007/978-3-642-21735-7_7: convolutions and max pooling
learn to reproduce images without labels, and their weights are where training with labels begins.
Here all levels learn together, under batch normalisation, and not one after the other. Scores are
computed and fused as in FCN (`trainer.models.fcn`).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers

from trainer.callbacks import Progress
from trainer.models.fcn import fuse
from trainer.models.options import AutoencoderFCNOptions
from trainer.models.registry import Geometry
from trainer.models.unet import normalise

_SKIPS = 2
_RATE = 1e-3


def build(inputs: Any, classes: int, options: AutoencoderFCNOptions) -> Any:
    """The encoder, and class scores of its three coarsest levels.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 2^depth.
      classes: number of classes, K.
      options: width and depth.

    Returns:
      Logits, float32 [N, H, W, K].
    """
    # Where `prepare` finds what is to be reproduced.
    inputs = layers.Activation("linear", dtype="float32", name="pixels")(inputs)
    strides = _strides(options)
    features = _encoder(inputs.shape[-1], options)(inputs)
    scored = dict(zip(strides, features))
    return fuse({stride: scored[stride] for stride in strides[-1 - _SKIPS :]}, classes)


def geometry(options: AutoencoderFCNOptions) -> Geometry:
    """All convolutions are padded; sizes are multiples of the coarsest stride."""
    return Geometry(stride=2**options.depth, smallest=2**options.depth)


def prepare(model: keras.Model, images: tf.data.Dataset, options: AutoencoderFCNOptions) -> None:
    """Trains the encoder to leave over what a decoder needs to reproduce images; see `registry`."""
    if options.pretrain_steps:
        pretrain(model, images, options)


def pretrain(model: keras.Model, images: tf.data.Dataset, options: AutoencoderFCNOptions) -> float:
    """Trains an encoder together with a decoder, which is thrown away.

    Args:
      model: of `build`; its encoder gets the weights.
      images: batches without end, float32 [N, H, W, C] in the pixels' own unit.
      options: how many steps.

    Returns:
      The mean squared error over all steps, of pixels whose variance is about 1.
    """
    pixels = model.get_layer("pixels").output
    coarsest = model.get_layer("encoder")(pixels)[-1]
    reproduced = _decoder(coarsest, pixels.shape[-1], options)
    # The difference is the network's answer, so that images need no copies as labels.
    autoencoder = keras.Model(model.input, layers.Subtract(dtype="float32")([reproduced, pixels]))
    autoencoder.compile(optimizer=keras.optimizers.Adam(_RATE), loss="mean_squared_error")
    history = autoencoder.fit(
        images.map(lambda batch: (batch, tf.zeros_like(batch))),
        steps_per_epoch=options.pretrain_steps,
        callbacks=[Progress(options.pretrain_steps, what="pre-training step")],
        verbose=0,
    )
    return float(history.history["loss"][0])


def _strides(options: AutoencoderFCNOptions) -> list[int]:
    return [2**level for level in range(1, options.depth + 1)]


def _encoder(channels: int, options: AutoencoderFCNOptions) -> keras.Model:
    """Features at each level, from fine to coarse."""
    x = inputs = keras.Input((None, None, channels))
    features = []
    for level in range(options.depth):
        for number in (1, 2):
            x = _convolution(x, options.width * 2**level, f"level{level + 1}_conv{number}")
        x = layers.MaxPooling2D(2, name=f"level{level + 1}_pool")(x)
        features.append(x)
    return keras.Model(inputs, features, name="encoder")


def _decoder(x: Any, channels: int, options: AutoencoderFCNOptions) -> Any:
    """Back to the image's resolution, without skips: they would copy what need not be learnt."""
    for level in reversed(range(options.depth)):
        x = layers.UpSampling2D(2)(x)
        x = _convolution(x, options.width * 2**level, f"decoder{level + 1}_conv")
    return layers.Conv2D(channels, 1, dtype="float32", name="reproduction")(x)


def _convolution(x: Any, width: int, name: str) -> Any:
    x = layers.Conv2D(
        width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.Activation("relu")(normalise(x))
