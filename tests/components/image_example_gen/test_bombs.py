"""Small files that claim much: refused before memory is taken for the claim."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from components.errors import BadFileError
from components.image_example_gen import decode

_LITTLE = 32 << 20


def refused(data: bytes) -> str:
    tracemalloc.start()
    try:
        with pytest.raises(BadFileError) as raised:
            decode.decode_image(data)
        assert tracemalloc.get_traced_memory()[1] < _LITTLE
    finally:
        tracemalloc.stop()
    return str(raised.value)


def png(width: int, height: int, rows: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def saved(kind: str) -> bytearray:
    file = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(file, kind)
    return bytearray(file.getvalue())


def test_png():
    assert "claims 60000x60000 pixels; at most 268,435,456" in refused(png(60000, 60000, b""))
    assert "claims 16000x16000 pixels, which its data cannot hold" in refused(
        png(16000, 16000, b"\0" * 100)
    )


def test_png_text_that_unpacks_to_much():
    # 64 MB of zeros in a compressed text, which nobody asked for, beside one pixel.
    body = b"note\0\0" + zlib.compress(b"\0" * (64 << 20), 9)
    data = png(1, 1, b"\0\1\2\3", (b"zTXt", body), (b"iCCP", b"x\0\0" + body[6:]))
    tracemalloc.start()
    try:
        try:
            assert decode.decode_image(data).tolist() == [[[1, 2, 3]]]
        except BadFileError as error:
            assert str(error)  # noqa: PT017 - either is right, as long as it is cheap
        assert tracemalloc.get_traced_memory()[1] < _LITTLE
    finally:
        tracemalloc.stop()


def test_jpeg():
    data = saved("JPEG")
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65500, 65500)
    assert "claims 65500x65500 pixels; at most" in refused(bytes(data))
    data[at : at + 4] = struct.pack(">HH", 16000, 16000)
    assert "which its data cannot hold" in refused(bytes(data))


def test_gif():
    data = saved("GIF")
    data[6:10] = struct.pack("<HH", 65500, 65500)
    assert "claims 65500x65500 pixels" in refused(bytes(data))
    data[6:10] = struct.pack("<HH", 16000, 16000)
    assert "which its data cannot hold" in refused(bytes(data))


def test_bmp():
    data = saved("BMP")
    data[18:26] = struct.pack("<ii", 60000, 60000)
    assert "claims 60000x60000 pixels" in refused(bytes(data))
    data[18:26] = struct.pack("<ii", 16000, 16000)
    assert "which its data cannot hold" in refused(bytes(data))


@pytest.mark.parametrize(
    "compression", [None, "lzw", "deflate", "packbits", "jpeg", "lzma", "zstd"]
)
def test_tiff(compression: str | None):
    def claiming(width: int, height: int) -> bytes:
        file = io.BytesIO()
        tifffile.imwrite(file, np.zeros((16, 16), np.uint8), compression=compression)
        data = bytearray(file.getvalue())
        with tifffile.TiffFile(io.BytesIO(bytes(data))) as opened:
            offsets = {tag.code: tag.valueoffset for tag in opened.pages[0].tags}
            small = {tag.code: tag.dtype == 3 for tag in opened.pages[0].tags}
        for code, value in ((256, width), (257, height), (278, height)):
            layout = "<H" if small[code] else "<I"
            struct.pack_into(layout, data, offsets[code], value)
        return bytes(data)

    assert "claims 60000x60000 pixels; at most" in refused(claiming(60000, 60000))
    assert "which its data cannot hold" in refused(claiming(16000, 16000))


def test_tiff_of_a_page_a_channel_without_data():
    # Sparse, as microscopes write what they did not scan: tiles of no bytes, which unpack to zeros.
    file = io.BytesIO()
    side = 8192
    tifffile.imwrite(
        file,
        iter([b""] * (3 * (side // 1024) ** 2)),
        shape=(3, side, side),
        dtype=np.uint8,
        tile=(1024, 1024),
        compression="deflate",
        photometric="minisblack",
        ome=True,
        metadata={"axes": "CYX"},
    )
    data = file.getvalue()
    assert len(data) < 10_000
    assert "claims 8192x8192 pixels, which its data cannot hold" in refused(data)
