"""A multi-page TIFF of images beside one of masks: page n of one belongs to page n of the other."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, label_files, pieces
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import folder, pairing
from components.image_example_gen.sources.contract import Box, Labels, Listing, Reference, Sample
from components.places import place


def recognise(path: Path) -> dict[str, Any] | None:
    """Two multi-page TIFF files of as many pages, one of them named as masks are."""
    pages: dict[Path, int] = {}
    for file in sorted(path.iterdir()):
        if file.suffix.lower() in (".tif", ".tiff"):
            try:
                pages[file] = decode.page_count(file)
            except BadFileError:
                continue
    stacks = [file for file, count in pages.items() if count > 1]
    masks = [file for file in stacks if pairing.sounds_like_masks(file.stem)]
    pairs = [
        (image, mask)
        for mask in masks
        for image in stacks
        if image not in masks and pages[image] == pages[mask]
    ]
    if not pairs:
        return None
    # isbi has train-volume.tif, train-labels.tif and test-volume.tif of as many pages.
    image, mask = max(pairs, key=lambda pair: pairing.shared_prefix(pair[0].stem, pair[1].stem))
    return {"format": "stack", "images": image.name, "masks": mask.name}


def files(data: DataConfig) -> list[Path]:
    """The two files."""
    return list(_files(data))


def listing(data: DataConfig) -> Listing:
    """Pairs page n with page n.

    Raises:
      InputError: a file is missing or no TIFF.
    """
    counts = []
    paths = _files(data)
    for path in paths:
        try:
            counts.append(decode.page_count(path))
        except BadFileError as error:
            raise InputError(f"{path} is no stack of images: {error}.") from error
    pairs, digits = min(counts), len(str(max(counts) - 1))
    samples = tuple(
        Sample(f"{page:0{digits}}", Reference(str(paths[0]), page), Reference(str(paths[1]), page))
        for page in range(pairs)
    )
    root = folder(data)
    lone = [
        tuple(
            SetAside(Reference(str(path), page).name(root), reason) for page in range(pairs, count)
        )
        for path, count, reason in zip(
            paths, counts, ("image without mask", "mask without image"), strict=True
        )
    ]
    return Listing(samples, lone_images=lone[0], lone_masks=lone[1])


def digest(image: Reference) -> str:
    """SHA-256 of the page's pixels, since all pages share a file."""
    extent = pieces.large(image)
    if extent is None:
        pixels = read_image(image)
        return _digest_of(pixels.shape, [pixels])
    height, width, _ = extent
    boxes = [Box(top, 0, min(top + _ROWS, height), width) for top in range(0, height, _ROWS)]
    bands = (read_image(image._replace(box=box)) for box in boxes)
    first = next(bands)
    return _digest_of((height, *first.shape[1:]), itertools.chain([first], bands))


# Of a large page so many rows are read at a time.
_ROWS = 256


def _digest_of(shape: tuple[int, ...], bands: Iterable[np.ndarray]) -> str:
    """The same whether an image of this shape comes whole or in bands of rows."""
    sha256 = hashlib.sha256()
    for number, band in enumerate(bands):
        if number == 0:
            sha256.update(f"{shape} {band.dtype}".encode())
        sha256.update(np.ascontiguousarray(band))
    return sha256.hexdigest()


def read_image(image: Reference) -> np.ndarray:
    """[H, W, C] of the file's dtype."""
    return decode.decode_image(place(image.path), image.page, image.box)


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The mask's values."""
    return label_files.read(sample.mask, data)


def _files(data: DataConfig) -> tuple[Path, Path]:
    root = folder(data)
    for key, name in (("images", data.images), ("masks", data.masks)):
        if not (root / name).is_file():
            raise InputError(f"data.{key}: there is no file {root / name}, which a stack needs.")
    return root / data.images, root / data.masks
