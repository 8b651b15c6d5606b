"""Classifiers made atrous: coarse strides are taken out and later kernels spread in their place.

Chen et al., DeepLab, https://arxiv.org/abs/1606.00915, section 3.1. Where a stride of 2 is taken
out, every second feature is what it was before, and those in between are new; a kernel that comes
later has holes in it, so that it sees the same features as before. The weights stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from trainer.models import backbones
from trainer.models.options import DeepLabOptions, FCN8sOptions
from trainer.models.unet import normalisation


def build(options: DeepLabOptions, multi_grid: Sequence[int] = (1, 1, 1)) -> keras.Model:
    """The backbone that `options` name, up to its last features.

    Args:
      options: backbone, weights, train_backbone, alpha, output_stride.
      multi_grid: factors of the atrous rates of the last three blocks of resnet50
        (https://arxiv.org/abs/1706.05587, section 3.2.1).

    Returns:
      A model from [N, H, W, 3] (each channel with mean 0 and deviation 1; H and W multiples of
      output_stride) to [N, H / output_stride, W / output_stride, C].

    Raises:
      InputError: the weights cannot be had or are of another network.
    """
    source = backbones.build(
        FCN8sOptions(
            backbone=options.backbone,
            weights=options.weights,
            train_backbone=options.train_backbone,
            alpha=options.alpha,
            fc_width=1,  # fc6 and fc7 are cut off
        )
    )
    last, stride_before = _BACKBONES[options.backbone]
    network = keras.Model(source.input, source.get_layer(last).output, name=options.backbone)
    return dilated(network, stride_before, options.output_stride, multi_grid)


def dilated(
    network: keras.Model,
    stride_before: Callable[[str], int],
    output_stride: int,
    multi_grid: Sequence[int] = (1, 1, 1),
) -> keras.Model:
    """A copy of a network, with its weights, that goes no further than a stride.

    Args:
      network: of named layers.
      stride_before: gives by a layer's name the stride, in the network, of what it takes.
      output_stride: the largest that is left.
      multi_grid: see `build`.
    """

    def copy(layer: Any) -> Any:
        config = layer.get_config()
        before = stride_before(layer.name)
        rate = max(1, before // output_stride)
        if config.get("strides") in ((2, 2), [2, 2]) and 2 * before > output_stride:
            config["strides"] = (1, 1)
            if isinstance(layer, layers.MaxPooling2D):
                config["padding"] = "same"
        if _is_spatial(layer) and rate > 1:
            found = re.match(r"conv5_block(\d)", layer.name)
            config["dilation_rate"] = rate * (multi_grid[int(found[1]) - 1] if found else 1)
        if re.match(r"conv_pad_\d", layer.name) and 2 * before > output_stride:
            # MobileNet's strided kernels begin at the pixel itself, not one before it: they need
            # what they reach past the end, as before.
            config["padding"] = ((0, 2 * rate), (0, 2 * rate))
        if isinstance(layer, layers.BatchNormalization):
            config.update(normalisation())
        return type(layer).from_config(config)

    network_copy = keras.models.clone_model(network, clone_function=copy)
    network_copy.set_weights(network.get_weights())
    return network_copy


def _is_spatial(layer: Any) -> bool:
    return isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)) and max(layer.kernel_size) > 1


def _in_vgg16(name: str) -> int:
    block = re.match(r"block(\d)", name)
    return 2 ** (int(block[1]) - 1) if block else 1


def _in_resnet50(name: str) -> int:
    """In a stage's first block the stride is that of the 1 x 1 convolutions, before the 3 x 3."""
    layer = re.match(r"conv([2-5])_block(\d+)_(\w+)", name)
    if not layer:
        return 1
    stage, block, part = int(layer[1]), int(layer[2]), layer[3]
    strided = stage > 2 and block == 1 and part in ("0_conv", "1_conv")
    return 2 ** (stage - strided)


def _in_mobilenet(name: str) -> int:
    layer = re.match(r"conv_(?:pad|dw|pw)_(\d+)$", name)
    if not layer:
        return 1
    # Its strided depthwise convolutions are 2, 4, 6 and 12, after a first layer of stride 2.
    pointwise = "_pw_" in name
    return 2 * 2 ** sum(int(layer[1]) >= number + (not pointwise) for number in (2, 4, 6, 12))


# The layer that gives the last features, and the strides by name.
_BACKBONES: dict[str, tuple[str, Callable[[str], int]]] = {
    "vgg16": ("block5_conv3", _in_vgg16),
    "resnet50": ("conv5_block3_out", _in_resnet50),
    "mobilenet": ("conv_pw_13_relu", _in_mobilenet),
}
