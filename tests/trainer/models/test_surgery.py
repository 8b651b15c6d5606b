from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from trainer.models import surgery


def with_settled_statistics(model: keras.Model) -> keras.Model:
    """Moving statistics and biases as after training, not 0 and 1."""
    rng = np.random.default_rng(4)
    model.set_weights(
        [
            value if value.ndim > 1 else rng.uniform(0.5, 1.5, value.shape)
            for value in model.get_weights()
        ]
    )
    return model


def features() -> list[Any]:
    """Without padding: 16 x 16 gives 14, 7, 5 x 5; the stride is 2."""
    return [
        keras.Input((16, 16, 2)),
        layers.Conv2D(4, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(5, 3),
    ]


def flattened() -> keras.Model:
    return keras.Sequential(
        [
            *features(),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Activation("relu"),
            layers.Dense(6, use_bias=False),
            layers.BatchNormalization(),
            layers.LeakyReLU(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )


def pooled(pooling: Any) -> keras.Model:
    return keras.Sequential(
        [*features(), pooling, layers.Dense(6, activation="relu"), layers.Dense(3)]
    )


@pytest.mark.parametrize(
    "classifier",
    [
        flattened,
        lambda: pooled(layers.GlobalAveragePooling2D()),
        lambda: pooled(layers.GlobalMaxPooling2D()),
    ],
)
def test_answers_are_those_of_the_classifier_window_by_window(classifier: Any) -> None:
    before = with_settled_statistics(classifier())
    after = surgery.convolutional(before)
    images = np.random.default_rng(3).normal(size=(2, 24, 21, 2)).astype(np.float32)
    # At the classifier's own size there is one answer, and it is the same.
    here = after(images[:, :16, :16])
    assert here.shape == (2, 1, 1, 3)
    assert np.allclose(here[:, 0, 0], before(images[:, :16, :16]), atol=1e-5)
    # On a larger image one for each window, two pixels apart: (24 - 16) / 2 + 1 by
    # (21 - 16) // 2 + 1.
    found = after(images).numpy()
    assert found.shape == (2, 5, 3, 3)
    for y in range(5):
        for x in range(3):
            window = images[:, 2 * y : 2 * y + 16, 2 * x : 2 * x + 16]
            assert np.allclose(found[:, y, x], before(window), atol=1e-5)
    assert np.ptp(found) > 1e-2


def test_the_weights_are_copies() -> None:
    before = flattened()
    after = surgery.convolutional(before)
    assert after.count_params() == before.count_params()
    image = np.ones((1, 16, 16, 2), np.float32)
    expected = after(image).numpy()
    before.set_weights([0 * value for value in before.get_weights()])
    assert np.array_equal(after(image), expected)


def test_an_application_of_keras() -> None:
    # Pooling that keeps its dimensions, a 1 x 1 convolution, Reshape, softmax.
    before = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, weights=None, classes=5
    )
    after = surgery.convolutional(before)
    images = np.random.default_rng(3).normal(size=(2, 32, 32, 3)).astype(np.float32)
    assert np.allclose(after(images)[:, 0, 0], before(images), atol=1e-6)
    # One pixel of features more on each axis, so that four windows are pooled.
    assert after(np.zeros((1, 64, 64, 3), np.float32)).shape == (1, 2, 2, 5)


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        ([layers.Conv2D(3, 1)], "no chain of layers leads from Flatten or global pooling"),
        ([layers.Flatten(), layers.BatchNormalization(), layers.Dense(3)], "tells places apart"),
        ([layers.Flatten(), layers.Softmax(), layers.Dense(3)], "takes all places together"),
        ([layers.Flatten(), layers.Dense(3), layers.LayerNormalization()], "no convolutional form"),
    ],
)
def test_other_classifiers_are_refused(tail: list[Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        surgery.convolutional(keras.Sequential([*features(), *tail]))


def test_a_classifier_of_no_size_is_refused() -> None:
    model = keras.Sequential(
        [keras.Input((None, None, 2)), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="not one image of a known size"):
        surgery.convolutional(model)
