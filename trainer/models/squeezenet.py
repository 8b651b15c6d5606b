"""SqueezeNet 1.1. https://arxiv.org/abs/1602.07360 (Iandola et al. 2016), section 3.

Version 1.1 is the authors' own revision of the paper's network: the same accuracy for 2.4 times
fewer multiply-adds, since it halves the resolution earlier.
"""

from __future__ import annotations

from typing import Any

from keras import layers

# Channels of a fire module's squeezing convolution, and of each of its two expanding ones, by the
# module's number; the pooling layers stand before fire2, fire4 and fire6.
_FIRES = {
    2: (16, 64),
    3: (16, 64),
    4: (32, 128),
    5: (32, 128),
    6: (48, 192),
    7: (48, 192),
    8: (64, 256),
    9: (64, 256),
}


def fire(x: Any, squeeze: int, expand: int, name: str) -> Any:
    """A fire module: few channels between two wide layers, so that the 3 x 3 kernels are small.

    Args:
      x: [N, H, W, C].
      squeeze: channels of the first 1 x 1 convolution.
      expand: channels of the 1 x 1 and of the 3 x 3 convolution that see these.
      name: `NAME_squeeze1x1`, `NAME_expand1x1` and `NAME_expand3x3` are the layers' names; those
        of the authors' own weights, with an underscore in the place of their slash.

    Returns:
      [N, H, W, 2 * expand].
    """
    x = _convolution(x, squeeze, 1, f"{name}_squeeze1x1")
    return layers.Concatenate(name=f"{name}_concat")(
        [
            _convolution(x, expand, 1, f"{name}_expand1x1"),
            _convolution(x, expand, 3, f"{name}_expand3x3"),
        ]
    )


def features(x: Any) -> dict[int, Any]:
    """SqueezeNet up to its last fire module.

    All layers are padded, so that sizes that are multiples of 16 halve exactly; the original's are
    not, which changes what it answers at the image's edge alone.

    Args:
      x: [N, H, W, 3].

    Returns:
      The last features at strides 2, 4, 8 and 16: of 64, 128, 256 and 512 channels.
    """
    at: dict[int, Any] = {}
    x = at[2] = _convolution(x, 64, 3, "conv1", strides=2)
    stride = 2
    for number, (squeeze, expand) in _FIRES.items():
        if number in (2, 4, 6):
            x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"pool{number - 1}")(x)
            stride *= 2
        x = at[stride] = fire(x, squeeze, expand, f"fire{number}")
    return at


def _convolution(x: Any, channels: int, size: int, name: str, strides: int = 1) -> Any:
    return layers.Conv2D(
        channels,
        size,
        strides=strides,
        padding="same",
        activation="relu",
        kernel_initializer="he_uniform",
        name=name,
    )(x)
