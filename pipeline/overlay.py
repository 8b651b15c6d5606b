"""Lays class colours over an image, for people to look at."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), told apart by the colour-blind too,
# without its black.
_PALETTE = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7")
_GOLDEN_ANGLE = 0.381966
_OPACITY = 0.4
# Of the pixels darker and brighter than this share, none decides how an image is stretched.
_TAILS = (0.5, 99.5)

BACKGROUND = "background"
"""A class of this name is left clear unless it has a colour of its own."""


def colours(classes: Sequence[str], chosen: Mapping[str, str]) -> list[tuple[int, int, int] | None]:
    """A colour (red, green, blue) for each class; None leaves its pixels as they are.

    Args:
      classes: the class names.
      chosen: colours as #rrggbb, for some of them.
    """
    found: list[tuple[int, int, int] | None] = []
    taken = 0
    for name in classes:
        if name in chosen:
            found.append(_rgb(chosen[name]))
        elif name.lower() == BACKGROUND:
            found.append(None)
        else:
            found.append(_nth(taken))
            taken += 1
    return found


def overlay(
    image: np.ndarray, mask: np.ndarray, palette: Sequence[tuple[int, int, int] | None]
) -> np.ndarray:
    """An image tinted by class, each region with a line around it.

    Args:
      image: [H, W, C] of uint8, or of another dtype, which is stretched to 8 bits.
      mask: class ids [H, W]; one that `palette` does not have is left clear.
      palette: what `colours` returned.

    Returns:
      uint8 [H, W, 3]; red, green, blue.
    """
    seen = _displayable(image).astype(np.float32)
    border = _borders(mask)
    for class_id, colour in enumerate(palette):
        if colour is None:
            continue
        inside = mask == class_id
        tint = np.array(colour, np.float32)
        seen[inside] = (1 - _OPACITY) * seen[inside] + _OPACITY * tint
        seen[inside & border] = tint
    return np.rint(seen).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Writes uint8 [H, W] or [H, W, 3] (red, green, blue).

    Raises:
      OSError: it cannot be written.
    """
    if pixels.ndim == 3:
        pixels = pixels[..., ::-1]  # OpenCV wants blue first
    done, encoded = cv2.imencode(".png", pixels)
    if not done:
        raise OSError(f"{path} cannot be encoded")
    path.write_bytes(encoded.tobytes())


def _displayable(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]."""
    if image.dtype != np.uint8:
        low, high = (float(np.percentile(image, tail)) for tail in _TAILS)
        stretched = (image.astype(np.float32) - low) / max(high - low, 1e-6)
        image = np.rint(np.clip(stretched, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(image[..., :3] if image.shape[2] > 2 else image[..., [0, 0, 0]])


def _borders(mask: np.ndarray) -> np.ndarray:
    """Where a pixel's right or lower neighbour, or the one it is that of, has another class."""
    border = np.zeros(mask.shape, bool)
    across, down = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    border[:, 1:] |= across
    border[:, :-1] |= across
    border[1:] |= down
    border[:-1] |= down
    return border


def _nth(place: int) -> tuple[int, int, int]:
    if place < len(_PALETTE):
        return _rgb(_PALETTE[place])
    # Hues a golden angle apart stay apart however many there are.
    red, green, blue = colorsys.hsv_to_rgb(place * _GOLDEN_ANGLE % 1, 0.75, 0.9)
    return round(red * 255), round(green * 255), round(blue * 255)


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    return red, green, blue
