from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from components.records import IGNORE
from components.run_report import pictures
from components.run_report.joining import Picture

PALETTE = [None, (200, 0, 0)]


def decoded(uri: str) -> np.ndarray:
    """Red, green, blue, and opacity where there is one."""
    head, _, body = uri.partition(",")
    assert head in ("data:image/webp;base64", "data:image/png;base64")
    pixels = np.frombuffer(base64.b64decode(body), np.uint8)
    image = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
    return image[..., [2, 1, 0, 3][: image.shape[2]]]


def picture(side: int = 4) -> Picture:
    label = np.zeros((side, side), np.uint8)
    label[:, side // 2 :] = 1
    label[0, 0] = IGNORE
    prediction = np.ones((side, side), np.uint8)
    image = np.full((side, side, 1), 100, np.uint8)
    return Picture((side, side), 1, image, label, prediction)


def test_layers_lie_over_the_photograph() -> None:
    drawn = pictures.draw(picture(), PALETTE, side=40)
    photograph, label, prediction, error = map(decoded, drawn)
    assert photograph.shape == (40, 40, 3)
    assert abs(int(photograph[20, 20, 0]) - 100) < 4
    assert label.shape == prediction.shape == error.shape == (40, 40, 4)
    # Each pixel became ten by ten. The background is left clear, a class is tinted and lined.
    assert label[25, 5].tolist()[3] == 0
    assert label[25, 35].tolist() == [200, 0, 0, pictures._FILL]
    assert label[25, 20].tolist() == [200, 0, 0, 255]
    # The whole is predicted as the class, ignored corner and all, so there is no line.
    assert prediction[5, 5].tolist() == prediction[25, 20].tolist()
    assert prediction[5, 5].tolist() == [200, 0, 0, pictures._FILL]


def test_wrong_pixels_shine_and_ignored_ones_are_neither_right_nor_wrong() -> None:
    _, label, _, error = map(decoded, pictures.draw(picture(), PALETTE, side=40))
    assert error[25, 5].tolist() == [*pictures.WRONG, 255]
    assert error[25, 35].tolist() == list(pictures._DARKENED)
    for layer in (label, error):
        corner = {tuple(pixel) for pixel in layer[:10, :10].reshape(-1, 4).tolist()}
        assert corner == set(pictures._STRIPES)


def test_an_image_that_is_all_ignored() -> None:
    nothing = picture()
    nothing.label[:] = IGNORE
    error = decoded(pictures.draw(nothing, PALETTE, side=40).error)
    assert {tuple(pixel) for pixel in error.reshape(-1, 4).tolist()} == set(pictures._STRIPES)


@pytest.mark.parametrize("shape", [(1, 640), (640, 1), (7, 3), (640, 640)])
def test_every_shape_is_drawn(shape: tuple[int, int]) -> None:
    for side in (640, 200):
        ones = np.ones(shape, np.uint8)
        drawn = pictures.draw(
            Picture(shape, 1, np.zeros((*shape, 5), np.float32), ones, ones), PALETTE, side
        )
        sizes = {decoded(uri).shape[:2] for uri in drawn}
        assert len(sizes) == 1
        assert max(sizes.pop()) <= side


def test_what_would_be_too_large_is_drawn_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    noise = [
        Picture(
            (640, 640),
            1,
            random.integers(0, 256, (640, 640, 3)).astype(np.uint8),
            *(random.integers(0, 2, (640, 640)).astype(np.uint8) for _ in range(2)),
        )
        for _ in range(2)
    ]
    # Noise is the worst there is: in full it takes more than half a megabyte an image.
    monkeypatch.setattr(pictures, "BUDGET", 400_000)
    drawn = pictures.draw_all(noise, PALETTE)
    assert sum(len(uri) for panels in drawn for uri in panels) <= 400_000
    assert len(drawn) == 2
