"""Image files -> pixels. A file either decodes in full or is refused with a reason.

Each decoder is chosen for being strict and silent: OpenCV fills the rest of a truncated JPEG with
grey and lets libpng write to the terminal, so it is not used here.

    PNG                 imagecodecs (keeps 16 bits), Pillow for palettes
    JPEG                Pillow, whose pixels equal tf.io.decode_jpeg(dct_method="INTEGER_ACCURATE")
    GIF, BMP            Pillow
    TIFF                tifffile
"""

from __future__ import annotations

import logging
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.errors import BadFileError

MAX_PIXELS = 2**28
"""Larger images are refused: a small file can claim a size that fills the memory."""

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff"))
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

# It warns of odd tags through the root logger, which would reach the terminal.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)


class Pixels(NamedTuple):
    """What a file holds: array [H, W] or [H, W, C], and its palette if array holds indices.

    Attributes:
      array: of the file's own dtype; colours in the order red, green, blue, alpha.
      palette: uint8 [entries, 3], or None.
      grey_by_palette: the format has no grey type, so that a grey palette means grey values.
    """

    array: np.ndarray
    palette: np.ndarray | None = None
    grey_by_palette: bool = False


def decode_image(path: Path, page: int | None = None) -> np.ndarray:
    """Reads an image.

    Args:
      path: a PNG, JPEG, BMP, GIF or TIFF file; its content counts, not its ending.
      page: of a multi-page TIFF, from 0; None for a file of one image.

    Returns:
      [H, W, C] of the file's dtype; palettes are applied, C counts alpha.

    Raises:
      BadFileError: the file cannot be decoded in full.
    """
    array, palette, _ = _decode(path, page)
    if palette is not None:
        if int(array.max()) >= len(palette):
            raise BadFileError("its palette lacks a colour that its pixels use")
        array = (palette[:, :1] if _is_grey(palette) else palette)[array]
    return array if array.ndim == 3 else array[..., np.newaxis]


def decode_mask(path: Path, page: int | None = None) -> np.ndarray:
    """Reads the values of a mask; of a palette picture the indices, not the colours.

    Args:
      path: as for `decode_image`.
      page: as for `decode_image`.

    Returns:
      [H, W] of an integer dtype.

    Raises:
      BadFileError: the file cannot be decoded in full, or holds colours.
    """
    array, palette, grey_by_palette = _decode(path, page)
    if palette is not None and grey_by_palette and _is_grey(palette):
        array = palette[:, 0][array]
    if array.ndim == 3:
        grey = array[..., 0]
        colours = array[..., :3] if array.shape[2] > 2 else array[..., :1]
        if (colours != grey[..., np.newaxis]).any():
            raise BadFileError("the mask holds colours; it must hold one class value a pixel")
        array = grey
    if array.dtype == bool:
        return array.astype(np.uint8)
    if not np.issubdtype(array.dtype, np.integer):
        if not (array == np.floor(array)).all():
            raise BadFileError(f"the mask holds {array.dtype} fractions, not class values")
        return array.astype(np.int64)
    return array


def page_count(path: Path) -> int:
    """Pages of a TIFF file.

    Raises:
      BadFileError: not a TIFF file, or a damaged one.
    """
    head = _head(path)
    if head[:4] not in _TIFF_MAGIC:
        raise BadFileError("not a TIFF file")
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            return len(tiff.pages)
    except Exception as error:
        raise _damaged("TIFF", error) from error


_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _decode(path: Path, page: int | None) -> Pixels:
    head = _head(path)
    if head[:4] in _TIFF_MAGIC:
        return _tiff(path, page)
    if page is not None:
        raise BadFileError("not a TIFF file")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(path.read_bytes())
    if head.startswith(b"\xff\xd8\xff"):
        return _jpeg(path)
    if head.startswith((b"GIF87a", b"GIF89a")):
        return _gif(path)
    if head.startswith(b"BM"):
        return _bmp(path)
    raise BadFileError(_what_it_is(head))


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror}") from error


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


def _damaged(kind: str, error: Exception) -> BadFileError:
    """Says whether a file ends early or is corrupt, from the decoder's own words."""
    words = str(error).split("\n")[0].strip(" .") or type(error).__name__
    early = ("truncated", "too small", "not enough", "failed to read", "unpack requires")
    short = any(word in words.lower() for word in early) or isinstance(error, EOFError)
    return BadFileError(f"{'truncated' if short else 'corrupt'} {kind}: {words}")


def _refuse_size(height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise BadFileError(
            f"claims {width}x{height} pixels; at most {MAX_PIXELS:,} are read, cut it in pieces"
        )
    if height * width == 0:
        raise BadFileError("an image without pixels")


def _is_grey(palette: np.ndarray) -> bool:
    return bool((palette == palette[:, :1]).all())


def _png(data: bytes) -> Pixels:
    chunks = _png_chunks(data)
    width, height, _, colour_type = struct.unpack(">IIBB", chunks["IHDR"][:10])
    _refuse_size(height, width)
    if colour_type == 3:
        return _palette_png(data)
    import imagecodecs

    try:
        return Pixels(imagecodecs.png_decode(data))
    except Exception as error:
        raise _damaged("PNG", error) from error


def _png_chunks(data: bytes) -> dict[str, bytes]:
    """The chunks of a PNG file that ends as it must; the decoders check their checksums.

    They do not all mind when the last chunks are missing, after the last pixel.
    """
    chunks: dict[str, bytes] = {}
    at = 8
    while "IEND" not in chunks:
        if at + 12 > len(data):
            raise BadFileError("truncated PNG: it has no end")
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            raise BadFileError("truncated PNG: it ends within its image data")
        kind = data[at + 4 : at + 8].decode("latin-1")
        if not chunks and (kind != "IHDR" or length != 13):
            raise BadFileError("corrupt PNG: it has no header")
        chunks[kind] = data[at + 8 : at + 8 + length] if kind == "IHDR" else b""
        at += 12 + length
    return chunks


def _palette_png(data: bytes) -> Pixels:
    import io

    from PIL import PngImagePlugin

    return _by_pillow("PNG", PngImagePlugin.PngImageFile, io.BytesIO(data))


def _jpeg(path: Path) -> Pixels:
    from PIL import JpegImagePlugin

    return _by_pillow("JPEG", JpegImagePlugin.JpegImageFile, path)


def _gif(path: Path) -> Pixels:
    from PIL import GifImagePlugin

    # Pillow does not miss the closing byte, and a GIF cut there may lack whole blocks.
    if b"\x3b" not in path.read_bytes()[-16:]:
        raise BadFileError("truncated GIF: it has no end")
    return _by_pillow("GIF", GifImagePlugin.GifImageFile, path)._replace(grey_by_palette=True)


def _bmp(path: Path) -> Pixels:
    from PIL import BmpImagePlugin

    return _by_pillow("BMP", BmpImagePlugin.BmpImageFile, path)._replace(grey_by_palette=True)


def _by_pillow(kind: str, opener: Any, source: Any) -> Pixels:
    """Decodes with one plugin of Pillow; `Image.open` would try others, and warn of large ones."""
    try:
        image = opener(source)
        with image:
            _refuse_size(image.height, image.width)
            if getattr(image, "is_animated", False):
                raise BadFileError(f"a {kind} of {image.n_frames} frames; save each as a file")
            if image.mode == "P":
                raw = image.palette.getdata()[1] if image.palette else b""
                image.load()
                colours = image.getpalette("RGB") or list(raw)
                return Pixels(np.array(image), np.array(colours, np.uint8).reshape(-1, 3))
            if image.mode == "1":
                return Pixels(np.array(image.convert("L")))
            if image.mode not in ("L", "LA", "RGB", "RGBA"):
                raise BadFileError(f"a {image.mode} {kind}; save it as grey or RGB")
            return Pixels(np.array(image))
    except BadFileError:
        raise
    except Exception as error:
        raise _damaged(kind, error) from error


def _tiff(path: Path, number: int | None) -> Pixels:
    import tifffile

    try:
        with tifffile.TiffFile(path) as tiff:
            if number is None and len(tiff.pages) != 1:
                raise BadFileError(
                    f"a TIFF of {len(tiff.pages)} pages; data.format: stack reads such files"
                )
            page: Any = tiff.pages[number or 0]
            page = page.aspage() if hasattr(page, "aspage") else page
            _refuse_size(page.imagelength, page.imagewidth)
            if page.imagedepth != 1:
                raise BadFileError("a TIFF of a volume; save each slice as a page")
            array = page.asarray()
            if page.axes == "SYX":
                array = np.moveaxis(array, 0, -1)
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                return Pixels(array, (page.colormap >> 8).astype(np.uint8).T)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and array.dtype.kind == "u":
                array = np.iinfo(array.dtype).max - array
            # Bilevel pictures read as black and white, as in every other format.
            return Pixels(array.astype(np.uint8) * 255 if array.dtype == bool else array)
    except BadFileError:
        raise
    except Exception as error:
        raise _damaged("TIFF", error) from error
