from __future__ import annotations

import numpy as np
import pytest

from components.evaluation.confusion import confusion, metrics
from components.records import IGNORE
from tests.trainer.conftest import blobs
from trainer import baselines
from trainer.baselines import METHODS, Sample, assignment, codes, cutting, phases, regions

SAMPLES = [Sample(*blobs(seed, 48)) for seed in range(3)]


def test_each_code_gets_the_class_that_serves_mean_iou() -> None:
    # The most frequent class of both codes is 0. With 0 everywhere: IoU 90 / 100 and 0, mean 0.45.
    # With (0, 1): class 0 has 60 / (90 + 2), class 1 8 / (10 + 30), mean 0.43. With (1, 0) worse.
    assert assignment.best(np.array([[60, 2], [30, 8]])).tolist() == [0, 0]
    # Now the second code holds all of class 1: (0, 1) has 80 / 90 and 10 / 20, mean 0.69.
    assert assignment.best(np.array([[80, 0], [10, 10]])).tolist() == [0, 1]


def test_a_class_that_never_occurs_gets_no_code() -> None:
    assert assignment.best(np.array([[5, 0, 0], [0, 0, 7]])).tolist() == [0, 2]
    with pytest.raises(ValueError, match="no pixel of the train images is labelled"):
        assignment.best(np.zeros((2, 3), int))


def test_many_codes_are_searched_one_by_one() -> None:
    counts = np.zeros((20, 6), int)
    counts[np.arange(20), np.arange(20) % 6] = 10  # each code is of one class
    counts[:, 0] += 1
    assert assignment.best(counts).tolist() == [place % 6 for place in range(20)]


def test_ignored_pixels_are_not_counted() -> None:
    label = np.array([[0, 1, IGNORE]], np.uint8)
    assert assignment.count([np.array([[0, 1, 1]])], [label], 2, 2).tolist() == [[1, 0], [0, 1]]


def test_otsu_by_hand() -> None:
    grey = np.array([[10, 12, 200, 210]], np.uint8)
    image = np.repeat(grey[..., None], 3, axis=2)
    assert phases.otsu(image).tolist() == [[0, 0, 1, 1]]


def test_a_level_set_finds_a_square_and_its_brighter_side() -> None:
    image = np.full((40, 40, 3), 60, np.uint8)
    image[10:30, 12:32] = 180
    truth = image[..., 0] == 180
    found = phases.chan_vese(image)
    # It rounds the four corners, by a few pixels each.
    assert (found != truth).sum() <= 24
    assert (phases.chan_vese(255 - image) == truth).sum() <= 24  # now the ground is brighter
    assert phases.chan_vese(np.full((20, 20, 3), 7, np.uint8)).shape == (20, 20)


def test_regions_are_connected_and_alike() -> None:
    image = np.zeros((30, 30, 3), np.uint8)
    image[:, 10:20] = 120
    image[:, 20:] = 240
    found = regions.grow(image)
    assert sorted(np.unique(found)) == list(range(found.max() + 1))
    # Three stripes: away from their blurred borders each is one region of its own.
    middles = [
        set(found[:, columns].ravel()) for columns in (slice(0, 7), slice(13, 17), slice(23, 30))
    ]
    assert [len(middle) for middle in middles] == [1, 1, 1]
    assert len(set.union(*middles)) == 3


def test_the_normalised_cut_parts_what_is_unlike() -> None:
    image, label = blobs(0, 64)
    seen = np.repeat(image, 3, axis=2)
    segments = cutting.cut(seen)
    pixels = [label[(segments == one) & (label != IGNORE)] for one in np.unique(segments)]
    # Each segment is nearly of one class.
    right = sum(max((part == 0).sum(), (part == 1).sum()) for part in pixels)
    assert right / sum(map(len, pixels)) > 0.95
    assert 2 <= len(pixels) < 40


def test_the_normalised_cut_covers_any_image_without_gaps() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (33, 50, 3), np.uint8)
    for image in (noise, np.zeros((20, 20, 3), np.uint8), noise[:1, :3], noise[:1, :1]):
        found = cutting.cut(image)
        assert found.shape == image.shape[:2]
        assert sorted(np.unique(found)) == list(range(found.max() + 1))


def test_segments_are_described_by_mean_and_deviation() -> None:
    image = np.zeros((1, 4, 3), np.uint8)
    image[0, :, 0] = [1, 3, 10, 10]
    described = codes.of_segments(image, np.array([[0, 0, 1, 1]]))
    # Of the red channel: 1 and 3 have the mean 2 and the deviation 1.
    assert described[0, 0].tolist() == [2, 1, 0, 0, 0, 0]
    assert described[0, 3].tolist() == [10, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", METHODS)
def test_bright_discs_are_found(name: str) -> None:
    predict = baselines.learn(name, SAMPLES, 2)
    image, label = blobs(100, 48)
    found = predict(image)
    assert (found.shape, found.dtype) == (label.shape, np.uint8)
    assert metrics(confusion(label, found, 2), ("ground", "disc"))["mean_iou"] > 0.85
    # The same again, from the same images.
    assert np.array_equal(found, baselines.learn(name, SAMPLES, 2)(image))


@pytest.mark.parametrize("name", METHODS)
def test_odd_images(name: str) -> None:
    predict = baselines.learn(name, SAMPLES, 3)
    grey = np.full((700, 20, 1), 7, np.uint8)  # of one colour, and reduced
    assert predict(grey).shape == (700, 20)
    deep = np.random.default_rng(0).integers(0, 60_000, (21, 33, 4)).astype(np.uint16)
    found = predict(deep)
    assert found.shape == (21, 33)
    assert found.max() <= 1  # the third class has no label
