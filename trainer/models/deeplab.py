"""DeepLab v2 and v3.

- v2: https://arxiv.org/abs/1606.00915 (Chen, Papandreou, Kokkinos, Murphy, Yuille, PAMI 2018):
  atrous convolution, atrous spatial pyramid pooling (section 3.2), fully connected CRF (3.3).
- v3: https://arxiv.org/abs/1706.05587 (Chen, Papandreou, Schroff, Adam, 2017): batch normalisation
  and the image's own mean in the pyramid (section 3.3), multi-grid (3.2.1); the paper has no CRF.

The papers' best figures are on ResNet-101, and v2's with three scales of each image as inputs; here
the backbones are ResNet-50, MobileNet and VGG16, and the image goes in once.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import initializers, layers

from trainer.models import atrous, crf, pixels
from trainer.models.options import DeepLabOptions, DeepLabV2Options, DeepLabV3Options
from trainer.models.registry import Geometry
from trainer.models.unet import normalise


def build(inputs: Any, classes: int, options: DeepLabOptions) -> Any:
    """An atrous backbone, a pyramid of atrous convolutions, and bilinear up-sampling.

    Args:
      inputs: [N, H, W, C], normalised; H and W are multiples of `options.output_stride`.
      classes: number of classes, K.
      options: their class says which version it is.

    Returns:
      Logits, float32 [N, H, W, K].

    Raises:
      InputError: the backbone's weights cannot be had or are of another network.
    """
    inputs = pixels.three_channels(inputs)
    if isinstance(options, DeepLabV3Options):
        x = _pyramid_v3(atrous.build(options, options.multi_grid)(inputs), options)
        x = layers.Conv2D(
            classes, 1, kernel_initializer="he_normal", dtype="float32", name="score"
        )(x)
    else:
        assert isinstance(options, DeepLabV2Options)
        x = _pyramid_v2(atrous.build(options)(inputs), classes, options)
    return layers.UpSampling2D(
        options.output_stride, interpolation="bilinear", dtype="float32", name="upsample"
    )(x)


def geometry(options: DeepLabOptions) -> Geometry:
    """All convolutions are padded; sizes are multiples of the output stride."""
    return Geometry(stride=options.output_stride, smallest=options.output_stride)


def refine(images: tf.Tensor, logits: tf.Tensor, options: DeepLabOptions) -> tf.Tensor:
    """The fully connected CRF: `trainer.models.crf.refine` with `options.crf`."""
    return crf.refine(images, logits, options.crf)


def _pyramid_v2(x: Any, classes: int, options: DeepLabV2Options) -> Any:
    """Scores of several rates, added up; over VGG16 each by a fc6 and a fc7 of its own."""
    if options.backbone == "vgg16":
        x = layers.MaxPooling2D(3, strides=1, padding="same", name="pool5")(x)
    scores = []
    for rate in options.rates:
        branch = x
        if options.backbone == "vgg16":
            for name, size in (("fc6", 3), ("fc7", 1)):
                branch = layers.Conv2D(
                    options.fc_width,
                    size,
                    padding="same",
                    dilation_rate=rate if size > 1 else 1,
                    activation="relu",
                    kernel_initializer="he_normal",
                    name=f"{name}_rate{rate}",
                )(branch)
                branch = layers.Dropout(0.5, name=f"dropout_{name}_rate{rate}")(branch)
        scores.append(
            layers.Conv2D(
                classes,
                1 if options.backbone == "vgg16" else 3,
                padding="same",
                dilation_rate=1 if options.backbone == "vgg16" else rate,
                kernel_initializer=initializers.RandomNormal(stddev=0.01),
                dtype="float32",
                name=f"score_rate{rate}",
            )(branch)
        )
    return layers.Add(name="pyramid")(scores) if len(scores) > 1 else scores[0]


def _pyramid_v3(features: Any, options: DeepLabV3Options) -> Any:
    """A 1 x 1 convolution, one of each rate, and the image's mean, drawn together by a last one."""

    def convolution(x: Any, size: int, rate: int, name: str) -> Any:
        x = layers.Conv2D(
            options.channels,
            size,
            padding="same",
            dilation_rate=rate,
            use_bias=False,
            kernel_initializer="he_normal",
            name=name,
        )(x)
        return layers.Activation("relu", name=f"{name}_relu")(normalise(x, f"{name}_norm"))

    def project(x: Any, name: str) -> Any:
        return layers.Conv2D(
            options.channels, 1, use_bias=False, kernel_initializer="he_normal", name=name
        )(x)

    finer = 16 // options.output_stride
    branches = [convolution(features, 1, 1, "pyramid_1x1")]
    for rate in options.rates:
        branches.append(convolution(features, 3, rate * finer, f"pyramid_rate{rate}"))
    x = project(layers.Concatenate(name="pyramid")(branches), "project")
    if options.image_mean:
        # The paper spreads the mean over the image, appends it to the branches, and has a 1 x 1
        # convolution of all. That is the sum of two, of which one need not be done for each pixel.
        # In float32: bfloat16 would lose small features among thousands that are added up.
        mean = layers.GlobalAveragePooling2D(keepdims=True, dtype="float32", name="image_mean")
        mean = convolution(mean(features), 1, 1, "pyramid_image")
        x = layers.Add(name="project_sum")([x, project(mean, "project_image")])
    return layers.Activation("relu", name="project_relu")(normalise(x, "project_norm"))
