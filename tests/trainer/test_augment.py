from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer import augment
from trainer.config import AugmentConfig

SEED = tf.constant([3, 7], tf.int64)


def coded(height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """An image whose every pixel is its mask's value."""
    mask = np.arange(height * width, dtype=np.uint8).reshape(height, width) % 200
    return tf.constant(mask[..., None], tf.float32), tf.constant(mask)


@pytest.mark.parametrize("size", [(8, 8), (6, 9)])
def test_flips_and_turns_move_image_and_mask_alike(size: tuple[int, int]) -> None:
    image, mask = coded(*size)
    seen = set()
    for step in range(24):
        seed = tf.constant([0, step], tf.int64)
        moved, labels = augment.augment(image, mask, AugmentConfig(), seed)
        assert np.array_equal(moved[..., 0], labels)
        assert labels.shape == size
        seen.add(labels.numpy().tobytes())
    # A square has 8 orientations, a rectangle that keeps its shape 4.
    assert len(seen) == (8 if size[0] == size[1] else 4)


def test_the_same_seed_gives_the_same_tile() -> None:
    image, mask = coded(8, 8)
    config = AugmentConfig(elastic=True, elastic_sigma=2)
    first = augment.augment(image, mask, config, SEED)
    again = augment.augment(image, mask, config, SEED)
    other = augment.augment(image, mask, config, SEED + 1)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_elastic_moves_the_mask_with_the_image_and_invents_no_class() -> None:
    ramp = np.tile(np.linspace(0, 100, 64, dtype=np.float32), (64, 1))
    mask = np.where(ramp > 50, 7, 3).astype(np.uint8)
    image, labels = augment.elastic(
        tf.constant(ramp[..., None]), tf.constant(mask), sigma=6.0, seed=SEED
    )
    image, labels = image.numpy()[..., 0], labels.numpy()
    assert set(np.unique(labels)) <= {3, 7, IGNORE}
    assert (labels == IGNORE).any()  # something came from outside, which nobody labelled
    counts = labels != IGNORE
    # The ramp passes 50 where the classes meet; rounding moves a label by half a pixel, 0.8.
    assert np.all(image[counts & (labels == 7)] > 50 - 1.6)
    assert np.all(image[counts & (labels == 3)] <= 50 + 1.6)
    assert not np.array_equal(labels, mask)


def test_elastic_without_shifts_changes_nothing() -> None:
    image, mask = coded(16, 16)
    moved, labels = augment.elastic(image, mask, sigma=0.0, seed=SEED)
    assert np.allclose(moved, image)
    assert np.array_equal(labels, mask)


def test_crop_cuts_image_and_mask_at_one_place() -> None:
    image, mask = coded(12, 10)
    corners = set()
    for step in range(40):
        part, labels = augment.crop(image, mask, 9, tf.constant([1, step], tf.int64))
        assert labels.shape == (9, 9)
        assert np.array_equal(part[..., 0], labels)
        corners.add(int(labels[0, 0]))
    # Starts 0 to 3 down and 0 to 1 across: rows of 10 pixels.
    assert corners == {0, 1, 10, 11, 20, 21, 30, 31}


def test_crop_keeps_a_side_that_is_shorter() -> None:
    image, mask = coded(4, 10)
    part, labels = augment.crop(image, mask, 6, SEED)
    assert part.shape == (4, 6, 1)
    assert labels.shape == (4, 6)


def test_brightness_and_contrast_keep_the_mask_and_the_order_of_pixels() -> None:
    image, mask = coded(8, 8)
    config = AugmentConfig(flip=False, quarter_turns=False, brightness=0.5, contrast=0.25)
    deviation = float(np.std(image))
    stretches = []
    for step in range(20):
        seed = tf.constant([2, step], tf.int64)
        changed, labels = augment.augment(image, mask, config, seed)
        assert np.array_equal(labels, mask)
        # The mean moves by at most half a deviation, the deviation by at most a quarter.
        assert abs(float(np.mean(changed)) - float(np.mean(image))) <= 0.5 * deviation + 1e-3
        stretches.append(float(np.std(changed)) / deviation)
        assert np.all(np.diff(np.ravel(changed)) > 0)
    assert 0.75 <= min(stretches) < 0.9
    assert 1.1 < max(stretches) <= 1.25 + 1e-6
