from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from trainer.models import registry
from trainer.models.fcn8s import bilinear_kernel

SMALL = {"alpha": 0.25}


def test_sizes_and_parameters() -> None:
    model = registry.build("fcn8s", SMALL, classes=5, mean=[0.0] * 3, deviation=[1.0] * 3)
    assert model.compute_output_shape((2, 64, 96, 3)) == (2, 64, 96, 5)
    assert model.compute_output_shape((1, 32, 32, 3)) == (1, 32, 32, 5)
    # MobileNet of alpha 0.25 without its top has 218,544 parameters (Keras). Scores from 256, 128
    # and 64 channels: 5 * (257 + 129 + 65) = 2255. Up-sampling by 2, 2 and 8 from 5 to 5
    # channels: 25 * (16 + 16 + 256) = 7200.
    assert model.count_params() == 218_544 + 2255 + 7200


@pytest.mark.parametrize("channels", [1, 2])
def test_other_channels_reach_mobilenets_three(channels: int) -> None:
    model = registry.build(
        "fcn8s", SMALL, classes=2, mean=[0.0] * channels, deviation=[1.0] * channels
    )
    assert model(tf.zeros([1, 32, 32, channels])).shape == (1, 32, 32, 2)


def test_the_bilinear_kernel_by_hand() -> None:
    # Doubling: taps at 1.5, 0.5, 0.5 and 1.5 output pixels from the centre weigh 1/4, 3/4, ...
    line = np.array([0.25, 0.75, 0.75, 0.25])
    kernel = bilinear_kernel(2, 2)
    assert np.allclose(kernel[:, :, 0, 0], np.outer(line, line))
    assert np.allclose(kernel[:, :, 1, 1], np.outer(line, line))
    assert not kernel[:, :, 0, 1].any()


def test_weights_of_a_file_are_loaded(shared_data: Path) -> None:
    file = shared_data / "weights" / "mobilenet_2_5_224_tf_no_top.h5"
    options = {**SMALL, "weights": str(file)}
    image = tf.random.stateless_uniform([1, 64, 64, 3], [1, 2])
    built = [
        registry.build("fcn8s", options, classes=2, mean=[0.5] * 3, deviation=[0.25] * 3)
        for _ in range(2)
    ]
    features = [model.get_layer("mobilenet")(image)[0] for model in built]
    assert np.array_equal(*features)  # random weights would differ
    with pytest.raises(InputError, match=r"alpha 0\.5"):
        registry.build(
            "fcn8s", {**options, "alpha": 0.5}, classes=2, mean=[0.5] * 3, deviation=[0.25] * 3
        )


def test_a_missing_file_of_weights_is_named() -> None:
    with pytest.raises(InputError, match=r"there is no file none\.h5"):
        registry.build(
            "fcn8s", {"weights": "none.h5"}, classes=2, mean=[0.0] * 3, deviation=[1.0] * 3
        )
