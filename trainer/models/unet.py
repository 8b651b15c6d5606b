"""U-Net. https://arxiv.org/abs/1505.04597 (Ronneberger, Fischer, Brox, MICCAI 2015), figure 1."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import layers

from trainer.models.options import UNetOptions
from trainer.models.registry import Geometry


def build(inputs: Any, classes: int, options: UNetOptions) -> Any:
    """A contracting path, an expanding one, and a skip at each resolution.

    Args:
      inputs: [N, H, W, C], normalised.
      classes: number of classes, K.
      options: width, depth, padding, normalisation, dropout.

    Returns:
      Logits, float32 [N, H', W', K]. With padding `same` H' = H, a multiple of 2^depth; with
      `valid` H' = H - 12 * 2^depth + 8 (572 gives 388 at depth 4).
    """
    x, skips = inputs, []
    for level in range(options.depth):
        x = _two_convolutions(x, options.width * 2**level, options)
        skips.append(x)
        if level == options.depth - 1:
            x = _dropout(x, options)
        x = layers.MaxPooling2D(2)(x)
    x = _two_convolutions(x, options.width * 2**options.depth, options)
    x = _dropout(x, options)
    for level in reversed(range(options.depth)):
        width = options.width * 2**level
        x = layers.Conv2DTranspose(width, 2, strides=2, kernel_initializer="he_normal")(x)
        skip = _crop(skips[level], _skip_crop(options, level))
        x = _two_convolutions(layers.Concatenate()([skip, x]), width, options)
    # The loss and its softmax need float32 also under mixed precision.
    return layers.Conv2D(classes, 1, kernel_initializer="he_normal", dtype="float32")(x)


def geometry(options: UNetOptions) -> Geometry:
    """How the output's size follows from the input's.

    With `valid` each of the two convolutions of a level takes 2 pixels at that level's
    resolution, on the way down and on the way up: an input of s * 2^d + 4 (2^d - 1), where s is
    the size at the bottom, gives an output of (s - 4) * 2^d - 4 (2^d - 1).
    """
    stride = 2**options.depth
    if options.padding == "same":
        return Geometry(stride, smallest=stride)
    remainder = 4 % stride
    return Geometry(stride, 6 * stride - 4, remainder, smallest=remainder or stride)


def _two_convolutions(x: Any, width: int, options: UNetOptions) -> Any:
    for _ in range(2):
        bare = options.normalisation == "none"
        x = layers.Conv2D(
            width, 3, padding=options.padding, use_bias=bare, kernel_initializer="he_normal"
        )(x)
        if not bare:
            x = normalise(x)
        x = layers.Activation("relu")(x)
    return x


def normalise(x: Any) -> Any:
    """Batch normalisation over the batch of all replicas together.

    Momentum is 0.98: statistics of the last 50 steps or so. 0.9 remembers ten, which is few at a
    batch of four tiles; with Keras's 0.99 a run of a few hundred steps would be evaluated with
    statistics of its first steps.
    """
    # Only where there are several replicas: the synchronised layer has no fused kernel.
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return layers.BatchNormalization(momentum=0.98, synchronized=several)(x)


def _dropout(x: Any, options: UNetOptions) -> Any:
    return layers.Dropout(options.dropout)(x) if options.dropout else x


def _skip_crop(options: UNetOptions, level: int) -> int:
    """Pixels that a skip has more on each side than what comes up from below, at its resolution.

    One level apart it is 4: the two convolutions at the bottom take 2 pixels on each side, twice
    as much at the resolution above. Each level more takes 4 at its own resolution: c' = 2 c + 8,
    hence 6 * 2^k - 8 over k levels (88, 40, 16, 4 in the paper's figure).
    """
    return 0 if options.padding == "same" else 6 * 2 ** (options.depth - level) - 8


def _crop(x: Any, pixels: int) -> Any:
    return layers.Cropping2D(pixels)(x) if pixels else x
