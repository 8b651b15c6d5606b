"""TIFF files -> pixels: planes and pages in any order, OME-TIFF and GeoTIFF with their pyramids."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import windows
from components.image_example_gen.decoders import (
    Pixels,
    damaged,
    refuse_claim,
    refuse_size,
    upright,
)
from components.image_example_gen.sources.contract import Box

SUFFIXES = (".tif", ".tiff")
"""Endings, in lower case, of such files."""

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""The first four bytes of a TIFF or BigTIFF file."""

# It warns of odd tags through the root logger, which would reach the terminal.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


def page_count(file: BinaryIO) -> int:
    """Images in a TIFF file; smaller copies of them, and masks, are none.

    Raises:
      BadFileError: a damaged file.
    """
    import tifffile

    try:
        with tifffile.TiffFile(file) as opened:
            return len(images(opened))
    except BadFileError:
        raise
    except Exception as error:
        raise damaged("TIFF", error) from error


def extent(file: BinaryIO, number: int | None) -> windows.Extent:
    """The size of an image of a TIFF file, and whether it is read in windows.

    Args:
      file: opened.
      number: of the image, from 0; None for a file of one.

    Raises:
      BadFileError: a damaged file, or one that is read in windows and lacks some.
    """
    import tifffile

    try:
        with tifffile.TiffFile(file) as opened:
            pages = images(opened)
            page = _full(pages[number or 0])
            size = _size(page)
            in_windows = (number is not None or len(pages) == 1) and windows.allowed(page)
            if in_windows:
                windows.check_complete(page, opened.filehandle.size)
            return windows.Extent(*size, in_windows)
    except BadFileError:
        raise
    except Exception as error:
        raise damaged("TIFF", error) from error


def decode(file: BinaryIO, number: int | None, box: Box | None = None) -> Pixels:
    """One image of a TIFF file.

    Args:
      file: opened.
      number: of the image, from 0; None for a file of one.
      box: the part that is wanted; no more than that is decoded, where windows allow it.

    Raises:
      BadFileError: it cannot be decoded in full, or `number` is None and there are several.
    """
    import tifffile

    try:
        with tifffile.TiffFile(file) as opened:
            pages = images(opened)
            if number is not None or len(pages) == 1:
                return _page(pages[number or 0], box)
            channels = _channels(opened)
            if channels is None:
                raise BadFileError(
                    f"a TIFF of {len(pages)} pages; data.format: stack reads such files page by "
                    "page, with masks of as many"
                )
            return cropped(Pixels(channels), box)
    except BadFileError:
        raise
    except Exception as error:
        raise damaged("TIFF", error) from error


def images(opened: Any) -> Sequence[Any]:
    """The pages of an opened TiffFile that are images of their own, at full size.

    A pyramid's smaller levels and GeoTIFF's transparency masks are marked as what they are (TIFF 6,
    NewSubfileType); whole-slide scanners leave that out, and their levels are found by tifffile. A
    file of more than 16 pages is a stack, and all of them are images.
    """
    # Looking at every page for each one that is read would take hours of a long stack.
    if len(opened.pages) == 1 or len(opened.pages) > _MOST_LEVELS:
        return opened.pages  # type: ignore[no-any-return]
    levels = opened.series[0].levels if opened.series else []
    smaller = {page.index for level in levels[1:] for page in level.pages if page is not None}
    whole = [
        page
        for page in (_full(page) for page in opened.pages)
        if not page.is_reduced and not page.is_mask and page.index not in smaller
    ]
    if not whole:
        raise BadFileError("a TIFF without an image of full size")
    return whole


_MOST_LEVELS = 16


def _full(page: Any) -> Any:
    """The page itself, since tifffile describes all but the first in short."""
    return page.aspage() if hasattr(page, "aspage") else page


def cropped(pixels: Pixels, box: Box | None) -> Pixels:
    """The part of an image that a box is."""
    if box is None:
        return pixels
    return pixels._replace(array=pixels.array[box.top : box.bottom, box.left : box.right])


def _size(page: Any) -> tuple[int, int]:
    """Height and width of a page as it is to be looked at."""
    stored = page.imagelength, page.imagewidth
    return stored[::-1] if page.tags.valueof(_ORIENTATION, 1) in (5, 6, 7, 8) else stored


def _page(page: Any, box: Box | None) -> Pixels:
    import tifffile

    page = _full(page)
    in_windows = box is not None and windows.allowed(page)
    if not in_windows:
        refuse_size(page.imagelength, page.imagewidth, page.samplesperpixel)
        _refuse_claim(page)
    if page.imagedepth != 1:
        raise BadFileError("a TIFF of a volume; save each slice as a page")
    if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
        raise BadFileError("a CMYK TIFF; save it as grey or RGB")
    orientation = page.tags.valueof(_ORIENTATION, 1)
    if box is not None and in_windows:
        array = windows.read(page, windows.stored_box(box, _size(page), orientation))
    elif page.compression == windows.JPEG:
        # tifffile would obey whatever size a tile's own header claims.
        array = windows.read(page, Box(0, 0, page.imagelength, page.imagewidth))
    else:
        array = page.asarray()
    if page.axes == "SYX":
        array = np.moveaxis(array, 0, -1)
    if not in_windows and array.shape[:2] != (page.imagelength, page.imagewidth):
        raise BadFileError("corrupt TIFF: it lacks pixels that it claims")
    palette = None
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        colours = page.colormap
        if colours is None or colours.ndim != 2 or len(colours) != 3:
            raise BadFileError("corrupt TIFF: its palette is damaged")
        palette = (colours >> 8).astype(np.uint8).T
    elif page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
        array = ~array
    # Bilevel pictures read as black and white, as in every other format. What is 1 is white, even
    # where a file says the contrary: tifffile writes that of every array of booleans.
    if array.dtype == bool:
        array = array.astype(np.uint8) * 255
    if orientation != 1:
        array = upright(array, orientation)
    return cropped(Pixels(array, palette), None if in_windows else box)


_ORIENTATION = 274

# Samples that a byte of each compression can hold at most: none, LZW, deflate, JPEG, PackBits, LZMA
# (matches of 273 bytes, each a dozen decisions of 0.02 bits), Zstandard (blocks of one value).
_MOST_A_BYTE = {
    1: 1,
    5: 4096,
    6: 1024,
    7: 1024,
    8: 1032,
    32773: 64,
    32946: 1032,
    34925: 16384,
    34926: 32768,
    50000: 32768,
}


def _refuse_claim(page: Any) -> None:
    """Raises BadFileError where a page has fewer bytes than its pixels need; none are read then."""
    most = _MOST_A_BYTE.get(page.compression)
    if most is None:
        return
    stored = min(sum(page.databytecounts), page.parent.filehandle.size)
    samples = page.imagelength * page.imagewidth * page.samplesperpixel
    bits = page.bitspersample if isinstance(page.bitspersample, int) else 8
    refuse_claim("TIFF", page.imagelength, page.imagewidth, samples * bits, stored * 8 * most)


def _channels(opened: Any) -> np.ndarray | None:
    """[H, W, C] of a file that holds one image with a page a channel; None of another.

    OME-TIFF and ImageJ's say so. Time, depth and pages of no stated kind make it a stack.
    """
    series = opened.series[0]
    extents = dict(zip(series.axes, series.shape, strict=True))
    others = {axis for axis, extent in extents.items() if extent > 1} - set("YXCS")
    if len(opened.series) != 1 or others or extents.get("C", 1) < 2 or not {*"YX"} <= {*extents}:
        return None
    refuse_size(extents["Y"], extents["X"], extents["C"] * extents.get("S", 1))
    for page in series.pages:
        if page is None:
            raise BadFileError("truncated or corrupt TIFF: it lacks a page of a channel")
        _refuse_claim(_full(page))
    array = series.asarray()
    order = [series.axes.index(axis) for axis in "YXCS" if axis in extents]
    rest = [place for place, axis in enumerate(series.axes) if axis not in "YXCS"]
    array = np.transpose(array, [*order, *rest])
    return array.reshape(extents["Y"], extents["X"], -1)
