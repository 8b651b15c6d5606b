from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from tests.trainer.models import checks
from trainer import addons
from trainer.models import registry
from trainer.models.segnet import MaxPoolingWithIndices

SMALL = {"width": 4}


def test_the_papers_parameters() -> None:
    model = checks.built("segnet", {}, classes=11, channels=3)
    # A 3 x 3 convolution from a to b channels has 9ab + b. The encoder's 13 are VGG16's:
    #   1792 + 36928 + 73856 + 147584 + 295168 + 2 * 590080 + 1180160 + 5 * 2359808 = 14714688,
    # the paper's 14.7 million. The decoder's, from the bottom: 5 of 512 -> 512, 512 -> 256, 2 of
    # 256 -> 256, 256 -> 128, 128 -> 128, 128 -> 64, 64 -> 64, 64 -> 11:
    #   5 * 2359808 + 1179904 + 2 * 590080 + 295040 + 147584 + 73792 + 36928 + 6347 = 14718795.
    # Batch normalisation has 4 values a channel after all but the last: the encoder's channels
    #   are 2 * 64 + 2 * 128 + 3 * 256 + 6 * 512 = 4224, the decoder's 5 * 512 + 3 * 256 + 2 * 128
    #   + 2 * 64 = 3712. Together the paper's 29.5 million (table 6: 29.45).
    assert model.count_params() == 14_714_688 + 14_718_795 + 4 * (4224 + 3712) == 29_465_227


def test_sizes() -> None:
    checks.check_sizes("segnet", SMALL)


def test_one_record_is_overfitted() -> None:
    checks.check_overfits("segnet", SMALL, size=64)


def test_the_export_answers_alike(tmp_path: Path) -> None:
    checks.check_export("segnet", SMALL, tmp_path)


def test_what_is_unpooled_goes_back_to_where_it_came_from() -> None:
    # The largest of each 2 x 2 window, by hand, in two images and two channels.
    image = np.zeros((2, 4, 4, 2), np.float32)
    image[0, 1, 0, 0], image[0, 0, 3, 1], image[1, 3, 2, 0], image[1, 2, 1, 1] = 5, 6, 7, 8
    pooled, indices = MaxPoolingWithIndices(2)(tf.constant(image))
    assert pooled[0, 0, 0, 0] == 5
    assert indices[0, 0, 0, 0] == (1 * 4 + 0) * 2 + 0
    assert pooled[1, 1, 0, 1] == 8
    assert indices[1, 1, 0, 1] == (2 * 4 + 1) * 2 + 1
    assert np.array_equal(addons.unpool(pooled, indices, "unpool"), image)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_gradient_passes_through_the_maxima_alone(dtype: str) -> None:
    # Distinct values, so that each window has one maximum.
    values = np.random.default_rng(0).permutation(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    image = tf.Variable(tf.cast(values, dtype))
    with tf.GradientTape() as tape:
        pooled, indices = MaxPoolingWithIndices(2, dtype=dtype)(image)
        total = tf.reduce_sum(addons.unpool(pooled * 3, indices, "unpool"))
    windows = values.reshape(2, 2, 2, 2, 2, 3)
    largest = windows == windows.max(axis=(2, 4), keepdims=True)
    gradient = tf.cast(tape.gradient(total, image), tf.float32)
    assert np.array_equal(gradient, 3.0 * largest.reshape(values.shape))


@pytest.mark.parametrize("name", ["segnet", "deconvnet"])
def test_the_encoder_takes_vgg16s_weights(name: str, tmp_path: Path) -> None:
    keras.utils.set_random_seed(4)
    vgg16 = keras.applications.VGG16(include_top=False, weights=None)
    file = str(tmp_path / "vgg16.h5")
    vgg16.save_weights(file)
    options = {"weights": file, **({"fc_width": 2} if name == "deconvnet" else {})}
    encoder = checks.built(name, options).get_layer("encoder")
    for layer in ("block1_conv1", "block5_conv3"):
        for mine, theirs in zip(
            encoder.get_layer(layer).get_weights(), vgg16.get_layer(layer).get_weights()
        ):
            assert np.array_equal(mine, theirs)


def test_weights_of_another_width_or_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="width of 64, not 32"):
        registry.options("segnet", {"weights": "vgg16.h5", "width": 32})
    with pytest.raises(InputError, match=r"there is no file none\.h5"):
        checks.built("segnet", {"weights": "none.h5"})
