"""Files of masks -> what they say of each pixel, by the coding that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from components.errors import BadFileError
from components.image_example_gen import decode, tiff
from components.image_example_gen.config import COLOUR, DataConfig
from components.image_example_gen.masks import packed
from components.image_example_gen.sources.contract import Labels, Reference
from components.places import place


def read(mask: Reference, data: DataConfig) -> Labels:
    """What one file says.

    Args:
      mask: the file, or a page of one.
      data: its `coding`; with `auto`, the colours of palettes count where it names any colour.

    Raises:
      BadFileError: the file cannot be read, or is not of that coding.
    """
    if data.coding == "objects":
        values = decode.decode_values_or_colours(mask.path, mask.page, mask.box)
        return numbered(values) if mask.box is None else _as_numbered(values)
    if data.coding == "values":
        return Labels(decode.decode_mask(mask.path, mask.page, mask.box))
    if data.coding == "colours" or names_colours(data):
        return Labels(decode.decode_colours(mask.path, mask.page, mask.box))
    return Labels(decode.decode_values_or_colours(mask.path, mask.page, mask.box))


def names_colours(data: DataConfig) -> bool:
    """Whether a class, or what is ignored, is given by a colour."""
    return any(
        isinstance(value, str) and COLOUR.fullmatch(value)
        for values in (*data.classes.values(), data.ignore)
        for value in values
    )


def numbered(values: np.ndarray) -> Labels:
    """Labels of a mask that tells objects apart by numbers [H, W] or by colours [H, W, 3].

    Colours, and numbers that a class map cannot hold, are numbered from 1 in their order.
    """
    if values.ndim == 3:
        values = packed(values)
    if values.min() < 0 or values.max() > _LARGEST:
        present, places = np.unique(values, return_inverse=True)
        if present[0] < 0:
            raise BadFileError(f"the mask holds the number {present[0]}; objects count from 1")
        first = 0 if present[0] == 0 else 1
        values = (places + first).reshape(values.shape)
    return Labels(values, instances=values.astype(np.int32))


_LARGEST = 2**16 - 1


def _as_numbered(values: np.ndarray) -> Labels:
    """`numbered` of a part of a mask, which does not know what the other parts hold."""
    if values.ndim == 3:
        raise BadFileError("colours tell its objects apart; in an image this large, use numbers")
    if values.min() < 0:
        raise BadFileError(f"the mask holds the number {values.min()}; objects count from 1")
    # The class map tells objects from none; all but the last numbers mean the same object.
    return Labels(np.minimum(values, _LARGEST), instances=values.astype(np.int32))


def stored_as(mask: Reference) -> str:
    """How a file of a mask stores it, "8-bit palette PNG"; empty for what is no image."""
    try:
        with place(mask.path).open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ""
    if head.startswith(b"\x89PNG") and len(head) == _HEAD:
        return f"{head[24]}-bit {_PNG_KINDS.get(head[25], '')} PNG"
    return next((kind for magic, kind in _KINDS.items() if head.startswith(magic)), "")


_HEAD = 26
_PNG_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey and alpha", 6: "RGBA"}
_KINDS = {
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    **dict.fromkeys(tiff.MAGIC, "TIFF"),
}


def merged(files: Sequence[Reference], data: DataConfig, size: tuple[int, int]) -> Labels:
    """One mask of several files, each of which shows one object as what is not black.

    Where objects overlap the smaller one lies on top, so that none vanishes within another; of two
    of one size, the later.

    Args:
      files: in the order that numbers the objects, from 1.
      data: its `coding` is that of each file.
      size: (H, W) of the image.

    Returns:
      The values or colours of the files, 0 where no object is, and `instances`.

    Raises:
      BadFileError: a file cannot be read, or is of another size; names it.
    """
    shown = []
    for number, file in enumerate(files, 1):
        try:
            values = read(file, data).values
            if values.shape[:2] != size:
                raise BadFileError(_sizes("mask", values.shape, size))
        except BadFileError as error:
            if number == 1:  # the sample is known by its first file
                raise
            raise BadFileError(f"{Path(file.path).name}: {error}") from error
        # Kept as where the object is: a whole picture an object would not fit in memory.
        here = np.nonzero(values.any(axis=2) if values.ndim == 3 else _bright(values))
        shown.append((number, here, values[here]))
    deepest = np.result_type(*(inside for _, _, inside in shown))
    merged_values = np.zeros((*size, *shown[0][2].shape[1:]), deepest)
    instances = np.zeros(size, np.int32)
    for number, here, inside in sorted(shown, key=lambda one: (-len(one[2]), one[0])):
        if inside.shape[1:] != merged_values.shape[2:]:
            raise BadFileError("some of its files hold colours and some do not; set data.coding")
        merged_values[here] = inside
        instances[here] = number
    return Labels(merged_values, instances=instances)


def region(file: Reference, size: tuple[int, int]) -> np.ndarray:
    """Where labels count, bool [H, W]: what is nearer to the file's greatest value than to 0.

    Raises:
      BadFileError: the file cannot be read, or is not of this size; names it.
    """
    try:
        values = decode.decode_mask(place(file.path), file.page)
        if values.shape != size:
            raise BadFileError(_sizes("region", values.shape, size))
    except BadFileError as error:
        raise BadFileError(f"its region {Path(file.path).name}: {error}") from error
    return _bright(values)


def _bright(values: np.ndarray) -> np.ndarray:
    """Where values are nearer to the greatest than to 0, around which JPEG leaves grains."""
    return values.astype(np.int64) * 2 > int(values.max())


def _sizes(what: str, shape: tuple[int, ...], size: tuple[int, int]) -> str:
    return f"{what} is {shape[1]}x{shape[0]}, image is {size[1]}x{size[0]}"
