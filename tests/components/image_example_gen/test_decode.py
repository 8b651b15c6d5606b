from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from components.errors import BadFileError
from components.image_example_gen import decode
from components.image_example_gen.decode import decode_image, decode_mask, page_count
from components.image_example_gen.decoders import exif_orientation

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (21, 34), np.uint8)
RGB = RNG.integers(0, 256, (21, 34, 3), np.uint8)
RGBA = RNG.integers(0, 256, (21, 34, 4), np.uint8)
GREY16 = RNG.integers(0, 2**16, (21, 34), np.uint16)
RGB16 = RNG.integers(0, 2**16, (21, 34, 3), np.uint16)


def png(pixels: np.ndarray) -> bytes:
    """A PNG written by hand from the specification, so that no library checks itself."""
    height, width = pixels.shape[:2]
    colour_type = {2: 0, 3: {3: 2, 4: 6}.get(pixels.shape[-1])}[pixels.ndim]
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    scanlines = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in ((b"IHDR", header), (b"IDAT", zlib.compress(scanlines)), (b"IEND", b""))
    )


@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA, GREY16, RGB16])
def test_png(tmp_path: Path, pixels: np.ndarray):
    path = tmp_path / "a.png"
    path.write_bytes(png(pixels))
    image = decode_image(path)
    assert image.dtype == pixels.dtype
    assert image.ndim == 3
    np.testing.assert_array_equal(image, pixels.reshape(image.shape))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("pixels", [GREY, RGB, RGBA, GREY16, RGB16])
def test_tiff(tmp_path: Path, pixels: np.ndarray, compression: str | None):
    path = tmp_path / "a.tif"
    photometric = "rgb" if pixels.ndim == 3 else "minisblack"
    tifffile.imwrite(path, pixels, photometric=photometric, compression=compression)
    image = decode_image(path)
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image, pixels.reshape(image.shape))


def test_tiff_with_separate_planes(tmp_path: Path):
    path = tmp_path / "a.tif"
    planes = np.ascontiguousarray(np.moveaxis(RGB, -1, 0))
    tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(decode_image(path), RGB)


def test_tiff_where_zero_is_white(tmp_path: Path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    np.testing.assert_array_equal(decode_image(path)[..., 0], 255 - GREY)


@pytest.mark.parametrize("pixels", [GREY, RGB])
def test_bmp(tmp_path: Path, pixels: np.ndarray):
    path = tmp_path / "a.bmp"
    Image.fromarray(pixels).save(path)
    image = decode_image(path)
    np.testing.assert_array_equal(image, pixels.reshape(image.shape))


def test_gif_of_greys(tmp_path: Path):
    path = tmp_path / "a.gif"
    Image.fromarray(GREY).save(path)
    np.testing.assert_array_equal(decode_image(path)[..., 0], GREY)
    np.testing.assert_array_equal(decode_mask(path), GREY)


def test_gif_of_two_greys_holds_greys_not_their_places(tmp_path: Path):
    # A GIF has no grey type: its 0 and 255 are entries 0 and 1 of a palette.
    mask = (GREY > 99).astype(np.uint8)
    picture = Image.fromarray(mask, mode="P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    picture.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(decode_mask(tmp_path / "a.gif"), mask * 255)


def test_palette_png(tmp_path: Path):
    indices = (GREY % 3).astype(np.uint8)
    palette = np.array([[0, 0, 0], [200, 10, 20], [30, 40, 250]], np.uint8)
    picture = Image.fromarray(indices, mode="P")
    picture.putpalette(palette.ravel().tolist())
    picture.save(tmp_path / "a.png")
    np.testing.assert_array_equal(decode_mask(tmp_path / "a.png"), indices)
    np.testing.assert_array_equal(decode_image(tmp_path / "a.png"), palette[indices])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_jpeg_is_what_serving_decodes(
    tmp_path: Path, mode: str, progressive: bool, subsampling: int
):
    import tensorflow as tf

    path = tmp_path / "a.jpg"
    smooth = (np.add.outer(np.arange(67), np.arange(53))[..., None] + [0, 40, 90]).astype(np.uint8)
    Image.fromarray(smooth).convert(mode).save(
        path, quality=70, progressive=progressive, subsampling=subsampling
    )
    served = tf.io.decode_jpeg(path.read_bytes(), dct_method="INTEGER_ACCURATE").numpy()
    np.testing.assert_array_equal(decode_image(path), served)


def test_real_jpegs_are_what_serving_decodes(shared_data: Path):
    import tensorflow as tf

    paths = [*(shared_data / "voc/JPEGImages").iterdir()]
    paths += sorted((shared_data / "coco/train2017").iterdir())[:5]
    assert len(paths) == 8
    for path in paths:
        served = tf.io.decode_jpeg(path.read_bytes(), dct_method="INTEGER_ACCURATE").numpy()
        np.testing.assert_array_equal(decode_image(path), served)


def encoded(kind: str) -> bytes:
    buffer = BytesIO()
    if kind == "TIFF":
        tifffile.imwrite(buffer, RGB, compression="zlib", photometric="rgb")
    else:
        Image.fromarray(RGB if kind != "GIF" else GREY).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_truncated_files_are_refused(
    tmp_path: Path, kind: str, share: float, capfd: pytest.CaptureFixture[str]
):
    data = encoded(kind)
    path = tmp_path / "a.png"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BadFileError, match=f"^(truncated|corrupt) {kind}: "):
        decode_image(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF"])
def test_a_file_cut_within_its_header_is_refused_wherever_that_is(kind: str):
    data = encoded(kind)
    for kept in range(1, 200):
        with pytest.raises(BadFileError):
            decode_image(data[:kept])


def test_a_png_without_its_end_is_truncated(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png(GREY)[:-12])
    with pytest.raises(BadFileError, match=r"^truncated PNG: "):
        decode_image(path)


def test_a_png_with_a_wrong_byte_is_corrupt(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    data = bytearray(png(GREY))
    data[len(data) // 2] ^= 255
    path = tmp_path / "a.png"
    path.write_bytes(data)
    with pytest.raises(BadFileError, match=r"^(truncated|corrupt) PNG: "):
        decode_image(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"hello, I am a note\n", "not an image: it begins with text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image: it begins with text"),
        (bytes(100), "not an image: it begins with zeros"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "WebP is not supported; save it as PNG"),
        (b"\x93NUMPY\x01\0", "NumPy is not supported; save it as PNG or TIFF"),
        (b"\x01\x02\x03\x04\xff\xfe", "not an image: its first bytes are of no known format"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, reason: str):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(BadFileError) as caught:
        decode_image(path)
    assert str(caught.value) == reason


def test_a_file_that_claims_a_huge_size_is_refused(tmp_path: Path):
    # 100000 x 100000 pixels in a few bytes: 10^10 is past the limit of 2^28.
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 0, 0, 0, 0)
    path = tmp_path / "bomb.png"
    chunks = ((b"IHDR", header), (b"IEND", b""))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + b"".join(
            struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b))
            for k, b in chunks
        )
    )
    with pytest.raises(BadFileError, match="claims 100000x100000 pixels"):
        decode_image(path)


def test_masks_that_hold_colours_are_refused(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png(RGB))
    with pytest.raises(BadFileError, match="the mask holds colours"):
        decode_mask(path)


def test_grey_saved_as_rgb_is_a_mask(tmp_path: Path):
    path = tmp_path / "a.png"
    path.write_bytes(png(np.repeat(GREY[..., None], 3, axis=2)))
    np.testing.assert_array_equal(decode_mask(path), GREY)


def test_pages_of_a_tiff(tmp_path: Path):
    path = tmp_path / "a.tif"
    pages = RNG.integers(0, 2**16, (3, 9, 8), np.uint16)
    tifffile.imwrite(path, pages, photometric="minisblack")
    assert page_count(path) == 3
    np.testing.assert_array_equal(decode_image(path, 2)[..., 0], pages[2])
    with pytest.raises(BadFileError, match=r"a TIFF of 3 pages; data\.format: stack"):
        decode_image(path)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_images_are_turned_as_exif_says(tmp_path: Path, kind: str, orientation: int):
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a"
    Image.fromarray(RGB).save(path, kind, exif=exif)
    with Image.open(path) as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(decode_image(path), upright)


def test_masks_are_turned_by_what_their_own_file_says(tmp_path: Path):
    # 6: the camera was held so that the first row is the right side.
    exif = Image.Exif()
    exif[274] = 6
    stored = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert decode_mask(tmp_path / "a.png").tolist() == [[4, 1], [5, 2], [6, 3]]


@pytest.mark.parametrize(
    "exif",
    [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"XX"],
)
def test_odd_exif_data_is_no_orientation(exif: bytes):
    assert exif_orientation(exif) == 1


@pytest.mark.parametrize("kind", ["ome", "imagej"])
def test_a_page_a_channel(tmp_path: Path, kind: str):
    path = tmp_path / "a.tif"
    planes = RNG.integers(0, 2**16, (5, 9, 8), np.uint16)
    tifffile.imwrite(
        path, planes, photometric="minisblack", metadata={"axes": "CYX"}, **{kind: True}
    )
    np.testing.assert_array_equal(decode_image(path), np.moveaxis(planes, 0, -1))


def test_an_ome_tiff_of_slices_is_a_stack(tmp_path: Path):
    path = tmp_path / "a.tif"
    planes = RNG.integers(0, 2**16, (5, 9, 8), np.uint16)
    tifffile.imwrite(path, planes, ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    assert page_count(path) == 5
    with pytest.raises(BadFileError, match=r"a TIFF of 5 pages; data\.format: stack"):
        decode_image(path)


@pytest.mark.parametrize("sub", [False, True])
def test_the_first_level_of_a_pyramid_is_the_image(tmp_path: Path, sub: bool):
    # As Cloud Optimized GeoTIFF has its overviews, and OME-TIFF its levels.
    path = tmp_path / "a.tif"
    pixels = RNG.integers(0, 256, (64, 80, 3), np.uint8)
    options = {"tile": (16, 16), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path) as writer:
        writer.write(pixels, subifds=2 if sub else 0, **options)
        writer.write(pixels[::2, ::2], subfiletype=1, **options)
        writer.write(pixels[::4, ::4], subfiletype=1, **options)
    assert page_count(path) == 1
    np.testing.assert_array_equal(decode_image(path), pixels)


@pytest.mark.parametrize("channels", [2, 5])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_any_number_of_channels_first_or_last(tmp_path: Path, channels: int, tile: Any):
    path = tmp_path / "a.tif"
    planes = RNG.integers(0, 2**16, (channels, 21, 34), np.uint16)
    tifffile.imwrite(path, planes, photometric="minisblack", planarconfig="separate", tile=tile)
    np.testing.assert_array_equal(decode_image(path), np.moveaxis(planes, 0, -1))
    last = np.ascontiguousarray(np.moveaxis(planes, 0, -1))
    tifffile.imwrite(path, last, photometric="minisblack", planarconfig="contig", tile=tile)
    np.testing.assert_array_equal(decode_image(path), last)


def test_float_tiff(tmp_path: Path):
    path = tmp_path / "a.tif"
    pixels = RNG.normal(size=(21, 34)).astype(np.float32)
    tifffile.imwrite(path, pixels, compression="zlib", predictor=True)
    np.testing.assert_array_equal(decode_image(path)[..., 0], pixels)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_is_refused(tmp_path: Path, kind: str):
    path = tmp_path / "a"
    Image.fromarray(RGB).convert("CMYK").save(path, kind)
    with pytest.raises(BadFileError, match=f"a CMYK {kind}; save it as grey or RGB"):
        decode_image(path)


def test_transparency_of_a_palette_is_alpha(tmp_path: Path):
    indices = np.array([[0, 1]], np.uint8)
    picture = Image.fromarray(indices, "P")
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.png", transparency=bytes([128, 255]))
    assert decode_image(tmp_path / "a.png").tolist() == [[[10, 20, 30, 128], [40, 50, 60, 255]]]
    assert decode_mask(tmp_path / "a.png").tolist() == [[0, 1]]


def test_many_channels_of_a_large_size_are_refused(tmp_path: Path):
    # 2^14 * 2^13 = 2^27 pixels are few enough, but times 16 channels 2^31 samples are too many.
    path = tmp_path / "bomb.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(
            (b"" for _ in range(16)),
            shape=(16, 2**14, 2**13),
            dtype=np.uint8,
            photometric="minisblack",
            planarconfig="separate",
            rowsperstrip=2**14,
            compression="zlib",
        )
    with pytest.raises(BadFileError, match=r"claims 8192x16384 pixels of 16 channels"):
        decode_image(path)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def test_what_libpng_thinks_of_a_colour_profile_is_not_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    path = tmp_path / "a.png"
    plain = png(RGB)
    odd = chunk(b"iCCP", b"x\0\0" + zlib.compress(b"no profile")) + chunk(b"gAMA", b"\0")
    # After the 33 bytes of signature and header.
    path.write_bytes(plain[:33] + odd + plain[33:])
    np.testing.assert_array_equal(decode_image(path), RGB)
    assert capfd.readouterr() == ("", "")


def test_the_last_checksum_of_a_png_counts_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    # The last four bytes of the pixels' stream are a checksum, before the chunk's own four.
    path = tmp_path / "a.png"
    data = bytearray(png(GREY))
    data[-12 - 6] ^= 1
    path.write_bytes(data)
    with pytest.raises(BadFileError, match="corrupt PNG: the checksum of its image data is wrong"):
        decode_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_that_ends_in_its_pixels_is_truncated_wherever_it_is_cut() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    stream = BytesIO()
    Image.fromarray(noise).save(stream, "JPEG")
    data = stream.getvalue()
    for kept in range(700, len(data) - 40, 97):
        with pytest.raises(BadFileError, match="truncated JPEG"):
            decode_image(data[:kept])
        # Preallocated, and never filled.
        with pytest.raises(BadFileError, match="truncated JPEG"):
            decode_image(data[:kept] + bytes(len(data) - kept))


def test_a_jpeg_of_four_inks_is_refused() -> None:
    stream = BytesIO()
    Image.new("CMYK", (8, 8)).save(stream, "JPEG")
    with pytest.raises(BadFileError, match="a CMYK JPEG; save it as grey or RGB"):
        decode_image(stream.getvalue())


@pytest.mark.parametrize("name", ["x.png", "x.dat", "x.tif"])
def test_files_larger_than_what_is_read_at_once(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decode, "_AT_ONCE", 100)
    file, pixels = tmp_path / name, np.random.default_rng(0).integers(0, 256, (40, 30), np.uint8)
    Image.fromarray(pixels).save(file, format="PNG")
    assert (decode_mask(file) == pixels).all()
    assert (decode_image(str(file))[..., 0] == pixels).all()
    tifffile.imwrite(file, pixels)
    assert (decode_mask(file) == pixels).all()
    assert (decode_mask(file.read_bytes()) == pixels).all()


@pytest.mark.parametrize("content", [b"\x93NUMPY", b"", b"words", b"\0" * 64])
@pytest.mark.parametrize("name", ["x.png", "x.npy", "x.tif"])
def test_what_cannot_be_decoded_is_not_read(name: str, content: bytes, tmp_path: Path) -> None:
    file = tmp_path / name
    with file.open("wb") as stream:
        stream.write(content)
        if content:
            stream.truncate(2**43)  # more than there is memory; the disk stores no byte of it
    with pytest.raises(BadFileError, match=r"not an image|NumPy|empty file"):
        decode_mask(file)
