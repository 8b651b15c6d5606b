"""What a few files of a folder look like: masks are flat where photographs are not."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import decode, pieces
from components.image_example_gen.sources.contract import Box, Reference

_FILES = 6


class Look(NamedTuple):
    """Medians over some files.

    Attributes:
      edges: share of pixels that differ from their right neighbour.
      values: different values or colours in a file.
      alike: share of pixels that are the same in the next file; 0 where sizes differ.
    """

    edges: float
    values: float
    alike: float


def look(files: Sequence[Path]) -> Look | None:
    """At a few files, evenly spread; None where none can be read."""
    step = max(1, len(files) // _FILES)
    pictures = []
    for file in files[::step][:_FILES]:
        try:
            pictures.append(_picture(file))
        except BadFileError:
            continue
    if not pictures:
        return None
    edges = [(one[:, 1:] != one[:, :-1]).any(axis=2).mean() for one in pictures if one.shape[1] > 1]
    values = [_distinct(one) for one in pictures]
    alike = [
        (one == other).all(axis=2).mean() if one.shape == other.shape else 0.0
        for one, other in pairwise(pictures)
    ]
    return Look(*(float(np.median(one)) if one else 0.0 for one in (edges, values, alike)))


def _picture(file: Path) -> np.ndarray:
    """An image, or the middle of one that is too large to be read whole."""
    extent = pieces.large(Reference(str(file)))
    if extent is None:
        return decode.decode_image(file)
    top, left = extent.height // 2, extent.width // 2
    box = Box(top, left, min(top + _SEEN, extent.height), min(left + _SEEN, extent.width))
    return decode.decode_image(file, box=box)


_SEEN = 1024


def _distinct(picture: np.ndarray) -> int:
    """Different values, or colours, in [H, W, C]; of more than three channels, in the first."""
    numbers = picture[..., 0]
    if picture.dtype == np.uint8 and picture.shape[2] >= 3:
        numbers = picture[..., :3].astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    return len(np.unique(numbers))


def masks_of(images: Look | None, masks: Look | None) -> bool:
    """Whether files that look like these would be masks of those images."""
    if images is None or masks is None:
        return False
    return masks.values < images.values and masks.values <= 256 and 2 * masks.edges < images.edges


def region_beside(masks: Look | None, region: Look | None) -> bool:
    """Whether the second look like regions in which masks of the first count.

    A camera's field of view is one plain shape and hardly changes from image to image.
    """
    if masks is None or region is None or region.values > 2 or region.alike < _STEADY:
        return False
    return 4 * region.edges < masks.edges and region.alike > masks.alike


_STEADY = 0.9
