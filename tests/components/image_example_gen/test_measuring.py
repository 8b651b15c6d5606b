from __future__ import annotations

import numpy as np
import pytest

from components.image_example_gen.measuring import GRID, Measurement, bins, difference_hashes, rows
from components.records import IGNORE, Layout, Record
from tests.components.tiles import tiles


def measure(image: np.ndarray, mask: np.ndarray, tile: int, margin: int = 0) -> dict:
    layout = Layout(image.shape[2], image.dtype.name, ("background", "cell"))
    measured = Measurement(layout)
    for start, pixels, labels in tiles(image, mask, tile, margin):
        record = Record(pixels, labels, "a", "0f", mask.shape, start, margin, group="g", span=3)
        measured.look(record.core_pixels, start, mask.shape)
        measured.add(record)
    return rows([measured], "train")[0]


def test_a_row_by_hand() -> None:
    image = np.array([[0, 0, 10], [10, 10, 30]], np.uint8)[..., None]
    mask = np.array([[0, 1, 1], [IGNORE, 0, 0]], np.uint8)
    row = measure(image, mask, 8)
    assert (row["source"], row["sha256"], row["group"], row["span"]) == ("a", "0f", "g", 3)
    assert (row["height"], row["width"], row["split"]) == (2, 3, "train")
    # Background three times, cell twice, one ignored.
    assert (row["class_pixels"], row["ignored_pixels"]) == ([3, 2], 1)
    # (0 + 0 + 3 * 10 + 30) / 6 = 10; squares (300 + 900) / 6 = 200, less 100 is 100.
    assert (row["mean"], row["deviation"]) == ([10], [10])
    assert (row["percentile_1"], row["median"], row["percentile_99"]) == ([0], [10], [30])
    # Bins of eight values: 0 in the first, 10 in the second, 30 in the fourth.
    assert row["histogram"][:5] == [2, 3, 0, 1, 0]
    assert len(row["histogram"]) == 32
    assert not row["one_colour"]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("margin", [0, 4])
def test_tiles_add_up_to_the_image(dtype: str, margin: int) -> None:
    rng = np.random.default_rng(0)
    image = (rng.random((70, 90, 2)) * 200 - (100 if dtype == "float32" else 0)).astype(dtype)
    mask = rng.integers(0, 2, (70, 90), np.uint8)
    whole, cut = measure(image, mask, 128), measure(image, mask, 32, margin)
    ordered = ("pixels", "thumbnail", "difference_hash")  # these know the tiles' order, or round
    for name in whole.keys() - set(ordered) - {"mean", "deviation"}:
        assert whole[name] == cut[name], name
    assert cut["mean"] == pytest.approx(image.mean(axis=(0, 1), dtype=np.float64))
    assert cut["deviation"] == pytest.approx(image.std(axis=(0, 1), dtype=np.float64))
    thumbnails = [np.frombuffer(row["thumbnail"], np.int8).astype(int) for row in (whole, cut)]
    assert np.abs(thumbnails[0] - thumbnails[1]).max() <= 1
    # A step of float32's levels is 1.6 %.
    exact = np.percentile(image, 50, axis=(0, 1), method="inverted_cdf")
    assert cut["median"] == pytest.approx(exact, rel=0.02)


def test_of_a_large_image_a_part_of_the_values_is_counted_the_same_part_however_it_is_cut() -> None:
    rng = np.random.default_rng(0)
    image = np.repeat(rng.normal(120, 20, (1500, 1100, 1)).clip(0, 255).astype(np.uint8), 2, axis=2)
    mask = np.zeros((1500, 1100), np.uint8)
    whole, cut = measure(image, mask, 2048), measure(image, mask, 256, 8)
    # 1,650,000 pixels are 50 times 2^15: every 7th row, and every 7th column of these.
    assert sum(whole["histogram"]) == 2 * -(-1500 // 7) * -(-1100 // 7)
    assert whole["histogram"] == cut["histogram"]
    assert whole["median"] == cut["median"] == pytest.approx([120, 120], abs=1)
    # All pixels have a part in these.
    assert whole["mean"] == pytest.approx(image.mean(axis=(0, 1)), abs=1e-9)
    assert sum(whole["class_pixels"]) == mask.size


def test_one_other_pixel_is_another_colour() -> None:
    image = np.full((600, 500, 1), 7, np.uint8)
    mask = np.zeros((600, 500), np.uint8)
    assert measure(image, mask, 64)["one_colour"]
    image[599, 333] = 8
    assert not measure(image, mask, 64)["one_colour"]


def test_the_digest_is_of_the_pixels_and_the_size() -> None:
    image, mask = np.arange(48, dtype=np.uint8).reshape(6, 8, 1), np.zeros((6, 8), np.uint8)
    one = measure(image, mask, 4)["pixels"]
    assert measure(image, np.ones_like(mask), 4)["pixels"] == one
    assert measure(image.reshape(8, 6, 1), mask.reshape(8, 6), 4)["pixels"] != one
    changed = image.copy()
    changed[5, 7] += 1
    assert measure(changed, mask, 4)["pixels"] != one


def test_an_image_of_one_colour_shows_nothing() -> None:
    row = measure(np.full((40, 40, 3), 9, np.uint8), np.zeros((40, 40), np.uint8), 16)
    assert row["one_colour"]
    assert not any(row["thumbnail"])


def test_the_hash_says_where_it_gets_brighter_to_the_right() -> None:
    rising = np.tile(np.arange(18, dtype=np.int8), (16, 1))
    assert difference_hashes(rising[None]).tolist() == [-1]  # all 64 bits set
    assert difference_hashes(rising[None, :, ::-1]).tolist() == [0]
    assert rising.shape == GRID


def test_bins_grow_with_the_value_where_the_range_is_not_known() -> None:
    wide = bins("uint16")
    # A bin for 0; then a quarter of an octave each: 1 begins the first, 2 the fifth, 4 the ninth.
    assert wide[[0, 1, 2, 4, 65535]].tolist() == [0, 1, 5, 9, 64]
    assert (np.diff(wide) >= 0).all()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_images_that_are_measured_together_have_the_rows_of_each(dtype: str) -> None:
    rng = np.random.default_rng(0)
    layout = Layout(2, dtype, ("background", "cell"))
    measured = []
    for number, size in enumerate([(40, 30), (64, 64), (5, 90)]):
        image = (rng.random((*size, 2)) * 200).astype(dtype)
        mask = rng.integers(0, 2, size, np.uint8)
        measured.append(Measurement(layout))
        measured[-1].look(image, (0, 0), size)
        measured[-1].add(Record(image, mask, f"{number}", "0f", size))
    assert rows(measured, "eval") == [rows([one], "eval")[0] for one in measured]
    assert rows([], "eval") == []
