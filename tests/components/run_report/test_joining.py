from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.records import IGNORE, Layout, Record, encode
from components.run_report import joining
from tests.components.tiles import tiles


def write(path: Path, image: np.ndarray, mask: np.ndarray, tile: int, margin: int) -> Layout:
    """The tiles of an image, last first, and those of another image."""
    layout = Layout(image.shape[2], image.dtype.name, ("a", "b", "c"))
    with tf.io.TFRecordWriter(str(path)) as writer:
        for key, pixels in (("other", np.zeros_like(image)), ("it", image)):
            for start, piece, labels in [*tiles(pixels, mask, tile, margin)][::-1]:
                writer.write(
                    encode(Record(piece, labels, key, "", mask.shape, start, margin), layout)
                )
    return layout


def first_channel(image: np.ndarray) -> np.ndarray:
    """A prediction that shows which pixel it was made for."""
    return (image[..., 0] % 3).astype(np.uint8)


@pytest.mark.parametrize(("tile", "margin"), [(4, 0), (4, 3), (64, 0), (5, 1)])
def test_tiles_come_together_whatever_their_margin(tmp_path: Path, tile: int, margin: int) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (9, 13, 2)).astype(np.uint8)
    mask = random.integers(0, 3, (9, 13)).astype(np.uint8)
    mask[3, 4] = IGNORE
    layout = write(tmp_path / "records", image, mask, tile, margin)
    joined = joining.join([str(tmp_path / "records")], [(0, "it")], layout, first_channel)
    assert list(joined) == [(0, "it")]
    picture = joined[0, "it"]
    assert (picture.size, picture.reduction) == ((9, 13), 1)
    np.testing.assert_array_equal(picture.image, image)
    np.testing.assert_array_equal(picture.label, mask)
    np.testing.assert_array_equal(picture.prediction, image[..., 0] % 3)


@pytest.mark.parametrize(("tile", "margin"), [(4, 0), (5, 2), (64, 0)])
def test_a_large_image_is_reduced(
    tmp_path: Path, tile: int, margin: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "SIDE", 3)
    # 7 pixels a side into at most 3: blocks of 3, the last of which has 1 pixel.
    image = np.arange(49, dtype=np.uint16).reshape(7, 7, 1) * 100
    mask = (np.arange(49).reshape(7, 7) % 3).astype(np.uint8)
    layout = write(tmp_path / "records", image, mask, tile, margin)
    picture = joining.join(
        [str(tmp_path / "records")], [(0, "it")], layout, lambda image: first_channel(image // 100)
    )[0, "it"]
    assert (picture.size, picture.reduction) == ((7, 7), 3)
    # The first block holds 0 1 2, 7 8 9, 14 15 16 (hundreds), whose mean is its middle, 8.
    assert picture.image[..., 0].tolist() == [
        [800, 1100, 1300],
        [2900, 3200, 3400],
        [4300, 4600, 4800],
    ]
    # Of each block the class in its middle: pixels 8, 11, 13; 29, 32, 34; 43, 46, 48.
    middles = np.array([[8, 11, 13], [29, 32, 34], [43, 46, 48]]) % 3
    np.testing.assert_array_equal(picture.label, middles)
    np.testing.assert_array_equal(picture.prediction, middles)
