"""Configurations of the first version give the tiles that they gave then, to the last bit."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE
from trainer import augment
from trainer.config import AugmentConfig


def tile(height: int, width: int, channels: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Pixels, and a mask with four classes and ignored pixels."""
    rng = np.random.default_rng(height + width + channels)
    mask = rng.choice(np.array([0, 1, 2, 3, IGNORE], np.uint8), (height, width))
    image = rng.integers(0, 256, (height, width, channels)).astype(np.float32)
    return tf.constant(image), tf.constant(mask)


def digest(config: AugmentConfig, height: int, width: int, channels: int, maps: bool) -> str:
    """Of six tiles, the third cropped first."""
    image, mask = tile(height, width, channels)
    if maps:
        mask = tf.stack([tf.cast(mask, tf.float32), tf.reverse(image[..., 0], [0])], axis=-1)
    augmented = tf.function(augment.augment)
    told = hashlib.sha256()
    for index in range(6):
        seeds = tf.random.split(tf.constant([3, index], tf.int64), 2)
        one, labels = image, mask
        if index == 2:
            one, labels, _ = augment.crop(image, mask, 24, config, seeds[0])
        one, labels = augmented(one, labels, config, seeds[1])
        told.update(one.numpy().tobytes())
        told.update(labels.numpy().tobytes())
    return told.hexdigest()[:16]


PINNED: list[tuple[dict[str, Any], tuple[int, int, int, bool], str]] = [
    ({}, (32, 32, 1, False), "38069a670e064af8"),
    ({}, (40, 33, 3, True), "b27444290c2633e2"),
    (
        {"flip": False, "elastic": True, "elastic_sigma": 4.0},
        (48, 48, 1, False),
        "3b26d31707d3a4c2",
    ),
    ({"elastic": True}, (64, 64, 3, True), "76c40376711c59be"),
    ({"brightness": 0.5, "contrast": 0.25}, (32, 40, 3, False), "c67b7633674679fb"),
    ({"elastic": True, "brightness": 1.0, "contrast": 0.4}, (50, 50, 2, True), "e46f2f5af2ac3e6c"),
]


@pytest.mark.parametrize(("values", "what", "expected"), PINNED)
def test_old_configurations_give_the_tiles_they_gave(
    values: dict[str, Any], what: tuple[int, int, int, bool], expected: str
) -> None:
    assert digest(AugmentConfig(**values), *what) == expected


if __name__ == "__main__":
    for values, what, _ in PINNED:
        print(digest(AugmentConfig(**values), *what))
