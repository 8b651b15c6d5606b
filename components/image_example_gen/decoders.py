"""PNG, JPEG, GIF and BMP files -> pixels; one function a format, and what they share."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any, NamedTuple

import numpy as np

from components.errors import BadFileError

MAX_PIXELS = 2**28
"""Larger images are refused: a small file can claim a size that fills the memory."""

_MAX_SAMPLES = 4 * MAX_PIXELS


class Pixels(NamedTuple):
    """What a file holds: array [H, W] or [H, W, C], and its palette if array holds indices.

    Attributes:
      array: of the file's own dtype; colours in the order red, green, blue, alpha.
      palette: uint8 [entries, 3 or 4], or None; with alpha where the file gives it.
      grey_by_palette: the format has no grey type, so that a grey palette means grey values.
    """

    array: np.ndarray
    palette: np.ndarray | None = None
    grey_by_palette: bool = False


def damaged(kind: str, error: Exception) -> BadFileError:
    """Says whether a file ends early or is corrupt, from the decoder's own words."""
    words = str(error).split("\n")[0].strip(" .") or type(error).__name__
    early = ("truncated", "too small", "not enough", "failed to read", "unpack requires")
    short = any(word in words.lower() for word in early) or isinstance(error, EOFError)
    return BadFileError(f"{'truncated' if short else 'corrupt'} {kind}: {words}")


def refuse_size(height: int, width: int, channels: int = 1) -> None:
    """Raises BadFileError where a file claims more pixels than are read, or none."""
    if height * width > MAX_PIXELS or height * width * channels > _MAX_SAMPLES:
        many = f" of {channels} channels" if channels > 4 else ""
        raise BadFileError(
            f"claims {width}x{height} pixels{many}; at most {MAX_PIXELS:,} are read, "
            "cut it in pieces"
        )
    if height * width == 0:
        raise BadFileError("an image without pixels")


def refuse_claim(kind: str, height: int, width: int, needed: int, most: int) -> None:
    """Raises BadFileError where a file claims pixels that so few bytes cannot hold.

    Args:
      kind: of file.
      height: that it claims.
      width: likewise.
      needed: bits of all pixels.
      most: bits that its data can unpack to, at best.
    """
    if needed > most + _SLACK:
        raise BadFileError(
            f"truncated or corrupt {kind}: claims {width}x{height} pixels, which its data cannot "
            "hold"
        )


# Bits; so that no small file is refused for its header's sake.
_SLACK = 2**23


def exif_orientation(exif: bytes) -> int:
    """The orientation that EXIF data states, 1 to 8; 1, as it is stored, where it states none.

    Exif 2.32, 4.6.4: tag 274 of the first directory. Odd EXIF data is no reason to refuse a file.
    """
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, at)
        for entry in range(entries):
            tag, _, _, value = struct.unpack_from(order + "HHIH", exif, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


_ORIENTATION = 274


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, ...] pixels as they are to be looked at, from those that a file stores."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def png(data: bytes) -> Pixels:
    """A PNG file's pixels."""
    chunks = _png_chunks(data)
    width, height, depth, colour_type = struct.unpack(">IIBB", chunks.header[:10])
    refuse_size(height, width)
    bits = height * width * depth * _PNG_SAMPLES.get(colour_type, 1)
    refuse_claim("PNG", height, width, bits, 8 * len(data) * _DEFLATE)
    if colour_type == 3:
        found = _palette_png(chunks.pixels)
    else:
        import imagecodecs

        try:
            found = Pixels(imagecodecs.png_decode(chunks.pixels))
        except Exception as error:
            raise damaged("PNG", error) from error
    return _turned(found, chunks.exif)


_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Bytes that one byte of deflate can stand for, at most (RFC 1951: 258 by 2 bits).
_DEFLATE = 1032


def _turned(found: Pixels, exif: bytes) -> Pixels:
    orientation = exif_orientation(exif) if exif else 1
    if orientation == 1:
        return found
    return found._replace(array=upright(found.array, orientation))


class _Chunks(NamedTuple):
    """What a PNG file holds.

    Attributes:
      header: body of the first chunk.
      exif: body of eXIf; empty without one.
      pixels: the file without what its pixels do not need.
    """

    header: bytes
    exif: bytes
    pixels: bytes


def _png_chunks(data: bytes) -> _Chunks:
    """The chunks of a PNG file that ends as it must; the decoders check all but one checksum.

    They do not all mind when the last chunks are missing, after the last pixel, nor when the last
    bytes of pixels are wrong. Chunks that are not needed, such as colour profiles, are left out,
    since libpng writes to the terminal what it thinks of them.
    """
    header, exif, at = b"", b"", 8
    kept: list[bytes | memoryview] = [data[:8]]
    left_out = False
    last, kind = 0, b""
    while kind != b"IEND":
        if at + 12 > len(data):
            raise BadFileError("truncated PNG: it has no end")
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            raise BadFileError("truncated PNG: it ends within its image data")
        kind = data[at + 4 : at + 8]
        if not header:
            if kind != b"IHDR" or length != 13:
                raise BadFileError("corrupt PNG: it has no header")
            header = data[at + 8 : end - 4]
        if kind == b"eXIf":
            exif = data[at + 8 : end - 4]
        if kind == b"IDAT":
            last = at
        needed = kind in _NEEDED or not kind[0] & 32  # bit 5: not critical
        left_out |= not needed
        if needed:
            kept.append(memoryview(data)[at:end])
        at = end
    if last:
        (length,) = struct.unpack_from(">I", data, last)
        body = memoryview(data)[last + 4 : last + 8 + length]
        if struct.pack(">I", zlib.crc32(body)) != data[last + 8 + length : last + 12 + length]:
            raise BadFileError("corrupt PNG: the checksum of its image data is wrong")
    return _Chunks(header, exif, b"".join(kept) if left_out else data)


_NEEDED = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")


def _palette_png(data: bytes) -> Pixels:
    from PIL import PngImagePlugin

    return _by_pillow("PNG", PngImagePlugin.PngImageFile, data)


def jpeg(data: bytes) -> Pixels:
    """A JPEG file's pixels."""
    frame = _jpeg_frame(data)
    if frame is None and not any(data[-_TAIL:]):
        # As of a download that reserved its place; to a decoder zeros are pixels.
        raise BadFileError("truncated JPEG: it ends in zeros")
    if frame is None:
        # Pillow knows what is unusual, or says what is wrong.
        from PIL import JpegImagePlugin

        return _by_pillow("JPEG", JpegImagePlugin.JpegImageFile, data)
    import imagecodecs

    refuse_size(frame.height, frame.width)
    refuse_claim(
        "JPEG", frame.height, frame.width, frame.height * frame.width, len(data) * _MOST_PIXELS
    )
    try:
        found = Pixels(imagecodecs.jpeg8_decode(data))
    except Exception as error:
        raise damaged("JPEG", error) from error
    return _turned(found, frame.exif)


class _Frame(NamedTuple):
    """What a JPEG file says of itself.

    Attributes:
      height: in pixels, as stored.
      width: likewise.
      exif: body of the segment; empty without one.
    """

    height: int
    width: int
    exif: bytes


def _jpeg_frame(data: bytes) -> _Frame | None:
    """The frame of a file of grey or YCbCr in 8 bits that has its end; None of any other.

    ITU-T T.81, annex B. libjpeg gives grey for what is missing at the end of a file. An end that is
    there but too early is what Pillow does not mind either.
    """
    found, exif, at = None, b"", 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        body = at + 4
        if marker == _SCAN:
            # Within a scan every 0xff of the pixels is followed by a zero.
            return found if found and data.rfind(_END) > at else None
        if at + 2 + length > len(data):
            return None
        if marker in _COMMON_FRAMES and length >= 11:
            depth, height, width, channels = struct.unpack_from(">BHHB", data, body)
            if depth != 8 or channels not in (1, 3) or not height:
                return None
            found = _Frame(height, width, exif)
        elif marker == _EXIF and data.startswith(b"Exif\0\0", body):
            exif = exif or data[body : at + 2 + length]
            found = found and found._replace(exif=exif)
        at += 2 + length
    return None


_TAIL = 16
_SCAN, _EXIF, _END = 0xDA, 0xE1, b"\xff\xd9"
_COMMON_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended sequential, progressive; by Huffman


def gif(data: bytes) -> Pixels:
    """A GIF file's pixels."""
    from PIL import GifImagePlugin

    # Pillow does not miss the closing byte, and a GIF cut there may lack whole blocks.
    if b"\x3b" not in data[-16:]:
        raise BadFileError("truncated GIF: it has no end")
    return _by_pillow("GIF", GifImagePlugin.GifImageFile, data)._replace(grey_by_palette=True)


def bmp(data: bytes) -> Pixels:
    """A BMP file's pixels."""
    from PIL import BmpImagePlugin

    return _by_pillow("BMP", BmpImagePlugin.BmpImageFile, data)._replace(grey_by_palette=True)


# Pixels that a byte of JPEG, of GIF or of BMP can stand for, at most: in JPEG 64 a bit, in GIF 4096
# by 12 bits.
_MOST_PIXELS = 4096


def _by_pillow(kind: str, opener: Any, data: bytes) -> Pixels:
    """Decodes with one plugin of Pillow; `Image.open` would try others, and warn of large ones."""
    try:
        image = opener(io.BytesIO(data))
        with image:
            refuse_size(image.height, image.width)
            pixels = image.height * image.width
            refuse_claim(kind, image.height, image.width, pixels, len(data) * _MOST_PIXELS)
            if getattr(image, "is_animated", False):
                raise BadFileError(f"a {kind} of {image.n_frames} frames; save each as a file")
            if image.mode == "P":
                raw = image.palette.getdata()[1] if image.palette else b""
                image.load()
                # Only PNG says how transparent an entry is; in GIF one entry stands for nothing.
                seen_through = kind == "PNG" and "transparency" in image.info
                mode, width = ("RGBA", 4) if seen_through else ("RGB", 3)
                if seen_through:
                    image.apply_transparency()
                colours = image.getpalette(mode) or list(raw)
                found = Pixels(np.array(image), np.array(colours, np.uint8).reshape(-1, width))
            elif image.mode == "1":
                found = Pixels(np.array(image.convert("L")))
            elif image.mode not in ("L", "LA", "RGB", "RGBA"):
                raise BadFileError(f"a {image.mode} {kind}; save it as grey or RGB")
            else:
                found = Pixels(np.array(image))
            # PNG's own is in its chunks, and that of most JPEG files in their segments.
            return _turned(found, image.info.get("exif", b"") if kind == "JPEG" else b"")
    except BadFileError:
        raise
    except Exception as error:
        raise damaged(kind, error) from error
