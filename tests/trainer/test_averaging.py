from __future__ import annotations

import keras
import numpy as np
import pytest

from trainer.averaging import WeightAverage


def model() -> keras.Model:
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    return keras.Sequential([keras.Input((1,)), dense])


def test_the_average_follows_slowly_and_early_steps_count_little() -> None:
    trained = model()
    average = WeightAverage(trained, decay=0.25)
    found = []
    for step, weight in enumerate([1.0, 1.0, 2.0]):
        trained.set_weights([np.array([[weight]])])
        average.on_train_batch_end(step)
        found.append(average.weights()[0].item())
    # From 0. Step 1 keeps min(0.25, 2/11) = 2/11 of it: 9/11. Step 2 keeps min(0.25, 3/12) = 0.25:
    # 0.25 * 9/11 + 0.75 = 21/22. Step 3 keeps min(0.25, 4/13): 0.25 * 21/22 + 0.75 * 2 = 153/88.
    assert found == pytest.approx([9 / 11, 21 / 22, 153 / 88])


def test_a_look_at_the_eval_split_sees_the_average_and_training_goes_on_from_its_own() -> None:
    trained = model()
    average = WeightAverage(trained, decay=0.25)
    trained.set_weights([np.array([[1.0]])])
    average.on_train_batch_end(0)
    average.on_test_begin()
    assert trained.get_weights()[0].item() == pytest.approx(9 / 11)
    average.on_test_end()
    assert trained.get_weights()[0].item() == 1.0


def test_statistics_of_batch_normalisation_are_averaged_too() -> None:
    trained = keras.Sequential([keras.Input((1,)), keras.layers.BatchNormalization()])
    average = WeightAverage(trained, decay=0.25)
    gamma, beta, mean, variance = trained.get_weights()
    trained.set_weights([gamma, beta, mean + 11, variance])
    average.on_train_batch_end(0)
    # From 0 to 11, keeping 2/11.
    assert average.weights()[2].item() == pytest.approx(9)
