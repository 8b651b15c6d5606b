from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from components.errors import InputError
from tests.trainer.models import checks
from trainer.models import registry, squeezenet

SMALL = {"width": 8}


def fire(given: int, squeeze: int, expand: int) -> int:
    """Parameters of a fire module: 1 x 1, then 1 x 1 and 3 x 3 beside each other."""
    return squeeze * (given + 1) + expand * (squeeze + 1) + expand * (9 * squeeze + 1)


def transposed(given: int, squeeze: int, expand: int) -> int:
    """Of a transposed one, whose larger kernel is 2 x 2."""
    return squeeze * (given + 1) + expand * (squeeze + 1) + expand * (4 * squeeze + 1)


def test_the_papers_parameters() -> None:
    model = checks.built("squeeze_unet", {}, classes=2, channels=3)
    # Two 3 x 3 convolutions of 64 channels from 3: 1792 + 36928.
    down = 38_720
    down += fire(64, 32, 64) + fire(128, 32, 64)
    down += fire(128, 48, 128) + fire(256, 48, 128)
    down += fire(256, 64, 256) + fire(512, 64, 256)
    down += fire(512, 80, 512) + fire(1024, 80, 512)
    # Each up-sampling doubles its channels by the skip; two fire modules follow.
    up = transposed(1024, 80, 256) + fire(1024, 64, 256) + fire(512, 64, 256)
    up += transposed(512, 64, 128) + fire(512, 48, 128) + fire(256, 48, 128)
    up += transposed(256, 48, 64) + fire(256, 32, 64) + fire(128, 32, 64)
    # A 2 x 2 up-convolution 128 -> 64, 3 x 3 from 128 and from 64 channels, and the scores.
    last = 32_832 + 73_792 + 36_928 + 2 * 65
    # The paper says 2.6 million.
    assert model.count_params() == down + up + last == 2_621_858


def test_parameters_on_squeezenet() -> None:
    model = checks.built("squeeze_unet", {"encoder": "squeezenet"}, classes=2, channels=3)
    # conv1 (64 of 3 x 3 x 3), fire2 to fire9: 722496, SqueezeNet 1.1 without its last layer.
    encoder = 1792 + fire(64, 16, 64) + fire(128, 16, 64) + fire(128, 32, 128)
    encoder += fire(256, 32, 128) + fire(256, 48, 192) + fire(384, 48, 192)
    encoder += fire(384, 64, 256) + fire(512, 64, 256)
    assert encoder == 722_496
    up = transposed(512, 80, 128) + fire(512, 64, 128) + fire(256, 64, 128)
    up += transposed(256, 64, 64) + fire(256, 48, 64) + fire(128, 48, 64)
    up += transposed(128, 48, 32) + fire(128, 32, 32) + fire(64, 32, 32)
    # The last skip is the image: 64 + 3 channels.
    last = 4 * 64 * 64 + 64 + 9 * 67 * 64 + 64 + 36_928 + 130
    assert model.count_params() == encoder + up + last


@pytest.mark.parametrize("encoder", ["paper", "squeezenet"])
def test_sizes(encoder: str) -> None:
    checks.check_sizes("squeeze_unet", {**SMALL, "encoder": encoder})


@pytest.mark.parametrize("encoder", ["paper", "squeezenet"])
def test_one_record_is_overfitted(encoder: str) -> None:
    checks.check_overfits("squeeze_unet", {**SMALL, "encoder": encoder}, learning_rate=0.003)


def test_the_export_answers_alike(tmp_path: Path) -> None:
    checks.check_export("squeeze_unet", SMALL, tmp_path)


def test_squeezenets_weights_load(tmp_path: Path) -> None:
    keras.utils.set_random_seed(6)
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, squeezenet.features(inputs)[16])
    file = str(tmp_path / "squeezenet.h5")
    network.save_weights(file)
    model = checks.built("squeeze_unet", {"encoder": "squeezenet", "weights": file, **SMALL})
    mine, theirs = (
        one.get_layer("fire9_expand3x3").get_weights()[0]
        for one in (model.get_layer("squeezenet"), network)
    )
    assert np.array_equal(mine, theirs)
    with pytest.raises(InputError, match=r"there is no file none\.h5"):
        checks.built("squeeze_unet", {"encoder": "squeezenet", "weights": "none.h5"})
    with pytest.raises(ValueError, match="only encoder: squeezenet"):
        registry.options("squeeze_unet", {"weights": file})
