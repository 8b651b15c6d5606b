from __future__ import annotations

import numpy as np
import pytest

from components.image_example_gen.tiling import cut_labels, cut_pixels, grid, mirror_indices
from components.records import IGNORE
from tests.components.tiles import tiles


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_mirroring_is_that_of_numpy(size: int):
    # Far past both ends, where the mirror image is mirrored again.
    expected = np.pad(np.arange(size), 20, mode="reflect")
    assert mirror_indices(-20, size + 20, size).tolist() == expected.tolist()


def test_grid_goes_past_the_end_rather_than_overlap():
    # 5 rows in cores of 4 begin at 0 and 4, 8 columns at 0 and 4.
    assert grid(5, 8, 4) == [(0, 0), (0, 4), (4, 0), (4, 4)]


def test_cut_by_hand():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3, 1)
    mask = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    pixels = cut_pixels(image, (0, 0), (2, 3), (0, 2), tile=2, margin=1)
    # Rows -1 to 2 of 2 rows: 1 0 1 0. Columns 1 to 4 of 3 columns: 1 2 1 0.
    assert pixels[..., 0].tolist() == [[4, 5, 4, 3], [1, 2, 1, 0], [4, 5, 4, 3], [1, 2, 1, 0]]
    # Of the core (columns 2 and 3) only column 2 is in the image.
    labels = cut_labels(mask, (0, 0), (0, 2), tile=2, margin=1, outside=IGNORE)
    i = IGNORE
    assert labels.tolist() == [[i, i, i, i], [i, 0, i, i], [i, 0, i, i], [i, i, i, i]]


def test_a_piece_of_an_image_gives_the_tile_that_the_image_gives():
    image = np.arange(10 * 12).reshape(10, 12, 1)
    mask = image[..., 0] % 5
    for start in ((4, 4), (8, 8)):  # amid the image, and past its end, where it is mirrored
        whole = cut_pixels(image, (0, 0), (10, 12), start, tile=4, margin=2)
        part = cut_pixels(image[2:], (2, 0), (10, 12), start, tile=4, margin=2)
        np.testing.assert_array_equal(part, whole)
        labels = cut_labels(mask, (0, 0), start, tile=4, margin=2, outside=9)
        np.testing.assert_array_equal(
            cut_labels(mask[3:, 1:], (3, 1), start, tile=4, margin=2, outside=9), labels
        )


@pytest.mark.parametrize(
    ("height", "width", "tile", "margin"),
    [(13, 7, 4, 0), (13, 7, 4, 3), (5, 5, 8, 20), (1, 9, 4, 2), (16, 16, 16, 8), (17, 31, 16, 40)],
)
def test_every_labelled_pixel_is_in_exactly_one_core(
    height: int, width: int, tile: int, margin: int
):
    # Each pixel carries its own number, so that it is known wherever it turns up.
    image = np.arange(height * width, dtype=np.uint16).reshape(height, width, 1)
    mask = (image[..., 0] % 3).astype(np.uint8)
    mask[0, 0] = IGNORE
    seen = np.zeros(height * width, int)
    for (y, x), pixels, labels in tiles(image, mask, tile, margin):
        assert pixels.shape == (tile + 2 * margin, tile + 2 * margin, 1)
        assert labels.shape == pixels.shape[:2]
        counted = labels != IGNORE
        np.testing.assert_array_equal(labels[counted], pixels[..., 0][counted] % 3)
        np.add.at(seen, pixels[..., 0][counted], 1)
        # The core's first pixel is where the tile says.
        assert pixels[margin, margin, 0] == y * width + x
    expected = np.ones(height * width, int)
    expected[0] = 0
    np.testing.assert_array_equal(seen, expected)
