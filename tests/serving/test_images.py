from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image

from components.image_example_gen.decode import decode_image
from serving.errors import ServingError
from serving.images import decode_png, encode_png, to_array, to_file

GREY = np.arange(30, dtype=np.uint8).reshape(5, 6)
RGB = np.arange(90, dtype=np.uint8).reshape(5, 6, 3)
DEEP = (GREY.astype(np.uint16) + 1) * 1000


def saved(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def decoded(file: bytes, dtype: str = "uint8") -> np.ndarray:
    """As a served model decodes it."""
    return tf.io.decode_png(file, dtype=dtype).numpy().squeeze()


def test_png_and_jpeg_are_sent_as_they_are(tmp_path: Path) -> None:
    for kind in ("PNG", "JPEG"):
        file = saved(Image.fromarray(RGB), kind)
        assert to_file(file) is file
        (tmp_path / "image").write_bytes(file)
        assert to_file(tmp_path / "image") == file
        assert to_file(str(tmp_path / "image")) == file


@pytest.mark.parametrize("pixels", [GREY, RGB, np.dstack([RGB, GREY]), GREY[..., np.newaxis]])
def test_arrays_become_png(pixels: np.ndarray) -> None:
    assert np.array_equal(decoded(to_file(pixels)), pixels.squeeze())
    assert np.array_equal(decoded(to_file(pixels[:, ::-1])), pixels[:, ::-1].squeeze())
    assert to_array(pixels).shape == (5, 6, pixels.shape[2] if pixels.ndim == 3 else 1)


def test_16_bits_are_kept() -> None:
    assert np.array_equal(decoded(to_file(DEEP), "uint16"), DEEP)
    deep_rgb = np.dstack([DEEP, DEEP + 1, DEEP + 2])
    assert np.array_equal(decoded(to_file(deep_rgb), "uint16"), deep_rgb)
    for file in (tiff(DEEP), tiff(deep_rgb, photometric="rgb")):
        expected = tifffile.imread(io.BytesIO(file))
        assert np.array_equal(decoded(to_file(file), "uint16"), expected)
    assert np.array_equal(decoded(to_file(Image.fromarray(DEEP)), "uint16"), DEEP)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "TIFF"])
def test_other_formats_become_png(kind: str) -> None:
    file = saved(Image.fromarray(GREY), kind)
    answer = decoded(to_file(file))
    # GIF knows colours only, which are grey here.
    assert np.array_equal(answer if answer.ndim == 2 else answer[..., 1], GREY)
    if kind != "GIF":
        assert np.array_equal(decoded(to_file(saved(Image.fromarray(RGB), kind))), RGB)


def test_kinds_of_tiff() -> None:
    planes = np.moveaxis(RGB, -1, 0)
    file = tiff(planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(to_array(file), RGB)
    assert to_array(tiff(GREY > 9)).ravel()[8:12].tolist() == [0, 0, 255, 255]
    assert np.array_equal(to_array(tiff(GREY, compression="zlib"))[..., 0], GREY)
    with pytest.raises(ServingError, match="2 pages"):
        to_file(tiff(np.stack([GREY, GREY]), photometric="minisblack"))


def test_modes_of_pillow() -> None:
    grey = Image.fromarray(GREY)
    assert np.array_equal(decoded(to_file(grey)), GREY)
    assert np.array_equal(decoded(to_file(Image.fromarray(RGB))), RGB)
    assert decoded(to_file(grey.convert("P"))).shape == (5, 6, 3)
    assert set(np.unique(decoded(to_file(grey.point(lambda value: value * 8).convert("1"))))) <= {
        0,
        255,
    }
    with pytest.raises(ServingError, match="mode F"):
        to_file(grey.convert("F"))


def test_what_is_no_image(tmp_path: Path) -> None:
    for wrong, words in (
        (tmp_path / "absent.png", "absent.png cannot be read: No such file"),
        (b"text", "no image that can be read"),
        (b"", "no image that can be read"),
        (b"II*\0text", "The TIFF cannot be read"),
        (saved(Image.fromarray(RGB), "BMP")[:60], "cannot be read"),
        (7, "A int is no image"),
        (GREY.astype(np.float32), "uint8 or uint16, not float32"),
        (np.zeros((2, 3, 4, 1), np.uint8), "not \\(2, 3, 4, 1\\)"),
        (np.zeros((0, 3), np.uint8), "not \\(0, 3\\)"),
        (np.zeros((4, 3, 2), np.uint8), "1, 3 or 4 channels"),
    ):
        with pytest.raises(ServingError, match=words):
            to_file(wrong)


def test_masks() -> None:
    assert np.array_equal(decode_png(encode_png(GREY)), GREY)
    for wrong in (b"text", cv2.imencode(".png", RGB)[1].tobytes(), encode_png(DEEP)):
        with pytest.raises(ServingError, match="no mask"):
            decode_png(wrong)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_a_turned_file_means_what_it_meant_in_training(
    tmp_path: Path, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a"
    Image.fromarray(RGB).save(path, kind, exif=exif)
    trained_on = decode_image(path)
    sent = to_file(path)
    options = {"dct_method": "INTEGER_ACCURATE"} if sent.startswith(b"\xff\xd8") else {}
    read = tf.io.decode_jpeg(sent, **options) if options else tf.io.decode_png(sent)
    assert np.array_equal(read.numpy(), trained_on)
    assert np.array_equal(to_array(path), trained_on)
    # What need not be turned is sent as it is.
    assert (sent == path.read_bytes()) == (orientation == 1 and kind != "TIFF")


def test_a_turned_file_of_16_bits_keeps_them(tmp_path: Path) -> None:
    import imagecodecs

    deep = np.dstack([DEEP, DEEP + 1, DEEP + 2])
    # eXIf, after the 33 bytes of signature and header: big-endian, tag 274 is 6.
    body = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    chunk = b"eXIf" + body
    plain = imagecodecs.png_encode(deep)
    inserted = struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    path = tmp_path / "a.png"
    path.write_bytes(plain[:33] + inserted + plain[33:])
    expected = np.rot90(deep, -1)
    assert np.array_equal(decode_image(path), expected)
    assert np.array_equal(decoded(to_file(path), "uint16"), expected)


def test_where_zero_is_white(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff(GREY, photometric="miniswhite"))
    assert np.array_equal(to_array(path)[..., 0], 255 - GREY)
    assert np.array_equal(decode_image(path)[..., 0], 255 - GREY)
