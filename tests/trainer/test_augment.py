from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer import augment
from trainer.augment import geometry, pixels
from trainer.config import AugmentConfig

SEED = tf.constant([3, 7], tf.int64)
OTHER = tf.constant([5, 1], tf.int64)
STILL = {"flip": False, "quarter_turns": False}
GEOMETRIC: dict[str, dict[str, Any]] = {
    "elastic": {"elastic": True, "elastic_sigma": 3.0},
    "rotation": {"rotation": 180.0},
    "scale": {"scale": 0.5},
    "shear": {"shear": 20.0},
    "all": {"elastic": True, "elastic_sigma": 2.0, "rotation": 30, "scale": 0.3, "shear": 10},
}


def coded(height: int, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """An image whose every pixel is its mask's value."""
    mask = np.arange(height * width, dtype=np.uint8).reshape(height, width) % 200
    return tf.constant(mask[..., None], tf.float32), tf.constant(mask)


def halves(side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """An image with its mask in it: a smooth ramp that passes 50 where the classes meet."""
    rows, columns = np.mgrid[:side, :side]
    ramp = (100 * (rows + 2 * columns) / (3 * side - 3)).astype(np.float32)
    mask = np.where(ramp > 50, 7, 3).astype(np.uint8)
    return tf.constant(ramp[..., None]), tf.constant(mask)


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


@pytest.mark.parametrize(("flip", "orientations"), [("left_right", 2), ("up_down", 2), (True, 4)])
def test_flips_along_one_axis(flip: Any, orientations: int) -> None:
    image, mask = coded(6, 9)
    config = AugmentConfig(flip=flip, quarter_turns=False)
    seen = set()
    for step in range(24):
        seed = tf.constant([0, step], tf.int64)
        moved, labels = augment.augment(image, mask, config, seed)
        assert np.array_equal(moved[..., 0], labels)
        seen.add(labels.numpy().tobytes())
    assert len(seen) == orientations
    assert mask.numpy().tobytes() in seen
    assert (mask.numpy()[:, ::-1].tobytes() in seen) == (flip != "up_down")


@pytest.mark.parametrize("change", ["elastic", "all", "light"])
def test_the_same_seed_gives_the_same_tile(change: str) -> None:
    light = {"brightness": 0.5, "contrast": 0.2, "gamma": 0.5, "blur": 2, "noise": 0.3}
    config = AugmentConfig(**{**GEOMETRIC, "light": light}[change])
    image, mask = halves(16)
    first = augment.augment(image, mask, config, SEED)
    again = augment.augment(image, mask, config, SEED)
    other = augment.augment(image, mask, config, SEED + 1)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("change", GEOMETRIC)
def test_mask_and_weight_move_with_the_image_and_nothing_is_invented(change: str) -> None:
    ramp, mask = halves(48)
    labels = tf.stack([tf.cast(mask, tf.float32), 10 + tf.cast(mask, tf.float32)], axis=-1)
    config = AugmentConfig(**GEOMETRIC[change])
    differ = 0
    for step in range(6):
        seed = tf.constant([4, step], tf.int64)
        image, moved = (part.numpy() for part in augment.augment(ramp, labels, config, seed))
        ids, weights = moved[..., 0], moved[..., 1]
        assert set(np.unique(ids)) <= {3, 7, IGNORE}
        counts = ids != IGNORE
        assert counts.any()
        assert np.array_equal(weights[counts], 10 + ids[counts])
        # The nearest pixel is at most half a pixel off on each axis. The ramp rises by 100 / 141
        # down and twice that across, so by at most 1.07 over that way.
        assert np.all(image[counts & (ids == 7)] > 50 - 1.08)
        assert np.all(image[counts & (ids == 3)] <= 50 + 1.08)
        differ += not np.array_equal(ids, mask)
    assert differ == 6


def test_what_comes_from_outside_is_ignored_and_looks_mirrored() -> None:
    # Half as large: the step between pixels doubles. A seed that nearly halves the tile is sought.
    mask = tf.ones([9, 9], tf.uint8)
    columns = tf.tile(tf.range(9.0)[None, :, None], [9, 1, 1])
    config = AugmentConfig(scale=1.0, **STILL)
    smallest = max(
        (augment.augment(columns, mask, config, tf.constant([0, n], tf.int64)) for n in range(30)),
        key=lambda pair: float(pair[0][4, 5, 0] - pair[0][4, 4, 0]),
    )
    image, labels = (part.numpy() for part in smallest)
    step = image[4, 5, 0] - image[4, 4, 0]
    assert 1.8 < step <= 2
    # About the middle, 4: 4 + 4 step is beyond the last column, 8, and mirrored at it.
    beyond = 4 + 4 * step
    assert image[4, 8, 0] == pytest.approx(8 - (beyond - 8), abs=1e-4)
    # Rows and columns 2 to 6 come from 4 +- 2 step, which rounds to 0 and 8; the others, outside.
    assert np.array_equal(labels[4], [IGNORE] * 2 + [1] * 5 + [IGNORE] * 2)
    assert np.sum(labels == 1) == 25


def test_an_ignored_pixel_stays_ignored() -> None:
    mask = tf.fill([12, 12], tf.constant(IGNORE, tf.uint8))
    config = AugmentConfig(**GEOMETRIC["all"])
    for step in range(5):
        seed = tf.constant([1, step], tf.int64)
        _, labels = augment.augment(tf.ones([12, 12, 1]), mask, config, seed)
        assert np.all(labels == IGNORE)


def test_the_matrix_by_hand() -> None:
    # Without scale and shear it is a rotation: orthogonal, of the drawn angle at most.
    turned = np.array(geometry._matrix(AugmentConfig(rotation=30), SEED))
    assert np.allclose(turned @ turned.T, np.eye(2), atol=1e-6)
    assert np.linalg.det(turned) == pytest.approx(1, abs=1e-6)
    assert 0 < abs(math.degrees(math.asin(turned[0, 1]))) <= 30
    # Scale alone: a multiple of the identity within 1 / 1.25 and 1.25.
    scaled = np.array(geometry._matrix(AugmentConfig(scale=0.25), SEED))
    assert np.allclose(scaled, scaled[0, 0] * np.eye(2), atol=1e-6)
    assert 0.8 <= scaled[0, 0] <= 1.25
    # Shear alone: ones on the diagonal, tangents of at most 20 degrees beside it.
    sheared = np.array(geometry._matrix(AugmentConfig(shear=20), SEED))
    assert np.allclose(np.diag(sheared), 1, atol=1e-6)
    assert np.all(np.abs(sheared[[0, 1], [1, 0]]) <= math.tan(math.radians(20)))


def test_a_shift_of_a_pixel_and_a_half_by_hand() -> None:
    image = tf.constant([[0.0, 10, 20, 40], [0, 10, 20, 40]])[..., None]
    mask = tf.constant([[1, 2, 3, 4], [1, 2, 3, 4]], tf.uint8)
    y, x = tf.meshgrid(tf.range(2.0), tf.range(4.0) + 1.5, indexing="ij")
    size = tf.constant([2, 4])
    # Halfway between 10 and 20, and between 20 and 40; then the edge goes on.
    assert np.array_equal(geometry._interpolated(image, y, x, size)[0, :, 0], [15, 30, 40, 40])
    # 1.5 and 2.5 round to 2, as halves do to the even number; 3.5 to 4, which is outside.
    assert np.array_equal(geometry._nearest(mask, y, x, size)[0], [3, 3, IGNORE, IGNORE])


def test_several_changes_are_one_interpolation() -> None:
    # A chequered image loses contrast by every interpolation. Turned and bent in two steps it has
    # less left than in one.
    image = tf.constant(np.indices((32, 32)).sum(0) % 2 * 100.0, tf.float32)[..., None]
    mask = tf.ones([32, 32], tf.uint8)
    elastic = AugmentConfig(elastic=True, elastic_sigma=2, **STILL)
    turned = AugmentConfig(rotation=30, **STILL)
    both = turned.model_copy(update={"elastic": True, "elastic_sigma": 2.0})
    once, _ = geometry.warp(image, mask, both, SEED, OTHER)
    twice, _ = geometry.warp(*geometry.warp(image, mask, elastic, SEED, OTHER), turned, SEED, OTHER)
    assert np.std(once) > 1.2 * np.std(twice)


def test_without_shifts_nothing_changes() -> None:
    image, mask = coded(16, 16)
    config = AugmentConfig(elastic=True, elastic_sigma=0.0, **STILL)
    moved, labels = augment.augment(image, mask, config, SEED)
    assert np.array_equal(moved, image)
    assert np.array_equal(labels, mask)


def test_crop_cuts_image_and_mask_at_one_place() -> None:
    image, mask = coded(12, 10)
    corners = set()
    for step in range(40):
        seed = tf.constant([1, step], tf.int64)
        part, labels, window = augment.crop(image, mask, 9, AugmentConfig(), seed)
        assert window is None
        assert labels.shape == (9, 9)
        assert np.array_equal(part[..., 0], labels)
        corners.add(int(labels[0, 0]))
    # Starts 0 to 3 down and 0 to 1 across: rows of 10 pixels.
    assert corners == {0, 1, 10, 11, 20, 21, 30, 31}


def test_crop_keeps_a_side_that_is_shorter() -> None:
    image, mask = coded(4, 10)
    part, labels, _ = augment.crop(image, mask, 6, AugmentConfig(), SEED)
    assert part.shape == (4, 6, 1)
    assert labels.shape == (4, 6)


@pytest.mark.parametrize("change", ["rotation", "scale", "shear", "all"])
def test_a_crop_is_turned_with_the_labels_around_it(change: str) -> None:
    config = AugmentConfig(**GEOMETRIC[change])
    whole, mask = halves(60)

    def ignored(side: int) -> int:
        """Over squares of 12 pixels from the middle of a tile of this side."""
        cut = (60 - side) // 2
        image, labels = (part[cut : 60 - cut, cut : 60 - cut] for part in (whole, mask))
        window = tf.fill([2], (side - 12) // 2), tf.constant([12, 12])
        found = 0
        for step in range(10):
            seed = tf.constant([2, step], tf.int64)
            moved, ids = augment.augment(image, labels, config, seed, window)
            assert moved.shape == (12, 12, 1)
            counts = ids.numpy() != IGNORE
            assert np.all(moved.numpy()[counts & (ids.numpy() == 7)] > 50 - 1.08)
            found += np.sum(~counts)
        return found

    # What `crop` keeps around the square is all that it needs.
    around = geometry.reach(config, 12)
    assert ignored(12 + 2 * around) == 0
    assert ignored(12) > 0


def test_crop_keeps_around_the_square_what_the_tile_has() -> None:
    image, mask = coded(20, 14)
    config = AugmentConfig(rotation=45)
    # A square of 10 turned by 45 degrees reaches 10 (sqrt(2) - 1) / 2 = 2.07 beyond itself.
    assert geometry.reach(config, 10) == 3
    part, labels, window = augment.crop(image, mask, 10, config, SEED)
    assert window is not None
    start, size = (value.numpy() for value in window)
    assert list(size) == [10, 10]
    assert np.all(start >= 0)
    assert np.all(start <= 3)
    assert np.all(labels.shape <= start + 13)
    assert np.array_equal(part[..., 0], labels)
    # The same square as without a rotation.
    plain, _, _ = augment.crop(image, mask, 10, AugmentConfig(), SEED)
    inside = part[start[0] : start[0] + 10, start[1] : start[1] + 10]
    assert np.array_equal(inside, plain)


def test_brightness_and_contrast_keep_the_mask_and_the_order_of_pixels() -> None:
    image, mask = coded(8, 8)
    config = AugmentConfig(brightness=0.5, contrast=0.25, **STILL)
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


def test_gamma_bends_between_the_darkest_and_the_brightest_pixel() -> None:
    image = tf.constant([[10.0, 35.0, 110.0]])[..., None]
    exponents = []
    for step in range(20):
        bent = pixels.bend(image, 1.0, tf.constant([2, step], tf.int64)).numpy().ravel()
        assert bent[[0, 2]] == pytest.approx([10, 110])
        # A quarter of the way up becomes (1/4)^e.
        exponents.append(math.log((bent[1] - 10) / 100) / math.log(0.25))
    # From 1 / 2 to 2, as often below 1 as above.
    assert 0.5 <= min(exponents) < 0.7
    assert 1.5 < max(exponents) <= 2 + 1e-5


def test_a_tile_of_one_value_has_no_gamma() -> None:
    flat = tf.fill([3, 3, 2], 7.0)
    assert np.array_equal(pixels.bend(flat, 1.0, SEED), flat)


def test_blur_is_the_gaussian_and_keeps_a_flat_tile() -> None:
    point = np.zeros((33, 33, 2), np.float32)
    point[16, 16, 1] = 1
    blurred = pixels.blur(tf.constant(point), 2.0, SEED).numpy()
    sigma = float(tf.random.stateless_uniform([], SEED, maxval=2.0))
    line = np.exp(-0.5 * (np.arange(-6, 7) / sigma) ** 2)
    line /= line.sum()
    assert np.allclose(blurred[10:23, 10:23, 1], np.outer(line, line), atol=1e-6)
    assert not blurred[..., 0].any()
    # At the edges too, also where the tile is smaller than the Gaussian.
    assert np.allclose(pixels.blur(tf.fill([5, 9, 1], 7.0), 4.0, SEED), 7.0, atol=1e-5)


def test_noise_has_the_deviation_that_was_drawn() -> None:
    image = np.zeros((64, 64, 1), np.float32)
    image[:32] = 20  # a deviation of 10
    added = pixels.add_noise(tf.constant(image), 0.5, SEED).numpy() - image
    drawn = float(tf.random.stateless_uniform([], tf.random.split(SEED, 2)[0], maxval=0.5))
    # Of 4096 draws the deviation is known to 1 / sqrt(2 * 4096) = 1.1 %, four times that at most.
    assert np.std(added) == pytest.approx(10 * drawn, rel=0.045)
    assert abs(np.mean(added)) < 4 * 10 * drawn / 64


def test_strength_multiplies_every_amount() -> None:
    config = AugmentConfig(
        strength=2, elastic=True, rotation=100, brightness=0.3, contrast=0.6, noise=0.1
    )
    amounts = config.amounts()
    assert (amounts.elastic_sigma, amounts.brightness, amounts.noise) == (20, 0.6, 0.2)
    # As far as they go.
    assert (amounts.rotation, amounts.contrast) == (180, 0.99)
    assert amounts.flip
    image, mask = coded(8, 8)
    none = config.model_copy(update={"strength": 0.0, **STILL})
    moved, labels = augment.augment(image, mask, none, SEED)
    assert np.allclose(moved, image, atol=1e-4)
    assert np.array_equal(labels, mask)
