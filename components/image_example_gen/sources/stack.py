"""Multi-page TIFF files of images beside such files of masks: page n belongs to page n.

train-volume.tif        train-labels.tif          one of each
images/a.tif            masks/a.tif               or folders of them, which pair as files do
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, pieces, tiff
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import folder, folders, paired, pairing
from components.image_example_gen.sources.contract import Box, Listing, Reference, Sample
from components.places import place

read_image = paired.read_image
read_labels = paired.read_labels


def recognise(path: Path) -> dict[str, Any] | None:
    """Two files of as many pages, one of them named as masks are; or folders of such files."""
    stacks = {file: count for file in sorted(path.iterdir()) if (count := _page_count(file)) > 1}
    masks = [file for file in stacks if pairing.sounds_like_masks(file.stem)]
    pairs = [
        (image, mask)
        for mask in masks
        for image in stacks
        if image not in masks and stacks[image] == stacks[mask]
    ]
    two = None
    if pairs:
        # isbi has train-volume.tif, train-labels.tif and test-volume.tif of as many pages.
        image, mask = max(pairs, key=lambda pair: pairing.shared_prefix(pair[0].stem, pair[1].stem))
        two = {"format": "stack", "images": image.name, "masks": mask.name}
        if len(masks) == 1:
            return two
    keys = paired.recognise(path) if _any_below(path) else None
    if keys is None or not holds_stacks(DataConfig(path=path, **keys)):
        return two
    return {**keys, "format": "stack"}


def _any_below(top: Path) -> bool:
    """Whether a folder holds a stack; cheaper to see than which folders pair, and mostly False."""
    tiffs = (file for file in paired.image_files(top) if file.suffix.lower() in tiff.SUFFIXES)
    return any(_page_count(file) > 1 for file in itertools.islice(tiffs, _LOOKED_AT))


# Files that tell whether those of a folder are stacks.
_LOOKED_AT = 8


def holds_stacks(data: DataConfig) -> bool:
    """Whether most of a few pairs of files have as many pages as each other, and several.

    Args:
      data: whose `images` and `masks` are folders.

    Raises:
      InputError: they are not there, or nothing pairs.
    """
    if not _any_below(folder(data)):
        return False
    some = paired.listing(data).samples[:_LOOKED_AT]
    pages = [[_page_count(place(file.path)) for file in (one.image, one.mask)] for one in some]
    return sum(image == mask > 1 for image, mask in pages) * 2 > len(pages)


def _page_count(file: Path) -> int:
    """Pages of a TIFF file; 0 of any other."""
    if file.suffix.lower() not in tiff.SUFFIXES:
        return 0
    try:
        return decode.page_count(file)
    except BadFileError:
        return 0


def files(data: DataConfig) -> list[Path]:
    """Every file of images and of masks."""
    if _in_folders(data):
        return paired.files(data)
    two = _of_two_files(data)
    return [place(two.image.path), place(two.mask.path)]


def listing(data: DataConfig) -> Listing:
    """Pairs page n with page n.

    Of several files of images each is a group: neighbouring pages are too much alike to be on both
    sides of the split.

    Raises:
      InputError: a file or folder is missing, or there is no stack.
    """
    root = folder(data)
    pairs = paired.listing(data) if _in_folders(data) else Listing((_of_two_files(data),))
    several = len(pairs.samples) > 1
    every = [
        _paged(one._replace(group=one.group or one.key) if several else one, root)
        for one in pairs.samples
    ]
    samples = tuple(sample for pages in every for sample in pages.samples)
    lone_images = [entry for pages in every for entry in pages.lone_images]
    lone_masks = [entry for pages in every for entry in pages.lone_masks]
    if not samples:
        damaged = lone_images[0]
        raise InputError(f"{root / damaged.file} is no stack of images: {damaged.reason}.")
    return Listing(
        samples,
        (*pairs.lone_images, *lone_images),
        (*pairs.lone_masks, *lone_masks),
    )


def _paged(stack: Sample, root: Path) -> Listing:
    """The pages of a file of images and of one of masks; keys are their numbers, from 0.

    Of a pair of which one cannot be read it is set aside, and nothing of the other is used.
    """
    counts = []
    for reference in (stack.image, stack.mask):
        try:
            counts.append(decode.page_count(place(reference.path)))
        except BadFileError as error:
            return Listing((), lone_images=(SetAside(reference.name(root), str(error)),))
    pairs, digits = min(counts), len(str(max(counts) - 1))
    before = f"{stack.key}/" if stack.key else ""
    samples = tuple(
        stack._replace(
            key=f"{before}{page:0{digits}}",
            image=stack.image._replace(page=page),
            mask=stack.mask._replace(page=page),
            further=tuple(further._replace(page=page) for further in stack.further),
        )
        for page in range(pairs)
    )
    images, masks = (
        tuple(
            SetAside(reference._replace(page=page).name(root), reason)
            for page in range(pairs, count)
        )
        for reference, count, reason in zip(
            (stack.image, stack.mask), counts, ("image without mask", "mask without image")
        )
    )
    return Listing(samples, images, masks)


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


def _in_folders(data: DataConfig) -> bool:
    return bool((folder(data) / data.images).is_dir() or folders.placeholders(data.images))


def _of_two_files(data: DataConfig) -> Sample:
    """The stacks themselves, without a key."""
    root = folder(data)
    for key, name in (("images", data.images), ("masks", data.masks)):
        if not (root / name).is_file():
            raise InputError(f"data.{key}: there is no file {root / name}, which a stack needs.")
    return Sample("", Reference(str(root / data.images)), Reference(str(root / data.masks)))
