"""Against what a network really depends on: the support of its gradient, or of its changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from trainer.layer_graph import trace
from trainer.models import registry
from trainer.receptive_field import ReceptiveField, receptive_field


def model(body: Callable[[Any], Any], size: tuple[int, int] = (64, 64)) -> keras.Model:
    inputs = keras.Input((*size, 1))
    return keras.Model(inputs, body(inputs))


def positive(network: keras.Model) -> keras.Model:
    """All weights positive, so that no two paths cancel each other, and values stay about 1."""
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            continue
        values = [
            np.full(weight.shape, 1 / np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 0)
            for weight in layer.weights
        ]
        layer.set_weights(values)
    return network


def extent(support: np.ndarray) -> int:
    """From the first to the last place that counts."""
    places = np.flatnonzero(support)
    return int(places[-1] - places[0] + 1)


def by_gradient(network: keras.Model) -> tuple[int, int]:
    """The largest support of the gradient over the pixels of a period in the middle."""
    shape = network.input_shape[1:]
    image = tf.ones((1, *shape))
    positive(network)
    found = []
    height, width = network.output_shape[1:3]
    for y, x in zip(range(height // 2, height // 2 + 8), range(width // 2, width // 2 + 8)):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(image)
            value = tf.reduce_sum(network(image)[0, y, x])
        gradient = np.abs(tape.gradient(value, image).numpy()[0, ..., 0])
        found.append((extent(gradient.sum(1)), extent(gradient.sum(0))))
    rows, columns = zip(*found)
    return max(rows), max(columns)


def by_change(network: keras.Model, side: int, period: int) -> int:
    """The same across, by brightening one column at a time: max-pooling has no gradient in ties."""
    images = np.ones((side, side, side, 1), np.float32)
    for column in range(side):
        images[column, :, column] += 1
    positive(network)
    still = network(np.ones((1, side, side, 1), np.float32)).numpy()
    given = network.predict(images, batch_size=16, verbose=0)
    middle = still.shape[1] // 2
    changed = (np.abs(given - still) > 1e-6 * still)[:, middle].any(axis=-1)
    return max(extent(changed[:, at]) for at in range(middle, middle + period))


def test_two_convolutions_by_hand() -> None:
    # 3 x 3 sees 3; another on top 3 + 2; with a dilation of 2 it would be 3 + 4.
    plain = model(lambda x: layers.Conv2D(1, 3)(layers.Conv2D(1, 3)(x)))
    assert receptive_field(trace(plain)) == ReceptiveField(5, 5, 1)
    dilated = model(lambda x: layers.Conv2D(1, 3, dilation_rate=(2, 1))(layers.Conv2D(1, 3)(x)))
    assert receptive_field(trace(dilated)) == ReceptiveField(7, 5, 1)


def test_a_transposed_convolution_that_leaves_holes() -> None:
    # A kernel of 1 at stride 2: every second pixel sees what one of the convolution sees, 3, and
    # those in between see nothing.
    network = model(lambda x: layers.Conv2DTranspose(1, 1, strides=2)(layers.Conv2D(1, 3)(x)))
    assert receptive_field(trace(network)) == ReceptiveField(3, 3, 1)


def test_vgg16_as_the_literature_has_it() -> None:
    # Araujo et al. 2019, table of the appendix: 212 after the last pooling, at stride 32.
    with tf.Graph().as_default():
        vgg = keras.applications.VGG16(include_top=False, weights=None)
        graph = trace(vgg, [(None, 512, 512, 3)])
    assert receptive_field(graph) == ReceptiveField(212, 212, 32)


BODIES: dict[str, Callable[[Any], Any]] = {
    "strides and uneven kernels": lambda x: layers.Conv2D(1, (5, 3), strides=2, padding="same")(
        layers.Conv2D(1, (2, 4), padding="same")(x)
    ),
    "dilation": lambda x: layers.DepthwiseConv2D(3, dilation_rate=2, padding="same")(
        layers.AveragePooling2D(3, 2, padding="same")(x)
    ),
    "separable, padded by hand, cropped": lambda x: layers.Cropping2D(((1, 0), (2, 1)))(
        layers.SeparableConv2D(1, 3)(layers.ZeroPadding2D(((3, 1), (0, 2)))(x))
    ),
    "the larger of two branches": lambda x: layers.Concatenate()(
        [
            layers.Conv2D(1, 3, padding="same")(x),
            layers.Conv2D(1, 3, dilation_rate=4, padding="same")(x),
        ]
    ),
    "transposed, overlapping": lambda x: layers.Conv2D(1, 3, padding="same")(
        layers.Conv2DTranspose(1, 4, strides=2, padding="same")(layers.AveragePooling2D(2)(x))
    ),
    "transposed by 8": lambda x: layers.Conv2DTranspose(1, 16, strides=8, padding="same")(
        layers.AveragePooling2D(8)(x)
    ),
    "transposed, valid": lambda x: layers.Conv2DTranspose(1, 3, strides=2)(
        layers.AveragePooling2D(2)(x)
    ),
    "nearest": lambda x: layers.Conv2D(1, 3, padding="same")(
        layers.UpSampling2D(4)(layers.AveragePooling2D(4)(x))
    ),
    "bilinear": lambda x: layers.UpSampling2D(2, interpolation="bilinear")(
        layers.Conv2D(1, 3, strides=2, padding="same")(x)
    ),
    "resized": lambda x: layers.Resizing(64, 96)(layers.AveragePooling2D(2)(x)),
}


@pytest.mark.parametrize("name", BODIES)
def test_it_is_the_support_of_the_gradient(name: str) -> None:
    network = model(BODIES[name], size=(64, 96) if name != "resized" else (64, 64))
    found = receptive_field(trace(network))
    assert (found.height, found.width) == by_gradient(network)


@pytest.mark.parametrize(
    "options",
    [{"width": 1, "depth": 2}, {"width": 1, "depth": 2, "padding": "valid"}],
    ids=["padded", "valid"],
)
def test_unet(options: dict[str, Any]) -> None:
    options = {**options, "normalisation": "none"}
    side = registry.geometry("unet", options).input_size(96)
    network = registry.build("unet", options, 2, [0.0], [1.0])
    found = receptive_field(trace(network, [(None, side, side, 1)]))
    # Two convolutions at full resolution, at half, at a quarter and back see 4 pixels more each
    # of their own: 4 + 8 + 16 + 8 + 4 = 40. Pooling adds 1 and 2, and of the four pixels that a
    # pixel at the bottom becomes all see the same: 1 + 40 + 1 + 2 = 44.
    assert found == ReceptiveField(44, 44, 4)
    assert by_change(network, side, 4) == 44


def test_the_whole_image() -> None:
    network = model(
        lambda x: layers.Multiply()([x, layers.GlobalAveragePooling2D(keepdims=True)(x)])
    )
    assert receptive_field(trace(network)) == ReceptiveField(None, None, 1)


def test_a_layer_that_says_it_itself() -> None:
    class Neighbour(layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.roll(x, 1, axis=2)

        def sees(self, span: Any, axis: int, taken: int, given: int) -> Any:
            del taken, given
            return (span[0] - 1, span[1]) if axis == 2 else span

    assert receptive_field(trace(model(lambda x: Neighbour()(x)))) == ReceptiveField(1, 2, 1)


def test_an_unknown_layer_is_named() -> None:
    class Odd(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    with pytest.raises(NotImplementedError, match=r"a layer Odd \(strange\)"):
        receptive_field(trace(model(lambda x: Odd(name="strange")(x))))
