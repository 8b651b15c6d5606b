"""Class colours, and images as a screen can show them: for overlays and for the report."""

from __future__ import annotations

import colorsys
import itertools
from collections.abc import Mapping, Sequence

import numpy as np

Colour = tuple[int, int, int]
"""Red, green, blue."""

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), told apart by the colour-blind too,
# without its black.
_PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_GOLDEN_ANGLE = 0.381966

TAILS = (0.5, 99.5)
"""Percentiles: no pixel darker or brighter than these decides how an image is stretched."""

BACKGROUND = "background"
"""A class of this name is left clear unless it has a colour of its own."""


def colours(classes: Sequence[str], chosen: Mapping[str, str]) -> list[Colour | None]:
    """A colour for each class; None leaves its pixels as they are.

    Args:
      classes: the class names.
      chosen: colours as #rrggbb, for some of them.
    """
    given = {name: _rgb(chosen[name]) for name in classes if name in chosen}
    # One that somebody chose is not given to another class.
    others = (colour for colour in map(_nth, itertools.count()) if colour not in given.values())
    return [
        given.get(name) or (None if name.lower() == BACKGROUND else next(others))
        for name in classes
    ]


def displayable(image: np.ndarray) -> np.ndarray:
    """An image as uint8 [H, W, 3].

    Args:
      image: [H, W, C] of uint8, or of another dtype, which is stretched between `TAILS`. Of three
        channels and more the first three are shown, of fewer the first.
    """
    image = image[..., : 3 if image.shape[2] > 2 else 1]
    if image.dtype != np.uint8:
        low, high = (float(np.percentile(image, tail)) for tail in TAILS)
        stretched = (image.astype(np.float32) - low) / max(high - low, 1e-6)
        image = np.rint(np.clip(stretched, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def borders(mask: np.ndarray) -> np.ndarray:
    """Where a pixel's right or lower neighbour, or the one it is that of, has another class.

    Args:
      mask: class ids [H, W].

    Returns:
      bool [H, W].
    """
    border = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return border


def _nth(place: int) -> Colour:
    if place < len(_PALETTE):
        return _rgb(_PALETTE[place])
    # Hues a golden angle apart stay apart however many there are.
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1, 0.75, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _rgb(colour: str) -> Colour:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
