from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE, Layout, Record, encode
from components.run_report import splits
from tests.components.tiles import tiles

LAYOUT = Layout(2, "uint8", ("dark", "bright"))


def test_a_split_of_two_images(tmp_path: Path) -> None:
    # 2 x 3 pixels in tiles of 2, and 1 x 1. First channel: 0 to 5, and 9; second: always 4.
    first = np.dstack([np.arange(6).reshape(2, 3), np.full((2, 3), 4)]).astype(np.uint8)
    second = np.array([[[9, 4]]], np.uint8)
    masks = [np.array([[0, 1, 1], [0, 0, IGNORE]], np.uint8), np.array([[1]], np.uint8)]
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        for key, image, mask in zip("ab", (first, second), masks):
            for start, pixels, labels in tiles(image, mask, tile=2, margin=1):
                record = Record(pixels, labels, key, "", mask.shape, start, 1)
                writer.write(encode(record, LAYOUT))
    found = splits.read([str(tmp_path / "records")], LAYOUT)
    assert (found.images, found.records) == (2, 3)
    assert (found.class_pixels, found.ignored) == ((3, 3), 1)
    assert found.shares() == [0.5, 0.5]
    assert found.ignored_share() == pytest.approx(1 / 7)
    # (0 + 1 + 2 + 3 + 4 + 5 + 9) / 7 = 24/7; squares 136/7 - (24/7)^2 = 376/49.
    assert found.mean == pytest.approx((24 / 7, 4))
    assert found.deviation == pytest.approx(((376 / 49) ** 0.5, 0), abs=1e-6)
    assert (found.smallest, found.largest) == ((1, 1), (2, 3))


def test_nothing_labelled(tmp_path: Path) -> None:
    mask = np.full((2, 2), IGNORE, np.uint8)
    record = Record(np.zeros((2, 2, 2), np.uint8), mask, "a", "", (2, 2))
    with tf.io.TFRecordWriter(str(tmp_path / "records")) as writer:
        writer.write(encode(record, LAYOUT))
    found = splits.read([str(tmp_path / "records")], LAYOUT)
    assert found.shares() == [0.0, 0.0]
    assert found.ignored_share() == 1
