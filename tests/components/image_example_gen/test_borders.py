from __future__ import annotations

import math

import numpy as np
import pytest

from components.image_example_gen.borders import (
    background_class,
    border_weights,
    components,
    reach,
)
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import BorderWeightsConfig
from components.records import IGNORE

PAPER = BorderWeightsConfig()


def test_two_objects_by_hand():
    # Objects are columns 0 to 1 and 4 on; their borders columns 1 and 4 (the image's end is none).
    instances = np.array([[1, 1, 0, 0, 2, 2]], np.int32)
    found = border_weights(instances, BorderWeightsConfig(w0=10, sigma=5))
    # d1 + d2: 1 + 4 = 5 in column 0, 0 + 3 = 3 in columns 1 to 4 (1 + 2 between), 1 + 4 in 5.
    near, far = 1 + 10 * math.exp(-9 / 50), 1 + 10 * math.exp(-25 / 50)
    expected = np.array([[far, near, near, near, near, far]])
    np.testing.assert_array_equal(found, expected.astype(np.float16))
    assert found.dtype == np.float16


def naive(instances: np.ndarray, config: BorderWeightsConfig) -> np.ndarray:
    """Equation 2 as it stands: every pixel's distance to every border pixel of every object."""
    height, width = instances.shape
    borders: dict[int, list[tuple[int, int]]] = {}
    for y in range(height):
        for x in range(width):
            beside = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            values = {instances[b] for b in beside if 0 <= b[0] < height and 0 <= b[1] < width} - {
                instances[y, x]
            }
            if instances[y, x] and values:
                borders.setdefault(int(instances[y, x]), []).append((y, x))
    weights = np.ones(instances.shape)
    for y in range(height):
        for x in range(width):
            distances = sorted(
                min(math.dist((y, x), pixel) for pixel in pixels) for pixels in borders.values()
            )
            if len(distances) > 1:
                d = distances[0] + distances[1]
                weights[y, x] += config.w0 * math.exp(-(d**2) / (2 * config.sigma**2))
    return weights


@pytest.mark.parametrize(("w0", "sigma"), [(10, 5), (3, 1), (50, 2.5)])
def test_the_paper_s_equation_by_its_words(w0: float, sigma: float):
    rng = np.random.default_rng(0)
    instances = np.zeros((40, 50), np.int32)
    rows, columns = np.indices(instances.shape)
    for number in (3, 7, 8, 20, 4000, 21):  # discs that touch, overlap and leave the image
        y, x, radius = rng.integers(0, 40), rng.integers(0, 50), rng.integers(3, 9)
        instances[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    config = BorderWeightsConfig(w0=w0, sigma=sigma)
    expected = naive(instances, config)
    # float16 has steps of 2^-10 of a value.
    np.testing.assert_allclose(border_weights(instances, config), expected, rtol=2**-10)
    assert expected.max() > 1 + w0 / 2


def test_a_window_agrees_with_the_whole_where_its_surroundings_are_in_it():
    rng = np.random.default_rng(1)
    instances = np.zeros((120, 130), np.int32)
    rows, columns = np.indices(instances.shape)
    for number in range(1, 30):
        y, x = rng.integers(0, 120), rng.integers(0, 130)
        instances[(rows - y) ** 2 + (columns - x) ** 2 <= 49] = number
    around = reach(PAPER) + 1  # one more, so that it is known where borders are
    assert around == 24
    whole = border_weights(instances, PAPER)
    part = border_weights(instances[: 60 + around, 50 - around : 90 + around], PAPER)
    np.testing.assert_array_equal(part[:60, around : around + 40], whole[:60, 50:90])


def test_past_its_reach_a_border_adds_nothing_that_is_stored():
    # The nearest thing that is not 1 in float16 is 2^-10 above it.
    for config in (PAPER, BorderWeightsConfig(w0=1000, sigma=100)):
        least = config.w0 * math.exp(-(reach(config) ** 2) / (2 * config.sigma**2))
        assert np.float16(1 + least) == 1


@pytest.mark.parametrize("instances", [np.zeros((5, 6)), np.ones((5, 6)), np.eye(6)])
def test_none_or_one_object_has_no_neighbour(instances: np.ndarray):
    assert (border_weights(instances.astype(np.int32), PAPER) == 1).all()


def test_components_of_each_class_by_hand():
    i = IGNORE
    mask = np.array([[1, 1, 0, 2], [0, 0, 2, 0], [1, i, 1, 2]], np.uint8)
    found = components(mask, background=0)
    # Corners do not join; classes do not either; what is ignored belongs to none.
    assert found.tolist() == [[1, 1, 0, 4], [0, 0, 5, 0], [2, 0, 3, 6]]
    assert found.dtype == np.int32
    # With 1 for what is no object, the zeros are objects.
    assert components(mask, background=1).tolist() == [[0, 0, 1, 4], [2, 2, 5, 3], [0, 0, 0, 6]]


def test_the_background_is_named_or_called_so_or_the_first():
    def of(*names: str) -> DataConfig:
        return DataConfig(classes={name: (value,) for value, name in enumerate(names)})

    assert background_class(of("cell", "background"), None) == 1
    assert background_class(of("membrane", "cell"), None) == 0
    assert background_class(of("a", "b", "c"), "c") == 2
