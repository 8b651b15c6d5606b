"""Net surgery: a classifier becomes a fully convolutional network with the same weights.

Long, Shelhamer, Darrell 2015, https://arxiv.org/abs/1411.4038, section 3.1: a dense layer is a
convolution whose kernel covers all of its input.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

_ELEMENTWISE = (
    layers.Activation,
    layers.Dropout,
    layers.ELU,
    layers.LeakyReLU,
    layers.ReLU,
    layers.Softmax,
)
_POOLING = {
    layers.GlobalAveragePooling2D: layers.AveragePooling2D,
    layers.GlobalMaxPooling2D: layers.MaxPooling2D,
}


def convolutional(classifier: keras.Model) -> keras.Model:
    """The same classifier for images of any size.

    What comes before Flatten or global pooling stays as it is. From there on a dense layer becomes
    a convolution: over all of the flattened features the first one, 1 x 1 the others. Global
    pooling becomes pooling of the window that it had at the classifier's own size.

    At this size the answer is the same. On a larger image it is what the classifier answers for
    each window of its own size, window by window at the stride of its features - exactly so where
    no layer pads (a padded one sees an image's edge where the larger image goes on), and where
    pooling layers divide the sizes that they meet.

    Args:
      classifier: a built Sequential or functional model from [N, H, W, C] (H and W known) to
        [N, K], whose layers from Flatten or global pooling on follow one another: Dense,
        BatchNormalization, Dropout, activations, and what Keras's applications have there
        (1 x 1 convolutions and Reshape of 1 x 1 x K).

    Returns:
      A new model from [N, H', W', C] to [N, H'', W'', K], with copies of the weights.

    Raises:
      ValueError: the classifier has another form; the message says where.
    """
    if keras.backend.image_data_format() != "channels_last":
        raise ValueError("surgery needs channels last")
    shape = classifier.input_shape
    if isinstance(shape, list) or len(shape) != 4 or None in shape[1:]:
        raise ValueError(f"the classifier's input is not one image of a known size: {shape}")
    # Layers of the copy stand in it alone, so that each has one input to follow.
    copy = keras.models.clone_model(classifier)
    copy.set_weights(classifier.get_weights())
    boundary, tail = _tail(copy)
    window = boundary.input.shape[1:3]
    features = keras.Model(copy.input, boundary.input)
    inputs = keras.Input((None, None, shape[-1]), name="image")
    trunk = keras.models.clone_model(features, input_tensors=[inputs])
    trunk.set_weights(features.get_weights())

    x = trunk.output
    carried = []
    pooling = _POOLING.get(type(boundary))
    if pooling is not None:
        x = pooling(tuple(window), strides=1, name=boundary.name)(x)
        window = (1, 1)
    for layer in tail:
        new = _converted(layer, tuple(window))
        if new is not None:
            x = new[0](x)
            carried.append(new)
        if isinstance(layer, layers.Dense):
            window = (1, 1)
    for layer, weights in carried:
        layer.set_weights(weights)
    return keras.Model(trunk.input, x, name=classifier.name)


def as_convolution(kernel: np.ndarray, window: tuple[int, int]) -> np.ndarray:
    """A dense kernel over flattened features as a convolution's.

    Args:
      kernel: [h * w * C, K].
      window: h and w of the features that were flattened.

    Returns:
      [h, w, C, K].
    """
    return kernel.reshape(*window, -1, kernel.shape[-1])


def _tail(model: keras.Model) -> tuple[Any, list[Any]]:
    """Flatten or the global pooling, and the layers after it."""
    tail: list[Any] = []
    layer = _producer(model.output)
    while not isinstance(layer, (layers.Flatten, *_POOLING)):
        tail.insert(0, layer)
        before = getattr(layer, "input", None)
        if before is None or isinstance(before, list) or isinstance(layer, layers.InputLayer):
            raise ValueError(
                f"no chain of layers leads from Flatten or global pooling to the answer: it is "
                f"broken at {layer.name!r}"
            )
        layer = _producer(before)
    return layer, tail


def _producer(tensor: Any) -> Any:
    return tensor._keras_history[0]


def _converted(layer: Any, window: tuple[int, int]) -> tuple[Any, list[np.ndarray]] | None:
    """What stands in a layer's place, and its weights; None for nothing."""
    weights = layer.get_weights()
    config = layer.get_config()
    if isinstance(layer, layers.Dense):
        new = layers.Conv2D(
            layer.units,
            window,
            activation=layer.activation,
            use_bias=layer.use_bias,
            name=layer.name,
        )
        return new, [as_convolution(weights[0], window), *weights[1:]]
    if window != (1, 1) and not isinstance(layer, _ELEMENTWISE):
        raise ValueError(
            f"{layer.name!r} ({type(layer).__name__}) stands between Flatten and the first Dense, "
            "where it tells places apart"
        )
    if isinstance(layer, layers.Softmax) and window != (1, 1):
        raise ValueError(f"{layer.name!r} (Softmax) takes all places together")
    if isinstance(layer, layers.BatchNormalization):
        return layers.BatchNormalization.from_config({**config, "axis": -1}), weights
    if isinstance(layer, _ELEMENTWISE):
        return type(layer).from_config(config), weights
    if isinstance(layer, layers.Conv2D) and set(layer.kernel_size) == {1}:
        return type(layer).from_config(config), weights
    if isinstance(layer, layers.Reshape) and len(layer.output.shape) <= 4:
        return None  # from 1 x 1 x K to K or back, which is nothing here
    raise ValueError(f"{layer.name!r} ({type(layer).__name__}) has no convolutional form")
