from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.models import registry
from trainer.models.pixels import normalise


def normalised(images: np.ndarray, by: str) -> np.ndarray:
    inputs = keras.Input((None, None, images.shape[-1]))
    layer = normalise(inputs, [2.0, 10.0], [4.0, 5.0], by)  # type: ignore[arg-type]
    return keras.Model(inputs, layer)(images).numpy()


def test_by_the_data_set() -> None:
    images = np.array([[[[6.0, 0.0]]], [[[2.0, 10.0]]]], np.float32)
    # (6 - 2) / 4 and (0 - 10) / 5; the data set's own mean gives 0.
    assert normalised(images, "data_set").ravel().tolist() == [1, -2, 0, 0]


def test_by_each_image_and_channel() -> None:
    dark = [[[1.0, 7.0], [3.0, 7.0]]]
    bright = [[[101.0, 7.0], [105.0, 9.0]]]
    found = normalised(np.array([dark, bright], np.float32), "image")
    # Two pixels stand one deviation to either side of their mean. A channel of one value has a
    # deviation of 0 and is 0 everywhere.
    assert found[0, 0].tolist() == [[-1, 0], [1, 0]]
    assert found[1, 0].tolist() == [[-1, -1], [1, 1]]


def test_an_image_of_hardly_any_contrast_is_not_blown_up() -> None:
    images = np.array([[[[1.0, 0.0], [1.02, 0.0]]]], np.float32)
    # Its deviation is 0.01, less than a hundredth of the data set's 4: 0.01 / 0.04 from the mean.
    assert normalised(images, "image")[0, 0, 1, 0] == pytest.approx(0.25, rel=1e-4)


def test_a_model_normalises_by_what_its_configuration_says() -> None:
    options = {"width": 2, "depth": 1}
    images = np.random.default_rng(0).uniform(0, 255, (1, 8, 8, 1)).astype(np.float32)
    answers = {}
    for by in ("data_set", "image"):
        keras.utils.set_random_seed(1)
        model = registry.build("unet", options, 2, [90.0], [50.0], by)  # type: ignore[arg-type]
        # Half the light: an image's own mean and deviation take it away again.
        answers[by] = [model(images).numpy(), model(images / 2).numpy()]
    assert np.allclose(*answers["image"], atol=1e-4)
    assert not np.allclose(*answers["data_set"], atol=1e-1)
