from pathlib import Path

import cv2
import numpy as np

from components import display
from pipeline import overlay


def test_a_class_is_tinted_and_lined_and_background_left_clear() -> None:
    image = np.full((5, 5, 1), 100, np.uint8)
    mask = np.zeros((5, 5), np.uint8)
    mask[1:4, 1:4] = 1
    palette = display.colours(["background", "cell"], {"cell": "#c80000"})
    assert palette == [None, (200, 0, 0)]
    seen = overlay.overlay(image, mask, palette)
    # Inside: 0.6 * 100 + 0.4 * 200 = 140 red, 0.6 * 100 = 60 green and blue.
    assert seen[2, 2].tolist() == [140, 60, 60]
    # Every other pixel of the 3 x 3 square has a neighbour of another class: it is the line.
    assert seen[1, 1].tolist() == seen[2, 1].tolist() == [200, 0, 0]
    assert seen[0, 0].tolist() == [100, 100, 100]


def test_sixteen_bits_are_stretched() -> None:
    image = np.array([[0, 1000], [500, 1000]], np.uint16)[..., None]
    seen = overlay.overlay(image, np.zeros((2, 2), np.uint8), [None])
    # Of 0, 500, 1000, 1000 the percentile 0.5 is 7.5 and 99.5 is 1000: 492.5 / 992.5 * 255 = 126.5.
    assert seen[0, 0].tolist() == [0, 0, 0]
    assert seen[0, 1].tolist() == [255, 255, 255]
    assert abs(int(seen[1, 0, 0]) - 126.5) < 1


def test_alpha_is_left_out() -> None:
    image = np.dstack([np.full((2, 2), value, np.uint8) for value in (10, 20, 30, 0)])
    seen = overlay.overlay(image, np.zeros((2, 2), np.uint8), [None])
    assert seen[0, 0].tolist() == [10, 20, 30]


def test_png_keeps_the_order_of_colours(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 3), np.uint8)
    pixels[..., 0] = 200
    overlay.write_png(tmp_path / "a.png", pixels)
    # OpenCV reads blue, green, red.
    assert cv2.imread(str(tmp_path / "a.png"))[0, 0].tolist() == [0, 0, 200]
