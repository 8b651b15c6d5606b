"""FCN-32s, FCN-16s, FCN-8s. https://arxiv.org/abs/1411.4038 (Long, Shelhamer, Darrell, CVPR 2015).

Section 4, and of the longer version (Shelhamer, Long, Darrell, PAMI 2017,
https://arxiv.org/abs/1605.06211) section 4 too. A class score is computed at stride 32, and in the
finer nets at strides 16 and 8 as well; each is up-sampled onto the next finer one. The paper pads
an image by 100 pixels and crops the answer; here all layers are padded, so that sizes that are
multiples of 32 come out as they went in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import keras
import numpy as np
from keras import layers

from trainer.models import backbones, pixels
from trainer.models.options import FCN16sOptions, FCNOptions
from trainer.models.registry import Geometry


def build(inputs: Any, classes: int, options: FCNOptions) -> Any:
    """Scores at one, two or three strides, fused from coarse to fine.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of 32. Backbones see three channels: a
        single one is repeated, others are mixed by a 1 x 1 convolution.
      classes: number of classes, K.
      options: the backbone with its weights, and how scores are fused; their class says which of
        the three nets it is.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the backbone's weights cannot be had or are of another network.
    """
    features = backbones.build(options)(pixels.three_channels(inputs))
    scaled = isinstance(options, FCN16sOptions) and options.scale_skips
    return fuse(
        {
            stride: _weaker(x, stride) if scaled and stride in _SCALES else x
            for stride, x in zip(backbones.STRIDES, features)
            if stride >= options.finest
        },
        classes,
        first="he_normal" if options.weights == "random" else "zeros",
        learn_last=options.last_upsampling == "learnt",
    )


def geometry(options: FCNOptions) -> Geometry:
    """All convolutions are padded; sizes are multiples of the coarsest stride."""
    del options
    return Geometry(stride=32, smallest=32)


def fuse(
    features: Mapping[int, Any],
    classes: int,
    first: Literal["he_normal", "zeros"] = "he_normal",
    learn_last: bool = True,
) -> Any:
    """Class scores of each stride, added up from coarse to fine, at the image's own resolution.

    Args:
      features: [N, H / s, W / s, C] by stride s, powers of two that follow one another.
      classes: number of classes, K.
      first: how the coarsest scores begin. At zero, as in the paper, where features are trained: of
        those of a network without batch normalisation others make scores of hundreds. Not where
        they are random, or in the first step no gradient reaches them.
      learn_last: whether the last up-sampling is learnt, or bilinear for ever as in section 4.3.

    Returns:
      Logits, float32 [N, H, W, K].
    """
    coarsest, *finer = sorted(features, reverse=True)
    x = _scores(features[coarsest], classes, coarsest, first)
    above = coarsest
    for stride in finer:
        up = _upsample(x, classes, above, 2)
        # As in the paper, skips begin at zero: a finer net begins with what the coarser one says.
        x = layers.Add(name=f"fuse_{stride}")(
            [up, _scores(features[stride], classes, stride, "zeros")]
        )
        above = stride
    return _upsample(x, classes, above, above, dtype="float32", trainable=learn_last)


@keras.utils.register_keras_serializable("overtile")
class Bilinear(keras.initializers.Initializer):
    """Makes a transposed convolution interpolate bilinearly, each channel by itself.

    Section 3.3 of the paper. The kernel is [2 f, 2 f, K, K] for strides of f.
    """

    def __call__(self, shape: Any, dtype: Any = None, **options: Any) -> np.ndarray:
        """Called by Keras."""
        del dtype, options
        return bilinear_kernel(shape[0] // 2, shape[2])


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


# Stage-wise training lowers the learning rate of a new skip a hundredfold; PAMI 2017 has the effect
# at once, by skips that are weaker by these factors.
_SCALES = {16: 0.01, 8: 0.0001}


def _weaker(x: Any, stride: int) -> Any:
    return layers.Rescaling(_SCALES[stride], name=f"scale_{stride}")(x)


def _scores(x: Any, classes: int, stride: int, initializer: str) -> Any:
    return layers.Conv2D(classes, 1, kernel_initializer=initializer, name=f"score_{stride}")(x)


def _upsample(
    x: Any,
    channels: int,
    stride: int,
    factor: int,
    dtype: str | None = None,
    trainable: bool = True,
) -> Any:
    return layers.Conv2DTranspose(
        channels,
        2 * factor,
        strides=factor,
        padding="same",
        use_bias=False,
        kernel_initializer=Bilinear(),
        dtype=dtype,
        trainable=trainable,
        name=f"upsample_{stride}_by_{factor}",
    )(x)
