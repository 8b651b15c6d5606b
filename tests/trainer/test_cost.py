from __future__ import annotations

import keras
import pytest
import tensorflow as tf
from keras import layers

from trainer.cost import cost, multiply_adds
from trainer.layer_graph import trace
from trainer.models import registry


def test_layers_by_hand() -> None:
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same")(inputs)  # 8 * 8 places * 3 * 3 * 3 * 4 = 6912
    x = layers.BatchNormalization()(x)  # folded away
    x = layers.DepthwiseConv2D(3, strides=2, padding="same")(x)  # 4 * 4 * 3 * 3 * 4 = 576
    x = layers.Conv2D(6, 1, groups=2)(x)  # 4 * 4 * (4 / 2) * 6 = 192
    x = layers.SeparableConv2D(2, 3, padding="same")(x)  # 4 * 4 * (3 * 3 * 6 + 6 * 2) = 1056
    x = layers.Conv2DTranspose(5, 4, strides=2, padding="same")(x)  # 4 * 4 * 4 * 4 * 2 * 5 = 2560
    x = layers.Dense(3)(x)  # 8 * 8 * 5 * 3 = 960
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(7)(x)  # 3 * 7 = 21
    total = 6912 + 576 + 192 + 1056 + 2560 + 960 + 21
    assert multiply_adds(trace(keras.Model(inputs, x))) == total


def test_a_model_inside_a_model_that_is_used_twice() -> None:
    part_input = keras.Input((None, None, 2))
    part = keras.Model(part_input, layers.Conv2D(2, 3, padding="same")(part_input))
    inputs = keras.Input((8, 8, 2))
    outputs = part(layers.MaxPooling2D(2)(part(inputs)))
    # 8 * 8 * 3 * 3 * 2 * 2 = 2304, and a quarter of it at half the resolution: 576.
    assert multiply_adds(trace(keras.Model(inputs, outputs))) == 2304 + 576


def test_unet_as_drawn() -> None:
    options = registry.options("unet", {}).paper().model_dump()
    found = cost("unet", options, channels=1)
    # Ronneberger et al. 2015 with valid convolutions: 516 is the first size past 512 that it
    # gives, from 516 + 184.
    assert found.input_side == 700
    assert found.parameters == 31_030_658
    assert found.field.stride == 16


def test_vgg16_as_the_literature_has_it() -> None:
    with tf.Graph().as_default():
        vgg = keras.applications.VGG16(weights=None)
        found = multiply_adds(trace(vgg))
    # 15.3 billion for 224 x 224 (He et al. 2015, https://arxiv.org/abs/1512.03385, section 3.3).
    assert found / 1e9 == pytest.approx(15.47, abs=0.01)


@pytest.mark.parametrize("name", registry.NAMES)
def test_every_architecture_has_a_cost(name: str) -> None:
    found = cost(name, {})
    assert found.parameters > 10_000
    assert found.multiply_adds > 1e8
    assert found.field.stride >= 1
    assert found.field.height is None or found.field.height > found.field.stride


def test_windows_without_padding_are_no_coarser() -> None:
    # VGG16's five poolings; fc6 makes 10 x 10 of the 16 x 16 that they leave.
    assert cost("deconvnet", {"width": 4, "fc_width": 8}).field.stride == 32


def test_models_that_there_are_stay_as_they_are() -> None:
    inputs = keras.Input((8, 8, 1))
    outputs = layers.BatchNormalization()(layers.Conv2D(1, 3)(layers.Normalization()(inputs)))
    before = keras.Model(inputs, outputs)
    cost("unet", {"width": 2, "depth": 1})
    assert before(tf.ones((1, 8, 8, 1))).shape == (1, 6, 6, 1)
    assert keras.Model(inputs, outputs)(tf.ones((1, 8, 8, 1))).shape == (1, 6, 6, 1)
