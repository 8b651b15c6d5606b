"""U-Net. https://arxiv.org/abs/1505.04597 (Ronneberger, Fischer, Brox, MICCAI 2015), figure 1."""

from __future__ import annotations

import math
from typing import Any

import tensorflow as tf
from keras import layers

from trainer.models.options import UNetOptions
from trainer.models.registry import Geometry

# Wu and He (https://arxiv.org/abs/1803.08494), table 3, find 2 to 64 groups within 0.6 points of
# each other, in layers of 64 channels and more; the first of a U-Net may have 16.
_GROUPS = 8


def build(inputs: Any, classes: int, options: UNetOptions) -> Any:
    """A contracting path, an expanding one, and a skip at each resolution.

    Args:
      inputs: [N, H, W, C], normalised.
      classes: number of classes, K.
      options: width, depth, padding, normalisation, dropout, upsampling.

    Returns:
      Logits, float32 [N, H', W', K]. With padding `same` H' = H, a multiple of 2^depth; with
      `valid` H' = H - 12 * 2^depth + 8 (572 gives 388 at depth 4), and less where up-sampling is
      by resize.
    """
    x, skips = inputs, []
    for level in range(options.depth):
        x = _two_convolutions(x, options.width * 2**level, options, f"down{level}")
        skips.append(x)
        if level == options.depth - 1:
            x = _dropout(x, options, f"down{level}")
        x = layers.MaxPooling2D(2, name=f"down{level}_pool")(x)
    x = _two_convolutions(x, options.width * 2**options.depth, options, "bottom")
    x = _dropout(x, options, "bottom")
    for level in reversed(range(options.depth)):
        width = options.width * 2**level
        x = _upsample(x, width, options, f"up{level}")
        skip = _crop(skips[level], _skip_crop(options, level))
        x = layers.Concatenate(name=f"up{level}_concat")([skip, x])
        x = _two_convolutions(x, width, options, f"up{level}")
    # The loss and its softmax need float32 also under mixed precision.
    return layers.Conv2D(classes, 1, kernel_initializer="he_normal", dtype="float32", name="score")(
        x
    )


def geometry(options: UNetOptions) -> Geometry:
    """How the output's size follows from the input's.

    With `valid` each of the two convolutions of a level takes 2 pixels at that level's
    resolution, on the way down and on the way up: an input of s * 2^d + 4 (2^d - 1), where s is
    the size at the bottom, gives an output of (s - 4) * 2^d - 4 (2^d - 1). The convolution after a
    resize takes 2 more on the way up: (s - 4) * 2^d - 6 (2^d - 1).
    """
    stride = 2**options.depth
    if options.padding == "same":
        return Geometry(stride, smallest=stride)
    lost = _lost_by_resize(options)
    remainder = (4 + 2 * lost) % stride
    margin = (6 + lost) * stride - (4 + lost)
    return Geometry(stride, margin, remainder, smallest=remainder or stride)


def _two_convolutions(x: Any, width: int, options: UNetOptions, name: str) -> Any:
    for number in (1, 2):
        bare = options.normalisation == "none"
        x = layers.Conv2D(
            width,
            3,
            padding=options.padding,
            use_bias=bare,
            kernel_initializer="he_normal",
            name=f"{name}_conv{number}",
        )(x)
        if options.normalisation == "batch":
            x = normalise(x, f"{name}_norm{number}")
        elif options.normalisation == "group":
            groups = math.gcd(width, _GROUPS)
            x = layers.GroupNormalization(groups, name=f"{name}_norm{number}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
    return x


def _upsample(x: Any, width: int, options: UNetOptions, name: str) -> Any:
    """To twice the resolution, in half as many channels.

    A transposed convolution of stride 2 reaches even and odd pixels by different weights, and what
    it makes of an even surface may be a checkerboard. Each pixel of a resized image is reached by
    the same ones (Odena, Dumoulin, Olah, Deconvolution and Checkerboard Artifacts, Distill, 2016).
    """
    if options.upsampling == "transposed":
        return layers.Conv2DTranspose(
            width, 2, strides=2, kernel_initializer="he_normal", name=f"{name}_transposed"
        )(x)
    x = layers.UpSampling2D(2, name=f"{name}_resize")(x)
    return layers.Conv2D(
        width, 3, padding=options.padding, kernel_initializer="he_normal", name=f"{name}_conv0"
    )(x)


def normalise(x: Any, name: str | None = None) -> Any:
    """Batch normalisation over the batch of all replicas together.

    Momentum is 0.98: statistics of the last 50 steps or so. 0.9 remembers ten, which is few at a
    batch of four tiles; with Keras's 0.99 a run of a few hundred steps would be evaluated with
    statistics of its first steps.
    """
    return layers.BatchNormalization(**normalisation(), name=name)(x)


def normalisation() -> dict[str, Any]:
    """Momentum and synchronisation of batch normalisation; call it in the strategy's scope."""
    # Only where there are several replicas: the synchronised layer has no fused kernel.
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return {"momentum": 0.98, "synchronized": several}


def _dropout(x: Any, options: UNetOptions, name: str) -> Any:
    return layers.Dropout(options.dropout, name=f"{name}_dropout")(x) if options.dropout else x


def _lost_by_resize(options: UNetOptions) -> int:
    """Pixels on each side that the convolution after a resize takes."""
    return int(options.upsampling == "resize" and options.padding == "valid")


def _skip_crop(options: UNetOptions, level: int) -> int:
    """Pixels that a skip has more on each side than what comes up from below, at its resolution.

    One level apart it is 4: the two convolutions at the bottom take 2 pixels on each side, twice
    as much at the resolution above. Each level more takes 4 at its own resolution: c' = 2 c + 8,
    hence 6 * 2^k - 8 over k levels (88, 40, 16, 4 in the paper's figure). With resize each
    up-sampling takes 1 more at its own resolution: c' = 2 c + 9 from 5, hence 7 * 2^k - 9.
    """
    lost = _lost_by_resize(options)
    levels = options.depth - level
    return 0 if options.padding == "same" else (6 + lost) * 2**levels - (8 + lost)


def _crop(x: Any, pixels: int) -> Any:
    return layers.Cropping2D(pixels)(x) if pixels else x
