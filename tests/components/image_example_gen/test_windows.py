from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile

from components.errors import BadFileError
from components.image_example_gen import decode, windows
from components.image_example_gen.decoders import upright
from components.image_example_gen.sources.contract import Box
from tests.components.image_example_gen.tiffs import repeated_tile

RNG = np.random.default_rng(0)
BOXES = (Box(0, 0, 70, 90), Box(5, 7, 6, 8), Box(12, 15, 33, 66), Box(60, 80, 70, 90))


def written(path: Path, pixels: np.ndarray, **options) -> Path:
    tifffile.imwrite(path, pixels, **options)
    return path


KINDS = [
    ((70, 90), np.uint8, {}),
    ((70, 90, 3), np.uint8, {"photometric": "rgb"}),
    ((3, 70, 90), np.uint8, {"photometric": "rgb", "planarconfig": "separate"}),
    ((70, 90, 4), np.uint16, {"photometric": "rgb"}),
    ((70, 90), np.float32, {}),
    ((70, 90), bool, {}),
]
PACKINGS = [
    ({"compression": compression, "predictor": predictor}, dtypes)
    for compression, predictor, dtypes in (
        (None, False, (np.uint8, np.uint16, np.float32, bool)),
        ("deflate", False, (np.uint8, np.uint16, np.float32, bool)),
        ("deflate", True, (np.uint8, np.uint16, np.float32)),
        ("lzw", True, (np.uint8, np.uint16)),
        ("zstd", False, (np.uint16, bool)),
        ("jpeg", False, (np.uint8,)),
    )
]


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("tile", [None, (16, 32), (64, 64)])
@pytest.mark.parametrize(
    ("shape", "dtype", "options"),
    [
        (shape, dtype, {**options, **packing})
        for shape, dtype, options in KINDS
        for packing, dtypes in PACKINGS
        if dtype in dtypes
    ],
)
def test_a_window_is_what_the_whole_has_there(shape, dtype, options, tile, byteorder):
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        (RNG.random(shape) * 250).astype(dtype),
        tile=tile,
        rowsperstrip=None if tile else 13,
        byteorder=byteorder,
        **options,
    )
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]
        assert windows.allowed(page)
        windows.check_complete(page, len(file.getvalue()))
        whole = page.asarray()
        for box in BOXES:
            inside = slice(box.top, box.bottom), slice(box.left, box.right)
            expected = whole[(..., *inside)] if page.axes == "SYX" else whole[inside]
            found = windows.read(page, box)
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype


@pytest.mark.parametrize("orientation", range(1, 9))
def test_windows_of_a_turned_image(tmp_path: Path, orientation: int):
    stored = RNG.integers(0, 256, (48, 80), np.uint8)
    tags = [(274, "H", 1, orientation, True)]
    path = written(tmp_path / "a.tif", stored, tile=(16, 16), extratags=tags)
    expected = upright(stored, orientation)
    extent = decode.extent(path)
    assert extent == (*expected.shape, True)
    np.testing.assert_array_equal(decode.decode_image(path)[..., 0], expected)
    for box in (Box(3, 5, 20, 31), Box(0, 0, *expected.shape)):
        found = decode.decode_image(path, box=box)[..., 0]
        np.testing.assert_array_equal(found, expected[box.top : box.bottom, box.left : box.right])


class Counting(io.BytesIO):
    """Counts what is read."""

    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        self.taken += len(data)
        return data


@pytest.mark.parametrize("tile", [(64, 64), None])
def test_no_more_than_the_window_is_read(tile):
    # 1024 x 1024 pixels uncompressed: a megabyte, in 256 tiles, or in one strip.
    file = Counting()
    tifffile.imwrite(file, RNG.integers(0, 256, (1024, 1024), np.uint8), tile=tile)
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        page = opened.pages[0]
        offsets = page.dataoffsets, page.databytecounts
        assert len(offsets[0]) == (256 if tile else 1)
        file.taken = 0
        windows.read(page, Box(64, 128, 192, 256))
    # Rows 64 to 192 and columns 128 to 256: two by two tiles, or 128 rows of the strip.
    assert file.taken == (4 * 64 * 64 if tile else 128 * 1024)


def test_a_window_of_an_image_that_is_too_large_to_be_read_whole(tmp_path: Path):
    # 2^29 pixels; one tile that is stored stands for all, so that the file is small.
    path = tmp_path / "large.tif"
    tile = RNG.integers(0, 256, (1024, 1024), np.uint8)
    repeated_tile(path, tile, down=16, across=32)
    assert decode.extent(path) == (2**14, 2**15, True)
    with pytest.raises(BadFileError, match="claims 32768x16384 pixels"):
        decode.decode_image(path)
    found = decode.decode_image(path, box=Box(15 * 1024 - 3, 31 * 1024, 15 * 1024 + 2, 2**15))
    np.testing.assert_array_equal(found[..., 0], np.concatenate([tile[-3:], tile[:2]]))


def test_a_tile_that_is_as_large_as_an_image_may_not_be_is_refused(tmp_path: Path):
    # One tile of 2^14 x 2^15 pixels: to read any of it, all of it would have to be unpacked.
    path = tmp_path / "bomb.tif"
    repeated_tile(path, np.zeros((16, 16), np.uint8), down=1, across=1)
    raw = bytearray(path.read_bytes())
    for tag, value in ((256, 2**15), (257, 2**14), (322, 2**15), (323, 2**14)):
        at = raw.index(tag.to_bytes(2, "little") + b"\4\0")
        raw[at + 8 : at + 12] = value.to_bytes(4, "little")
    path.write_bytes(raw)
    assert decode.extent(path) == (2**14, 2**15, False)
    with pytest.raises(BadFileError, match="claims 32768x16384 pixels; at most"):
        decode.decode_image(path, box=Box(0, 0, 16, 16))


def test_a_tile_that_unpacks_to_more_than_it_is_is_refused(tmp_path: Path):
    # 64 MB of zeros deflated into the place of a tile of 16 x 16: the buffer has 256 bytes.
    import zlib

    path = tmp_path / "a.tif"
    repeated_tile(path, np.ones((16, 16), np.uint8), down=1, across=2)
    raw = path.read_bytes()
    bomb = zlib.compress(bytes(2**26))
    with tifffile.TiffFile(path) as opened:
        offset, count = opened.pages[0].dataoffsets[0], opened.pages[0].databytecounts[0]
    counts = raw.index(np.array([count, count], "<u4").tobytes())
    raw = raw[:counts] + np.array([len(bomb)] * 2, "<u4").tobytes() + raw[counts + 8 :]
    path.write_bytes(raw[:offset] + bomb)
    with pytest.raises(BadFileError, match="INSUFFICIENT_SPACE"):
        decode.decode_image(path, box=Box(0, 0, 4, 4))


def test_a_jpeg_tile_that_claims_another_size_is_refused(tmp_path: Path):
    path = written(
        tmp_path / "a.tif",
        RNG.integers(0, 256, (64, 64, 3), np.uint8),
        tile=(32, 32),
        compression="jpeg",
        photometric="rgb",
    )
    raw = bytearray(path.read_bytes())
    at = raw.index(b"\xff\xc0")  # start of frame: length, precision, height, width
    raw[at + 5 : at + 9] = b"\xff\x00\xff\x00"
    path.write_bytes(raw)
    with pytest.raises(BadFileError, match="a JPEG of 65280x65280 pixels in a tile of 32x32"):
        decode.decode_image(path, box=Box(0, 0, 64, 64))
    with pytest.raises(BadFileError, match="a JPEG of 65280x65280 pixels in a tile of 32x32"):
        decode.decode_image(path)


def test_a_truncated_file_is_refused_before_anything_is_read(tmp_path: Path):
    path = written(tmp_path / "a.tif", RNG.integers(0, 256, (64, 64), np.uint8), tile=(16, 16))
    # The last of 16 tiles of 256 bytes ends the file; 300 bytes less take part of two.
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(BadFileError, match="truncated TIFF: 2 of 16 tiles or strips end after"):
        decode.extent(path)


def test_other_formats_have_no_windows_but_give_their_part(tmp_path: Path):
    from PIL import Image

    pixels = RNG.integers(0, 256, (20, 30), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert decode.extent(tmp_path / "a.png") is None
    found = decode.decode_mask(tmp_path / "a.png", box=Box(2, 3, 7, 11))
    np.testing.assert_array_equal(found, pixels[2:7, 3:11])
