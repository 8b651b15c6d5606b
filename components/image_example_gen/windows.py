"""Reads rectangles of large TIFF files: only the tiles or strips that a rectangle touches.

A tile or strip is a segment here, as in TIFF's own words. How many bytes one unpacks to is known
before it is decoded, so that memory is bounded by rectangle and segment, whatever the file claims.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from components.errors import BadFileError
from components.image_example_gen.sources.contract import Box

LARGE = 2**24
"""Pixels (4096 x 4096) past which an image is read piece by piece, where its format allows it."""

JPEG = 7
"""TIFF's number of the compression, after its second technical note."""

_NONE = 1
# Decoders that fill a buffer of the size that the segment must have: LZW, deflate, PackBits, LZMA,
# Zstandard. JPEG's says its size first. The others could unpack to anything.
_BOUNDED = {_NONE, 5, 8, 32773, 32946, 34925, 50000, JPEG}


class Extent(NamedTuple):
    """How large an image is, by its header alone.

    Attributes:
      height: in pixels, as the image is read.
      width: likewise.
      in_windows: whether a part of it can be read without the rest.
    """

    height: int
    width: int
    in_windows: bool


def allowed(page: Any) -> bool:
    """Whether `read` can read a page, a `tifffile.TiffPage`, in bounded memory."""
    if page.imagedepth != 1 or page.compression not in _BOUNDED or page.dtype is None:
        return False
    if _rows_by_offset(page):
        return True
    height, width = _segment(page)
    return bool(height * width <= LARGE)


def check_complete(page: Any, size: int) -> None:
    """Raises BadFileError where a page's segments are not all in a file of `size` bytes."""
    expected = _planes(page) * len(_grid(page)[0]) * len(_grid(page)[1])
    offsets = np.asarray(page.dataoffsets, np.int64)
    counts = np.asarray(page.databytecounts, np.int64)
    if len(offsets) < expected or len(counts) < expected:
        raise BadFileError(f"corrupt TIFF: {len(offsets)} of {expected} tiles or strips are named")
    missing = int((offsets + counts > size).sum())
    if missing:
        raise BadFileError(
            f"truncated TIFF: {missing} of {expected} tiles or strips end after the file's "
            f"{size} bytes"
        )


def read(page: Any, box: Box) -> np.ndarray:
    """The pixels of a rectangle.

    Args:
      page: a `tifffile.TiffPage` that is `allowed`, of an open file.
      box: within the page.

    Returns:
      [h, w], [h, w, samples] or [samples, h, w], with the axes and the dtype of `page.asarray()`.

    Raises:
      BadFileError: a segment unpacks to more than it may.
      Exception: whatever tifffile raises of a damaged segment.
    """
    samples = 1 if page.planarconfig == 2 else page.samplesperpixel
    pixels = np.full(
        (_planes(page), *box.shape, samples), page.nodata, np.dtype(page.dtype).newbyteorder("=")
    )
    parts = _rows(page, box, samples) if _rows_by_offset(page) else _segments(page, box)
    for plane, top, left, part in parts:
        bottom, right = top + part.shape[0], left + part.shape[1]
        here = Box(
            max(top, box.top), max(left, box.left), min(bottom, box.bottom), min(right, box.right)
        )
        pixels[plane, here.top - box.top : here.bottom - box.top][
            :, here.left - box.left : here.right - box.left
        ] = part[here.top - top : here.bottom - top, here.left - left : here.right - left]
    if _planes(page) > 1:
        return pixels[..., 0]
    return pixels[0] if samples > 1 else pixels[0, ..., 0]


def stored_box(box: Box, size: tuple[int, int], orientation: int) -> Box:
    """Where a box of an image that `decoders.upright` has turned lies in what the file stores.

    Args:
      box: of the upright image.
      size: (height, width) of the upright image.
      orientation: 1 to 8.
    """
    top, left, bottom, right = box
    if orientation in (2, 3, 6, 7):
        left, right = size[1] - right, size[1] - left
    if orientation in (3, 4, 7, 8):
        top, bottom = size[0] - bottom, size[0] - top
    return (
        Box(left, top, right, bottom)
        if orientation in (5, 6, 7, 8)
        else Box(top, left, bottom, right)
    )


def _segment(page: Any) -> tuple[int, int]:
    """Height and width of a segment."""
    if page.is_tiled:
        return page.tilelength, page.tilewidth
    return min(page.rowsperstrip, page.imagelength), page.imagewidth


def _grid(page: Any) -> tuple[range, range]:
    """Where segments begin, down and across."""
    height, width = _segment(page)
    return range(0, page.imagelength, height), range(0, page.imagewidth, width)


def _planes(page: Any) -> int:
    return int(page.samplesperpixel) if page.planarconfig == 2 else 1


def _rows_by_offset(page: Any) -> bool:
    """Whether rows lie in the file as they are: often all in one strip, too large to be read."""
    return bool(
        page.compression == _NONE
        and not page.is_tiled
        and page.fillorder == 1
        and page.bitspersample in (8, 16, 32, 64)
        and page.predictor == 1
    )


_Part = tuple[int, int, int, np.ndarray]
"""Plane, first row, first column, and pixels [h, w, samples] of what was read."""


def _segments(page: Any, box: Box) -> Iterator[_Part]:
    """Decodes the segments that a box touches."""
    height, width = _segment(page)
    downs, acrosses = _grid(page)
    options: dict[str, Any] = {}
    if page.compression == JPEG:
        options = {"jpegtables": page.jpegtables, "jpegheader": page.jpegheader}
    for plane in range(_planes(page)):
        for down in range(box.top // height, -(-box.bottom // height)):
            for across in range(box.left // width, -(-box.right // width)):
                index = (plane * len(downs) + down) * len(acrosses) + across
                data = _bytes(page, page.dataoffsets[index], page.databytecounts[index])
                if page.compression == JPEG and data is not None:
                    _refuse_large_jpeg(data, page.jpegheader, height, width)
                pixels = page.decode(data, index, **options)[0]
                if pixels is not None:
                    yield plane, downs[down], acrosses[across], pixels[0]


def _rows(page: Any, box: Box, samples: int) -> Iterator[_Part]:
    """Reads the rows of a box, which lie uncompressed in strips."""
    stored = np.dtype(page.parent.byteorder + np.dtype(page.dtype).char)
    row = page.imagewidth * samples * stored.itemsize
    height, _ = _segment(page)
    downs, _ = _grid(page)
    for plane in range(_planes(page)):
        for down in range(box.top // height, -(-box.bottom // height)):
            first, last = max(box.top, downs[down]), min(box.bottom, downs[down] + height)
            index = plane * len(downs) + down
            if not page.databytecounts[index]:
                continue
            skipped = (first - downs[down]) * row
            data = _bytes(page, page.dataoffsets[index] + skipped, (last - first) * row)
            rows = np.frombuffer(data or b"", stored).reshape(
                last - first, page.imagewidth, samples
            )
            yield plane, first, 0, rows


def _bytes(page: Any, offset: int, count: int) -> bytes | None:
    """A segment as it is stored; None where the file leaves it out, as GDAL's sparse files do."""
    if not count or not offset:
        return None
    file = page.parent.filehandle
    file.seek(offset)
    data: bytes = file.read(count)
    if len(data) < count:
        raise BadFileError("truncated TIFF: a tile or strip ends after the file")
    return data


def _refuse_large_jpeg(data: bytes, header: bytes | None, height: int, width: int) -> None:
    """A JPEG stream may claim another size than the tile that it is, and its decoder obeys it."""
    stream, at = (header or b"") + data, 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        kind, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        if kind == 0xFF:  # any number of them may stand before a marker
            at += 1
            continue
        # Start of frame: all of 0xC0 to 0xCF but tables (C4, CC) and an extension (C8).
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            claimed = struct.unpack(">HH", stream[at + 5 : at + 9])
            if claimed[0] > height or claimed[1] > width:
                raise BadFileError(
                    f"corrupt TIFF: a JPEG of {claimed[1]}x{claimed[0]} pixels in a tile of "
                    f"{width}x{height}"
                )
            return
        at += 2 + length
    raise BadFileError("corrupt TIFF: a tile holds no JPEG")
