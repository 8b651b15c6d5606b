"""From arrays to what a page can hold: a photograph, and transparent layers to lay over it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from components.display import Colour, borders, displayable
from components.records import IGNORE
from components.run_report.joining import SIDE, Picture

BUDGET = 5_000_000
"""Bytes that all pictures of a page may take."""

# Tried in turn until the pictures fit: longest side, WebP quality.
_ATTEMPTS = ((SIDE, 85), (SIDE, 70), (480, 70), (320, 60), (200, 50))

_FILL, _LINE = 110, 255
# A wrong pixel stands out from a photograph that is darkened elsewhere, whatever the eye.
WRONG: Colour = (255, 214, 10)
_DARKENED = (16, 18, 22, 140)
_STRIPES = ((70, 74, 82, 235), (120, 125, 134, 235))
_STRIPE = 8


class Panels(NamedTuple):
    """One image's pictures as data URIs; the layers are transparent where nothing is to be said.

    Attributes:
      photograph: WebP.
      label, prediction, error: PNG layers of the photograph's size.
    """

    photograph: str
    label: str
    prediction: str
    error: str


def draw_all(pictures: Sequence[Picture], palette: Sequence[Colour | None]) -> list[Panels]:
    """Draws images as finely as `BUDGET` allows."""
    drawn: list[Panels] = []
    for side, quality in _ATTEMPTS:
        drawn = [draw(picture, palette, side, quality) for picture in pictures]
        if sum(len(uri) for panels in drawn for uri in panels) <= BUDGET:
            break
    return drawn


def draw(
    picture: Picture, palette: Sequence[Colour | None], side: int = SIDE, quality: int = 85
) -> Panels:
    """Draws one image.

    Args:
      picture: what to draw.
      palette: a colour a class; None leaves a class clear.
      side: about how long the longer side gets; a small image is enlarged by a whole factor.
      quality: of the photograph, 0 to 100.
    """
    photograph = displayable(picture.image)
    resize = _resizing(picture.label.shape, side)
    label, prediction = resize(picture.label), resize(picture.prediction)
    height, width = label.shape
    enlarged = height > picture.label.shape[0]
    photograph = cv2.resize(
        photograph, (width, height), interpolation=cv2.INTER_CUBIC if enlarged else cv2.INTER_AREA
    )
    return Panels(
        _webp(photograph, quality),
        _png(_tint(label, palette, label == IGNORE)),
        _png(_tint(prediction, palette, np.zeros_like(label, bool))),
        _png(_mistakes(label, prediction)),
    )


def _resizing(shape: tuple[int, ...], side: int) -> Callable[[np.ndarray], np.ndarray]:
    """Enlarges or reduces masks [H, W]; each pixel of the result is one of the mask's."""
    longest = max(shape)
    factor = max(1, side // longest)
    step = max(1, -(-longest // side))

    middles = [np.minimum(np.arange(0, extent, step) + step // 2, extent - 1) for extent in shape]

    def resize(mask: np.ndarray) -> np.ndarray:
        return mask[np.ix_(*middles)].repeat(factor, axis=0).repeat(factor, axis=1)

    return resize


def _tint(mask: np.ndarray, palette: Sequence[Colour | None], ignored: np.ndarray) -> np.ndarray:
    """RGBA, uint8 [H, W, 4]: class colours with a line around each region, stripes on `ignored`."""
    layer = np.zeros((*mask.shape, 4), np.uint8)
    border = borders(mask)
    for class_id, colour in enumerate(palette):
        if colour is not None:
            inside = mask == class_id
            layer[inside] = (*colour, _FILL)
            layer[inside & border] = (*colour, _LINE)
    layer[ignored] = _striped(mask.shape)[ignored]
    return layer


def _mistakes(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """RGBA: wrong pixels bright, right ones dark, ignored ones striped."""
    layer = np.empty((*label.shape, 4), np.uint8)
    layer[:] = _DARKENED
    layer[label != prediction] = (*WRONG, 255)
    ignored = label == IGNORE
    layer[ignored] = _striped(label.shape)[ignored]
    return layer


def _striped(shape: tuple[int, ...]) -> np.ndarray:
    rows, columns = np.indices(shape[:2])
    return np.array(_STRIPES, np.uint8)[(rows + columns) // _STRIPE % 2]


def _webp(pixels: np.ndarray, quality: int) -> str:
    return _encoded(".webp", pixels[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, quality])


def _png(pixels: np.ndarray) -> str:
    return _encoded(".png", pixels[..., [2, 1, 0, 3]], [cv2.IMWRITE_PNG_COMPRESSION, 6])


def _encoded(suffix: str, pixels: np.ndarray, options: list[int]) -> str:
    done, encoded = cv2.imencode(suffix, np.ascontiguousarray(pixels), options)
    if not done:
        raise ValueError(f"an image of shape {pixels.shape} cannot be written as {suffix}")
    kind = suffix.removeprefix(".")
    return f"data:image/{kind};base64,{base64.b64encode(encoded.tobytes()).decode('ascii')}"
