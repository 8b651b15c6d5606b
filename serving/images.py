"""What a person calls an image -> a file that the model can decode, or an array.

TensorFlow decodes PNG and JPEG; everything else becomes a PNG here, and so does a file that is to
be turned, as EXIF says: TensorFlow does not look at that, and models are trained on upright images.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from serving.errors import invalid

_AS_IT_IS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def to_file(image: Any) -> bytes:
    """A PNG or JPEG file.

    Args:
      image: a path; the bytes of a file; an array, uint8 or uint16 [H, W] or [H, W, C] in the order
        red, green, blue, alpha; or an image of Pillow's.

    Raises:
      ServingError: it cannot be read, or PNG cannot hold it.
    """
    image = _read(image)
    if isinstance(image, bytes) and image.startswith(_AS_IT_IS) and not _turned(image):
        return image
    return encode_png(_pixels(image))


def to_array(image: Any) -> np.ndarray:
    """[H, W, C] of the image's own dtype; what it may be, `to_file` says.

    Raises:
      ServingError: it cannot be read.
    """
    pixels = _pixels(_read(image))
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def encode_png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 or uint16 [H, W] or [H, W, C].

    Raises:
      ServingError: PNG cannot hold it.
    """
    import cv2

    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.ndim not in (2, 3) or channels not in (1, 3, 4) or pixels.size == 0:
        raise invalid(f"An image is [H, W] or [H, W, C] of 1, 3 or 4 channels, not {pixels.shape}.")
    if pixels.dtype not in (np.uint8, np.uint16):
        raise invalid(f"An image file holds uint8 or uint16, not {pixels.dtype}.")
    # OpenCV wants blue first.
    order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(channels)
    done, encoded = cv2.imencode(".png", pixels[..., order] if order else pixels)
    if not done:
        raise invalid(f"An image of shape {pixels.shape} cannot be written as PNG.")
    return encoded.tobytes()


def decode_png(content: bytes) -> np.ndarray:
    """uint8 [H, W] of a mask's PNG file.

    Raises:
      ServingError: it is none.
    """
    import cv2

    mask = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if mask is None or mask.ndim != 2 or mask.dtype != np.uint8:
        raise invalid("The server's answer is no mask.")
    return mask


def _read(image: Any) -> Any:
    """The bytes where an image is a path, else what it is."""
    if not isinstance(image, (str, Path)):
        return image
    try:
        return Path(image).read_bytes()
    except OSError as error:
        raise invalid(f"{image} cannot be read: {error.strerror}.") from None


def _pixels(image: Any) -> np.ndarray:
    """[H, W] or [H, W, C] of an array, the bytes of a file, or an image of Pillow's."""
    if isinstance(image, np.ndarray):
        return image
    if isinstance(image, bytes) and image.startswith(_TIFF):
        return _tiff(image)
    from PIL import Image, UnidentifiedImageError

    try:
        if isinstance(image, bytes) and image.startswith(_AS_IT_IS[0]) and image[24:25] == b"\x10":
            return _png_of_16_bits(image)
        if isinstance(image, bytes):
            image = Image.open(io.BytesIO(image))
        if not isinstance(image, Image.Image):
            raise invalid(f"A {type(image).__name__} is no image: give a path, bytes or an array.")
        return _by_pillow(image)
    except UnidentifiedImageError:
        raise invalid("The file is no image that can be read.") from None
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all of them
        raise invalid(f"The image cannot be read: {error}.") from None


def _turned(file: bytes) -> bool:
    """Whether a PNG or JPEG file says that its pixels are to be turned or mirrored."""
    if b"Exif" not in file and b"eXIf" not in file:
        return False
    from PIL import Image

    try:
        with Image.open(io.BytesIO(file)) as image:
            return _orientation(image) != 1
    except (OSError, SyntaxError, ValueError):
        return False  # the server says what is wrong with it


def _orientation(image: Any) -> int:
    """As EXIF states it, 1 to 8; 1, as it is, where it states none that can be read."""
    try:
        stated = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow raises what it likes of odd EXIF data, which is no reason to refuse
        return 1
    return stated if stated in range(1, 9) else 1


_ORIENTATION = 274


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, ...] as it is to be looked at."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _png_of_16_bits(content: bytes) -> np.ndarray:
    """As it is to be looked at; Pillow has no colours of 16 bits and would cut them to 8."""
    import imagecodecs
    from PIL import Image

    try:
        pixels = imagecodecs.png_decode(content)
    except imagecodecs.PngError as error:
        raise ValueError(error) from None
    with Image.open(io.BytesIO(content)) as image:
        return _upright(pixels, _orientation(image))


def _by_pillow(image: Any) -> np.ndarray:
    if getattr(image, "n_frames", 1) > 1:
        raise invalid(f"The file holds {image.n_frames} images: send each alone.")
    orientation = _orientation(image)
    if image.mode.startswith("I"):
        pixels = np.asarray(image).astype(np.int64)
        if pixels.min() < 0 or pixels.max() > np.iinfo(np.uint16).max:
            raise invalid("The image has more than 16 bits.")
        return _upright(pixels.astype(np.uint16), orientation)
    if image.mode not in ("L", "RGB", "RGBA"):
        known = {"1": "L", "LA": "RGBA", "P": "RGBA" if "transparency" in image.info else "RGB"}
        if image.mode not in (*known, "CMYK", "YCbCr"):
            raise invalid(f"Images of Pillow's mode {image.mode} cannot be sent.")
        image = image.convert(known.get(image.mode, "RGB"))
    return _upright(np.asarray(image), orientation)


def _tiff(content: bytes) -> np.ndarray:
    import tifffile

    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            if len(tiff.pages) == 0:
                raise invalid("The TIFF cannot be read: it holds no image.")
            if len(tiff.pages) != 1:
                raise invalid(f"The TIFF holds {len(tiff.pages)} pages: send each alone.")
            page: Any = tiff.pages[0]
            pixels = page.asarray()
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
                pixels = (page.colormap >> 8).astype(np.uint8).T[pixels]
            elif page.axes == "SYX":
                pixels = np.moveaxis(pixels, 0, -1)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
                pixels = ~pixels
            stated = page.tags.valueof(_ORIENTATION, 1)
            pixels = _upright(pixels, stated) if stated != 1 else pixels
    except (OSError, ValueError, IndexError, KeyError, tifffile.TiffFileError) as error:
        raise invalid(f"The TIFF cannot be read: {error}.") from None
    return pixels.astype(np.uint8) * 255 if pixels.dtype == bool else pixels
