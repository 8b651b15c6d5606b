"""Tiles of a whole image, as ingestion cuts them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from components.image_example_gen.tiling import cut_labels, cut_pixels, grid
from components.records import IGNORE


def tiles(
    image: np.ndarray, mask: np.ndarray, tile: int, margin: int
) -> Iterator[tuple[tuple[int, int], np.ndarray, np.ndarray]]:
    """Each tile of an image [H, W, C] and its class ids [H, W]: (y, x), pixels and labels."""
    for start in grid(*mask.shape, tile):
        yield (
            start,
            cut_pixels(image, (0, 0), mask.shape, start, tile, margin),
            cut_labels(mask, (0, 0), start, tile, margin, IGNORE),
        )
