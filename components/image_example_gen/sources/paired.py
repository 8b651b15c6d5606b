"""A folder of images beside a folder of masks, files of the same names; subfolders may nest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import folder, pairing
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample
from components.places import place

# Images in a format that is not decoded are listed, so that they are set aside by name.
_LISTED = decode.SUFFIXES | {".webp", ".jp2", ".exr", ".npy", ".heic"}


def recognise(path: Path) -> dict[str, Any] | None:
    """The pair of folders whose files' names match best; see `Source.recognise`."""
    found = pairing.best_pair(path, image_files(path))
    return None if found is None else {"format": "paired", **found}


def files(data: DataConfig) -> list[Path]:
    """Every image and mask, paired or not."""
    images, masks = _scan(data)
    return sorted(
        path
        for side in (images, masks)
        for path in (*side.first.values(), *side.twice, *side.unsuffixed)
    )


def listing(data: DataConfig) -> Listing:
    """Pairs each image with the mask of its name, whatever their endings.

    Raises:
      InputError: a folder is missing or empty, or no image has a mask.
    """
    root = folder(data)
    images, masks = _scan(data)
    samples = []
    lone_images = [_double(root, *double) for double in images.twice.items()]
    lone_masks = [_double(root, *double) for double in masks.twice.items()]
    lone_masks += [
        SetAside(Reference(str(mask)).name(root), f"its name does not end in {data.mask_suffix}")
        for mask in masks.unsuffixed
    ]
    for key in sorted(images.first.keys() | masks.first.keys(), key=natural_key):
        image, mask = images.first.get(key), masks.first.get(key)
        if image and mask:
            samples.append(Sample(key, Reference(str(image)), Reference(str(mask))))
        elif image:
            wanted = f"{data.masks}/{key}{data.mask_suffix}.*"
            reason = f"image without mask: there is no {wanted}"
            lone_images.append(SetAside(Reference(str(image)).name(root), reason))
        elif mask:
            reason = f"mask without image: there is no {data.images}/{key}.*"
            lone_masks.append(SetAside(Reference(str(mask)).name(root), reason))
    if not samples:
        raise InputError(
            f"no image in {root / data.images} has a mask of its name in {root / data.masks}; "
            "set data.mask_suffix to what the masks' names add, or data.images and data.masks."
        )
    return Listing(tuple(samples), tuple(lone_images), tuple(lone_masks))


def digest(image: Reference) -> str:
    """SHA-256 of the file."""
    sha256 = hashlib.sha256()
    try:
        with place(image.path).open("rb") as file:
            while block := file.read(1 << 20):
                sha256.update(block)
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror}") from error
    return sha256.hexdigest()


def read_image(image: Reference) -> np.ndarray:
    """[H, W, C] of the file's dtype."""
    return decode.decode_image(place(image.path))


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The mask's values."""
    return Labels(decode.decode_mask(place(sample.mask.path)))


def image_files(top: Path, without: Path | None = None) -> list[Path]:
    """Files under `top` with an image's ending, in natural order; hidden ones are left out.

    Args:
      top: a folder.
      without: a subfolder to leave out, if any.
    """
    found = []
    for parent, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name[0] != "." and Path(parent, name) != without]
        found += [
            Path(parent, name)
            for name in names
            if name[0] != "." and Path(name).suffix.lower() in _LISTED
        ]
    return sorted(found, key=lambda path: natural_key(path.as_posix()))


class _Side(NamedTuple):
    """Files by key.

    Attributes:
      first: the file of each key.
      twice: each further file of a key, with the first.
      unsuffixed: masks whose names lack the suffix, so that they have no key.
    """

    first: dict[str, Path]
    twice: dict[Path, Path]
    unsuffixed: list[Path]


def _scan(data: DataConfig) -> tuple[_Side, _Side]:
    """The images' and the masks' files."""
    root = folder(data)
    tops = {"images": root / data.images, "masks": root / data.masks}
    for key, top in tops.items():
        if not top.is_dir():
            here = sorted(path.name for path in root.iterdir() if path.is_dir())
            hint = f"; {root} has the folders {', '.join(here[:8])}" if here else ""
            raise InputError(f"data.{key}: there is no folder {top}{hint}.")
    if data.images == data.masks and not data.mask_suffix:
        raise InputError("data.images and data.masks name one folder; set data.mask_suffix.")

    masks = image_files(tops["masks"])
    # Images may lie in a folder above the masks', or in the very same.
    images = image_files(tops["images"], without=tops["masks"])
    if data.images == data.masks:
        masks = [path for path in masks if path.stem.endswith(data.mask_suffix)]
        images = [path for path in images if not path.stem.endswith(data.mask_suffix)]
    for key, found in (("images", images), ("masks", masks)):
        if not found:
            raise InputError(
                f"{tops[key]} holds no {key} (PNG, JPEG, BMP, GIF or TIFF); "
                f"put them there or set data.{key}."
            )
    return _by_key(images, tops["images"], ""), _by_key(masks, tops["masks"], data.mask_suffix)


def _by_key(paths: Iterable[Path], top: Path, suffix: str) -> _Side:
    side = _Side({}, {}, [])
    for path in paths:
        key = path.relative_to(top).with_suffix("").as_posix()
        if not key.endswith(suffix):
            side.unsuffixed.append(path)
            continue
        key = key.removesuffix(suffix)
        if side.first.setdefault(key, path) != path:
            side.twice[path] = side.first[key]
    return side


def _double(root: Path, double: Path, first: Path) -> SetAside:
    return SetAside(
        Reference(str(double)).name(root), f"has the same name as {first.name}; keep one of them"
    )
