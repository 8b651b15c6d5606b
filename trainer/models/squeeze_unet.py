"""Squeeze U-Net. https://doi.org/10.1109/CVPRW50498.2020.00190 (Beheshti, Johnsson, CVPRW 2020).

A U-Net whose convolutions below full resolution are fire modules (SqueezeNet,
https://arxiv.org/abs/1602.07360), and whose up-convolutions are transposed fire modules: 2.6
million parameters instead of 31.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import layers

from trainer.models import backbones, pixels
from trainer.models.options import FCN8sOptions, SqueezeUNetOptions
from trainer.models.registry import Geometry
from trainer.models.squeezenet import fire

# At each stride: channels of a fire module's squeezing and of each of its expanding convolutions,
# in sixteenths of the width.
_FIRES = {2: (8, 16), 4: (12, 32), 8: (16, 64), 16: (20, 128)}

# SqueezeNet's last layer at each stride.
_SQUEEZENET = {2: "conv1", 4: "fire3_concat", 8: "fire5_concat", 16: "fire9_concat"}


def build(inputs: Any, classes: int, options: SqueezeUNetOptions) -> Any:
    """A contracting path of fire modules, an expanding one, and a skip at each resolution.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 16.
      classes: number of classes, K.
      options: encoder, width, weights.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the weights cannot be had or are not SqueezeNet's.
    """
    contract = _squeezenet if options.encoder == "squeezenet" else _contracted
    at = contract(inputs, options)
    x = at[16]
    for stride in (8, 4, 2):
        # Channels follow the skip's, which are twice those of an expanding convolution.
        expand = at[stride].shape[-1] // 2
        squeeze, above = (_share(stride * factor, options.width)[0] for factor in (1, 2))
        x = _transposed_fire(x, above, expand, f"up{stride}_transposed")
        x = layers.Concatenate(name=f"up{stride}_concat")([x, at[stride]])
        for number in (1, 2):
            x = fire(x, squeeze, expand, f"up{stride}_fire{number}")
    x = layers.Conv2DTranspose(
        options.width,
        2,
        strides=2,
        activation="relu",
        kernel_initializer="he_normal",
        name="up1_transposed",
    )(x)
    x = layers.Concatenate(name="up1_concat")([x, at[1]])
    x = _two_convolutions(x, options.width, "up1")
    return layers.Conv2D(classes, 1, kernel_initializer="he_normal", dtype="float32", name="score")(
        x
    )


def geometry(options: SqueezeUNetOptions) -> Geometry:
    """All convolutions are padded; the resolution is halved four times."""
    del options
    return Geometry(stride=16, smallest=16)


def _contracted(inputs: Any, options: SqueezeUNetOptions) -> Mapping[int, Any]:
    """The paper's contracting path: its features at each stride."""
    x = _two_convolutions(inputs, options.width, "down1")
    at = {1: x}
    for stride in _FIRES:
        # The paper's squeezing convolution has a stride of 2; being 1 x 1, it sees every second
        # pixel, and these alone may as well be all that there is.
        x = layers.MaxPooling2D(1, strides=2, name=f"down{stride}_subsample")(x)
        for number in (1, 2):
            x = fire(x, *_share(stride, options.width), f"down{stride}_fire{number}")
        at[stride] = x
    return at


def _squeezenet(inputs: Any, options: SqueezeUNetOptions) -> Mapping[int, Any]:
    """SqueezeNet's features at each stride; at stride 1 it has nothing but the image."""
    source = backbones.build(FCN8sOptions(backbone="squeezenet", weights=options.weights))
    outputs = [source.get_layer(name).output for name in _SQUEEZENET.values()]
    encoder = keras.Model(source.input, outputs, name="squeezenet")
    return {1: inputs, **dict(zip(_SQUEEZENET, encoder(pixels.three_channels(inputs))))}


def _transposed_fire(x: Any, squeeze: int, expand: int, name: str) -> Any:
    """A fire module of transposed convolutions, to twice the resolution."""

    def transposed(x: Any, channels: int, size: int, strides: int, part: str) -> Any:
        return layers.Conv2DTranspose(
            channels,
            size,
            strides=strides,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"{name}_{part}",
        )(x)

    x = transposed(x, squeeze, 1, 2, "squeeze1x1")
    return layers.Concatenate(name=f"{name}_concat")(
        [transposed(x, expand, 1, 1, "expand1x1"), transposed(x, expand, 2, 1, "expand2x2")]
    )


def _two_convolutions(x: Any, width: int, name: str) -> Any:
    for number in (1, 2):
        x = layers.Conv2D(
            width,
            3,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=f"{name}_conv{number}",
        )(x)
    return x


def _share(stride: int, width: int) -> tuple[int, int]:
    """Channels of a fire module at a stride: squeezing, and each of its expanding ones."""
    squeeze, expand = _FIRES[stride]
    return squeeze * width // 16, expand * width // 16
