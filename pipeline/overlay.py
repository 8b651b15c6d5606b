"""Lays class colours over an image, for people to look at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from components.display import Colour, borders, displayable

_OPACITY = 0.4


def overlay(image: np.ndarray, mask: np.ndarray, palette: Sequence[Colour | None]) -> np.ndarray:
    """An image tinted by class, each region with a line around it.

    Args:
      image: [H, W, C] of uint8, or of another dtype, which is stretched to 8 bits.
      mask: class ids [H, W]; one that `palette` does not have is left clear.
      palette: what `components.display.colours` returned.

    Returns:
      uint8 [H, W, 3]; red, green, blue.
    """
    seen = displayable(image).astype(np.float32)
    border = borders(mask)
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
