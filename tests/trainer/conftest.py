"""A tiny data set of records and its statistics."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE, Layout, Record, encode
from trainer.statistics import Statistics

LAYOUT = Layout(channels=1, dtype="uint8", classes=("background", "cell"))


def blobs(seed: int, size: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """A bright disc on a dark ground, its mask, and an ignored corner."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    centre = generator.uniform(size * 0.3, size * 0.7, 2)
    disc = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < (size / 4) ** 2
    image = np.where(disc, 180, 60) + generator.normal(0, 10, (size, size))
    mask = disc.astype(np.uint8)
    mask[:4, :4] = IGNORE
    return np.clip(image, 0, 255).astype(np.uint8)[..., None], mask


@pytest.fixture(scope="session")
def statistics() -> Statistics:
    return Statistics(
        mean=(90.0,), deviation=(50.0,), class_pixels=(80, 20), pixels_where_present=(100, 100)
    )


@pytest.fixture(scope="session")
def record_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of 8 train and 3 eval records of 32 x 32."""
    folder = tmp_path_factory.mktemp("records")
    files = {}
    for split, seeds in (("train", range(8)), ("eval", range(100, 103))):
        files[split] = str(folder / split)
        with tf.io.TFRecordWriter(files[split]) as writer:
            for seed in seeds:
                image, mask = blobs(seed)
                record = Record(image, mask, f"{seed:03d}", "", mask.shape)
                writer.write(encode(record, LAYOUT))
    return files


@pytest.fixture(scope="session")
def layout() -> Layout:
    return LAYOUT
