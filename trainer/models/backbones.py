"""Classifiers without their last layers, as feature extractors: the backbones of the FCNs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from components.errors import InputError
from trainer.models import alexnet, squeezenet, surgery, weights
from trainer.models.channels import Channels
from trainer.models.options import FCNOptions

STRIDES = (8, 16, 32)
FULLY_CONNECTED = ("fc6", "fc7")
"""The layers of VGG16 and AlexNet that were dense; after them comes the class score."""
_FC_WIDTH = 4096

# ImageNet's pixels, red, green and blue between 0 and 1.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class _Backbone(NamedTuple):
    """One of the backbones.

    Attributes:
      features: from [N, H, W, 3] to the features at each of STRIDES.
      caffe: whether its published weights take Caffe's pixels (blue, green, red, less ImageNet's
        mean, up to 255), or pixels between -1 and 1.
      classifier: the Keras application whose weights are its own, with the options for it.
      window: side of the kernel of fc6, 0 where there is none.
    """

    features: Callable[[Any, FCNOptions], dict[int, Any]]
    caffe: bool
    classifier: Callable[[FCNOptions], keras.Model] | None = None
    window: int = 0


def build(options: FCNOptions) -> keras.Model:
    """The backbone that `options` name, with the weights that they name.

    Args:
      options: backbone, weights, train_backbone, alpha, fc_width, dropout.

    Returns:
      A model of [N, H, W, 3] (each channel with mean 0 and deviation 1; H and W multiples of 32)
      that gives the features at strides 8, 16 and 32. Frozen layers are not trainable, and their
      batch normalisation goes by the statistics that it came with.

    Raises:
      InputError: the weights cannot be had or are of another network.
    """
    backbone = _BACKBONES[options.backbone]
    inputs = keras.Input((None, None, 3))
    x = inputs if options.weights == "random" else as_trained(inputs, backbone.caffe)
    at = backbone.features(x, options)
    if backbone.window:
        at[32] = _fully_connected(at[32], backbone.window, options)
    model = keras.Model(inputs, [at[stride] for stride in STRIDES], name=options.backbone)
    _normalise_as_the_house_does(model)
    if options.weights != "random":
        _load(model, backbone, options)
    if options.train_backbone == "frozen":
        for layer in model.layers:
            # Narrower ones than the classifier's have no weights to extract features with.
            layer.trainable = layer.name in FULLY_CONNECTED and options.fc_width != _FC_WIDTH
    return model


def _normalise_as_the_house_does(model: keras.Model) -> None:
    """Batch normalisation over the batch of all replicas, and with statistics that keep up.

    As `trainer.models.unet.normalise`, of layers that Keras has made. Theirs forget a hundredth a
    step: in a MobileNet from random weights, whose depthwise convolutions give variances of a
    thousandth, the 1 that they begin with would outweigh these for 700 steps.
    """
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.98
            if several:
                layer.synchronized, layer.fused = True, False


def as_trained(x: Any, caffe: bool) -> Any:
    """From mean 0 and deviation 1 to what ImageNet's pixels were in training, channel by channel.

    So a data set of any exposure, and of any number of bits, looks to the weights as photographs
    did.
    """
    if not caffe:
        return layers.Rescaling(
            [2 * deviation for deviation in _DEVIATION],
            [2 * mean - 1 for mean in _MEAN],
            dtype="float32",
        )(x)
    return layers.Rescaling([255 * deviation for deviation in _DEVIATION[::-1]], dtype="float32")(
        Channels(step=-1)(x)
    )


def _fully_connected(x: Any, window: int, options: FCNOptions) -> Any:
    """The classifier's dense layers as convolutions: Long et al., section 3.1."""
    for name, size in zip(FULLY_CONNECTED, (window, 1)):
        x = layers.Conv2D(
            options.fc_width,
            size,
            padding="same",
            activation="relu",
            kernel_initializer="he_normal",
            name=name,
        )(x)
        x = layers.Dropout(options.dropout, name=f"dropout_{name}")(x)
    return x


def _load(model: keras.Model, backbone: _Backbone, options: FCNOptions) -> None:
    if options.weights == "imagenet":
        source = f"ImageNet's {options.backbone}"
        found = _downloaded(backbone, options)
    else:
        source = options.weights
        found = weights.read(options.weights)
    for dense, name in zip(("fc1", "fc2"), FULLY_CONNECTED):
        if dense in found and options.fc_width == _FC_WIDTH:
            kernel, bias = found[dense]
            size = backbone.window if name == "fc6" else 1
            found[name] = [surgery.as_convolution(kernel, (size, size)), bias]
    for name in ("conv2", "conv4", "conv5") if options.backbone == "alexnet" else ():
        # In two groups: the first half of the kernels sees the first half of the channels.
        if name in found:
            kernel, bias = found[name]
            half = len(bias) // 2
            found[f"{name}_1"] = [kernel[..., :half], bias[:half]]
            found[f"{name}_2"] = [kernel[..., half:], bias[half:]]
    frozen = options.train_backbone == "frozen" and options.fc_width == _FC_WIDTH
    try:
        weights.assign(model, found, optional=() if frozen else FULLY_CONNECTED)
    except ValueError as error:
        of = f"a {options.backbone}"
        if options.backbone == "mobilenet":
            of += f" of alpha {options.alpha}"
        raise InputError(
            f"model.options.weights: {source} does not hold weights of {of}: {error}."
        ) from error


def _downloaded(backbone: _Backbone, options: FCNOptions) -> weights.Weights:
    assert backbone.classifier is not None  # the options were checked
    try:
        return weights.of_model(backbone.classifier(options))
    except Exception as error:  # Keras raises no narrower one where a download fails
        raise InputError(
            f"model.options.weights: Keras cannot give ImageNet's weights of {options.backbone} "
            f"({error}); where there is no network, give the path of a .h5 file."
        ) from error


def _vgg16(x: Any, options: FCNOptions) -> dict[int, Any]:
    """Simonyan, Zisserman 2014 (https://arxiv.org/abs/1409.1556), table 1, column D."""
    del options
    at, stride = {}, 1
    for block, (convolutions, channels) in enumerate(
        ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), start=1
    ):
        for number in range(1, convolutions + 1):
            x = layers.Conv2D(
                channels,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="he_normal",
                name=f"block{block}_conv{number}",
            )(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
        stride *= 2
        at[stride] = x
    return at


def _mobilenet(x: Any, options: FCNOptions) -> dict[int, Any]:
    """Howard et al. 2017 (https://arxiv.org/abs/1704.04861): its last layer at each stride."""
    network = keras.applications.MobileNet(
        input_tensor=x,
        input_shape=(None, None, 3),
        alpha=options.alpha,
        include_top=False,
        weights=None,
    )
    names = {8: "conv_pw_5_relu", 16: "conv_pw_11_relu", 32: "conv_pw_13_relu"}
    return {stride: network.get_layer(name).output for stride, name in names.items()}


def _resnet50(x: Any, options: FCNOptions) -> dict[int, Any]:
    """He et al. 2015 (https://arxiv.org/abs/1512.03385): the end of each stage."""
    del options
    network = keras.applications.ResNet50(
        input_tensor=x, input_shape=(None, None, 3), include_top=False, weights=None
    )
    names = {8: "conv3_block4_out", 16: "conv4_block6_out", 32: "conv5_block3_out"}
    return {stride: network.get_layer(name).output for stride, name in names.items()}


def _squeezenet(x: Any, options: FCNOptions) -> dict[int, Any]:
    """SqueezeNet ends at stride 16; one more pooling layer gives the coarsest scores."""
    del options
    at = squeezenet.features(x)
    at[32] = layers.MaxPooling2D(3, strides=2, padding="same", name="pool9")(at[16])
    return at


def _alexnet(x: Any, options: FCNOptions) -> dict[int, Any]:
    del options
    return alexnet.features(x)


def _imagenet(application: str, **fixed: Any) -> Callable[[FCNOptions], keras.Model]:
    def classifier(options: FCNOptions) -> keras.Model:
        chosen = {"alpha": options.alpha} if application == "MobileNet" else {}
        if application == "VGG16":
            chosen["include_top"] = options.fc_width == _FC_WIDTH
        return getattr(keras.applications, application)(weights="imagenet", **fixed, **chosen)

    return classifier


_BACKBONES = {
    "vgg16": _Backbone(_vgg16, True, _imagenet("VGG16"), window=7),
    "resnet50": _Backbone(_resnet50, True, _imagenet("ResNet50", include_top=False)),
    "mobilenet": _Backbone(_mobilenet, False, _imagenet("MobileNet", include_top=False)),
    "squeezenet": _Backbone(_squeezenet, True),
    "alexnet": _Backbone(_alexnet, True, window=6),
}
