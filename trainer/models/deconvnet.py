"""DeconvNet. https://arxiv.org/abs/1505.04366 (Noh, Hong, Han, ICCV 2015), table 2.

VGG16 with its two dense layers as convolutions, and its mirror image: unpooling by the places of
the maxima, and transposed convolutions.
"""

from __future__ import annotations

from typing import Any

from keras import layers

from trainer import addons
from trainer.models import segnet
from trainer.models.options import DeconvNetOptions
from trainer.models.registry import Geometry

# Transposed convolutions of each block, in multiples of the first width.
_DECODER = {5: (8, 8, 8), 4: (8, 8, 4), 3: (4, 4, 2), 2: (2, 1), 1: (1, 1)}
_WINDOW = 7


def build(inputs: Any, classes: int, options: DeconvNetOptions) -> Any:
    """VGG16's layers, and their mirror image on the pooling indices.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 32, at least 224.
      classes: number of classes, K.
      options: width, fc_width, weights.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the weights cannot be had or are not VGG16's.
    """
    x, indices = segnet.encode(inputs, options)
    # An image of 224 x 224 is one window of the dense layers, a larger one several.
    x = layers.Conv2D(options.fc_width, _WINDOW, kernel_initializer="he_normal", name="fc6")(x)
    x = segnet.activate(x, "fc6")
    x = segnet.convolution(x, options.fc_width, 1, "fc7")
    x = layers.Conv2DTranspose(
        8 * options.width, _WINDOW, kernel_initializer="he_normal", name="fc6_transposed"
    )(x)
    x = segnet.activate(x, "fc6_transposed")
    for block, widths in _DECODER.items():
        x = addons.unpool(x, indices[block], f"unpool{block}")
        for number, width in enumerate(widths, start=1):
            name = f"decode{block}_transposed{number}"
            x = layers.Conv2DTranspose(
                options.width * width, 3, padding="same", kernel_initializer="he_normal", name=name
            )(x)
            x = segnet.activate(x, name)
    return layers.Conv2D(classes, 1, kernel_initializer="he_normal", dtype="float32", name="score")(
        x
    )


def geometry(options: DeconvNetOptions) -> Geometry:
    """Any multiple of 32 from the 224 on that the dense layers' window takes."""
    del options
    return Geometry(stride=32, smallest=32 * _WINDOW)
