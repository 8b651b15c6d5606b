"""TIFF files that are far larger than they are."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import tifffile


def repeated_tile(path: Path, tile: np.ndarray, down: int, across: int) -> None:
    """A TIFF whose tiles are all the same one, which is stored once."""
    small = io.BytesIO()
    tifffile.imwrite(small, tile, tile=tile.shape, compression="deflate", metadata=None)
    small.seek(0)
    with tifffile.TiffFile(small) as opened:
        data = small.getvalue()[opened.pages[0].dataoffsets[0] :]
        data = data[: opened.pages[0].databytecounts[0]]
    count = down * across
    entries = [
        (256, 4, 1, tile.shape[1] * across),
        (257, 4, 1, tile.shape[0] * down),
        (258, 3, 1, 8),
        (259, 3, 1, 8),
        (262, 3, 1, 1),
        (277, 3, 1, 1),
        (322, 4, 1, tile.shape[1]),
        (323, 4, 1, tile.shape[0]),
    ]
    lists = 8 + 2 + 12 * (len(entries) + 2) + 4
    first = lists + 8 * count
    entries += [(324, 4, count, lists), (325, 4, count, lists + 4 * count)]
    head = b"II*\0" + (8).to_bytes(4, "little") + len(entries).to_bytes(2, "little")
    for tag, kind, number, value in entries:
        head += b"".join(
            part.to_bytes(size, "little")
            for part, size in ((tag, 2), (kind, 2), (number, 4), (value, 4))
        )
    head += bytes(4)
    head += np.full(count, first, "<u4").tobytes() + np.full(count, len(data), "<u4").tobytes()
    path.write_bytes(head + data)
