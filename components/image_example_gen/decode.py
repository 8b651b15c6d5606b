"""Image files -> pixels. A file either decodes in full or is refused with a reason.

Each decoder is chosen for being strict and silent: OpenCV fills the rest of a truncated JPEG with
grey and lets libpng write to the terminal, so it is not used here.

    PNG                 imagecodecs (keeps 16 bits), Pillow for palettes
    JPEG                imagecodecs, whose pixels equal those of Pillow and of
                        tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE"); Pillow for unusual ones
    GIF, BMP            Pillow
    TIFF                tifffile

Pixels are turned as EXIF, or TIFF's own tag, says: those of masks too, by what their own file says.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import decoders, tiff, windows
from components.image_example_gen.decoders import Pixels
from components.image_example_gen.sources.contract import Box
from components.places import opened

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", *tiff.SUFFIXES))
"""Endings, in lower case, of the files that can be decoded."""

# Said by name, since "not an image" would be wrong of them.
_UNSUPPORTED = {
    b"\x00\x00\x00\x0cjP  ": "JPEG 2000",
    b"v/1\x01": "OpenEXR",
    b"\x93NUMPY": "NumPy",
    b"\x89HDF": "HDF5",
    b"%PDF": "PDF",
    b"8BPS": "Photoshop",
}

_HEAD = 64


def decode_image(
    path: Path | str | bytes, page: int | None = None, box: Box | None = None
) -> np.ndarray:
    """Reads an image.

    Args:
      path: a PNG, JPEG, BMP, GIF or TIFF file, as for `places.place`, or the bytes of one; its
        content counts, not its ending.
      page: of a multi-page TIFF, from 0; None for a file of one image.
      box: the part that is wanted; where `extent` says so, no more than that is decoded.

    Returns:
      [H, W, C] of the file's dtype; palettes are applied, C counts alpha.

    Raises:
      BadFileError: the file cannot be decoded in full.
    """
    array, palette, _ = _decode(path, page, box)
    if palette is not None:
        array = _painted(array, palette[:, :1] if _is_grey(palette) else palette)
    return array if array.ndim == 3 else array[..., np.newaxis]


def decode_mask(
    path: Path | str | bytes, page: int | None = None, box: Box | None = None
) -> np.ndarray:
    """Reads the values of a mask; of a palette picture the indices, not the colours.

    Args:
      path: as for `decode_image`.
      page: as for `decode_image`.
      box: as for `decode_image`.

    Returns:
      [H, W] of an integer dtype.

    Raises:
      BadFileError: the file cannot be decoded in full, or holds colours.
    """
    array = decode_values_or_colours(path, page, box)
    if array.ndim == 3:
        raise BadFileError("the mask holds colours; it must hold one class value a pixel")
    return array


def decode_values_or_colours(
    path: Path | str | bytes, page: int | None = None, box: Box | None = None
) -> np.ndarray:
    """As `decode_mask`; but a file that holds colours gives these, uint8 [H, W, 3]."""
    array, palette, grey_by_palette = _decode(path, page, box)
    if palette is not None and grey_by_palette and _is_grey(palette):
        array = _painted(array, palette[:, 0])
    if array.ndim == 3:
        array = _without_alpha(array)
        if array.shape[2] > 2 and (array != array[..., :1]).any():
            return _eight_bits(array[..., :3])
        array = array[..., 0]
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        with np.errstate(all="ignore"):  # signalling NaN
            whole = np.isfinite(array) & (array == np.floor(array)) & (abs(array) < _EXACT)
        if not whole.all():
            raise BadFileError(f"the mask holds {array.dtype} fractions, not class values")
        return array.astype(np.int64)
    return array


# The first whole number that float64 does not tell from its neighbour.
_EXACT = 2**53


def decode_colours(path: Path | str, page: int | None = None, box: Box | None = None) -> np.ndarray:
    """Reads the colours of a mask: a palette is applied, grey is a colour too.

    Returns:
      uint8 [H, W, 3]; what is wholly transparent is black.

    Raises:
      BadFileError: the file cannot be decoded in full, or its pixels are not of 8 or 16 bits.
    """
    array = _without_alpha(decode_image(path, page, box))
    return _eight_bits(array[..., :3] if array.shape[2] > 2 else np.repeat(array[..., :1], 3, 2))


def page_count(path: Path) -> int:
    """Pages of a TIFF file; a pyramid's smaller levels are none.

    Raises:
      BadFileError: not a TIFF file, or a damaged one.
    """
    with _opened(path) as file:
        if not _is_tiff(file.read(_HEAD)):
            raise BadFileError("not a TIFF file")
        return tiff.page_count(_from_its_start(file))


def extent(path: Path | bytes, page: int | None = None) -> windows.Extent | None:
    """The size of a TIFF file's image, and whether it is read in windows; None of other formats.

    Raises:
      BadFileError: the file is damaged, or lacks some of its windows.
    """
    with _opened(path) as file:
        return tiff.extent(_from_its_start(file), page) if _is_tiff(file.read(_HEAD)) else None


def _decode(path: Path | str | bytes, page: int | None, box: Box | None) -> Pixels:
    with _opened(path) as file:
        tiff_by_name = not isinstance(path, bytes) and str(path).lower().endswith(tiff.SUFFIXES)
        data = file.read(_HEAD if tiff_by_name else _AT_ONCE)
        # Nothing is read whole but what can be decoded; and of a TIFF no more than is wanted.
        if _is_tiff(data):
            return tiff.decode(_from_its_start(file), page, box)
        if page is not None:
            raise BadFileError("not a TIFF file")
        decoder = _decoder(data[:_HEAD])
        rest = file.read()
    return tiff.cropped(decoder(data + rest), box)


# Most files are no larger.
_AT_ONCE = 1 << 20


def _decoder(head: bytes) -> Callable[[bytes], Pixels]:
    """What decodes a file that begins so.

    Raises:
      BadFileError: nothing does.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return decoders.png
    if head.startswith(b"\xff\xd8\xff"):
        return decoders.jpeg
    if head.startswith((b"GIF87a", b"GIF89a")):
        return decoders.gif
    if head.startswith(b"BM"):
        return decoders.bmp
    raise BadFileError(_what_it_is(head))


def _is_tiff(head: bytes) -> bool:
    return head[:4] in tiff.MAGIC


@contextmanager
def _opened(path: Path | str | bytes) -> Iterator[BinaryIO]:
    """An opened file, or a file's content."""
    if isinstance(path, bytes):
        yield io.BytesIO(path)
        return
    try:
        with opened(str(path)) as file:
            yield file
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from error


def _from_its_start(file: BinaryIO) -> BinaryIO:
    """The file as tifffile takes it; a buffer, since it reads in small pieces."""
    file.seek(0)
    return io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file


def _what_it_is(head: bytes) -> str:
    if not head:
        return "empty file"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP is not supported; save it as PNG"
    for magic, name in _UNSUPPORTED.items():
        if head.startswith(magic):
            return f"{name} is not supported; save it as PNG or TIFF"
    text = bytes(range(32, 127)) + b"\t\r\n"
    if all(byte in text for byte in head[:16]) or head.startswith(b"\xef\xbb\xbf"):
        return "not an image: it begins with text"
    if not any(head):
        return "not an image: it begins with zeros"
    return "not an image: its first bytes are of no known format"


def _is_grey(palette: np.ndarray) -> bool:
    return bool((palette == palette[:, :1]).all())


def _painted(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    if int(indices.max()) >= len(palette):
        raise BadFileError("its palette lacks a colour that its pixels use")
    return palette[indices]


def _without_alpha(array: np.ndarray) -> np.ndarray:
    """[H, W, C] without alpha; a wholly transparent pixel of a mask has no colour, so it is 0."""
    if array.shape[2] not in (2, 4):
        return array
    clear = array[..., -1] == 0
    array = array[..., :-1]
    return np.where(clear[..., np.newaxis], 0, array).astype(array.dtype) if clear.any() else array


def _eight_bits(colours: np.ndarray) -> np.ndarray:
    if colours.dtype == np.uint16:
        return (colours >> 8).astype(np.uint8)
    if colours.dtype != np.uint8:
        raise BadFileError(f"the mask holds {colours.dtype} colours; save it as 8 bit")
    return colours
