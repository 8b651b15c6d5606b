"""Folders of images beside folders of masks; files pair by name, and subfolders may nest.

images/x/7.png          masks/x/7_mask.png
{SPLIT}/7.png           {SPLIT}annot/7.png      train, trainannot, val, valannot
*/images/7.png          */masks/*.png           a folder an image, a file an object
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, label_files
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import folder, pairing
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample
from components.image_example_gen.sources.scanning import Group, Side, groups, image_files
from components.places import opened

__all__ = ["digest", "files", "image_files", "listing", "read_image", "read_labels", "recognise"]


def recognise(path: Path) -> dict[str, Any] | None:
    """The pair of folders whose files' names match best; see `Source.recognise`."""
    found = pairing.best_pair(path, image_files(path))
    return None if found is None else {"format": "paired", **found}


def files(data: DataConfig) -> list[Path]:
    """Every image, mask and region, paired or not."""
    return sorted(
        {
            path
            for group in groups(data)
            for side in (group.images, group.masks, group.regions)
            if side
            for path in side.files()
        }
    )


def listing(data: DataConfig) -> Listing:
    """Pairs each image with the mask, or the masks, of its name, whatever their endings.

    Raises:
      InputError: a folder is missing or empty, or no image has a mask.
    """
    root = folder(data)
    samples: list[Sample] = []
    lone_images: list[SetAside] = []
    lone_masks: list[SetAside] = []
    for group in groups(data):
        paired = group.images.first.keys() & group.masks.first.keys()
        lone_images += _left_over(group, "images", root, paired, data)
        lone_masks += _left_over(group, "masks", root, paired, data)
        for key in sorted(group.images.first.keys() | group.masks.first, key=natural_key):
            image, mask = group.images.first.get(key), group.masks.first.get(key)
            reason = ""
            if image is None and mask:
                reason = f"mask without image: there is no {group.wanted('images', key)}"
                lone_masks.append(SetAside(Reference(str(mask)).name(root), reason))
                continue
            if mask is None:
                reason = f"image without mask: there is no {group.wanted('masks', key)}"
            elif group.regions and key not in group.regions.first:
                reason = f"image without region: there is no {group.wanted('regions', key)}"
            if reason:
                lone_images.append(SetAside(Reference(str(image)).name(root), reason))
            else:
                samples.append(_sample(group, key))
    if not samples:
        raise InputError(
            f"no image in {root / data.images} has a mask of its name in {root / data.masks}; "
            "set data.mask_suffix to what the masks' names add, or data.images and data.masks."
        )
    samples.sort(key=lambda sample: natural_key(sample.key))
    return Listing(tuple(samples), tuple(lone_images), tuple(lone_masks))


def digest(image: Reference) -> str:
    """SHA-256 of the file."""
    sha256 = hashlib.sha256()
    try:
        with opened(image.path) as file:
            while block := file.read(_BLOCK):
                sha256.update(block)
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror}") from error
    return sha256.hexdigest()


# A larger one is more memory than the processor has at hand.
_BLOCK = 1 << 18


def read_image(image: Reference) -> np.ndarray:
    """[H, W, C] of the file's dtype."""
    return decode.decode_image(image.path, image.page, image.box)


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """What the mask, or the masks of an image's objects, say."""
    if data.mask_per == "object":
        labels = label_files.merged([sample.mask, *sample.further], data, size)
    else:
        labels = label_files.read(sample.mask, data)
    if sample.region is not None and labels.values.shape[:2] == size:
        labels = labels._replace(region=label_files.region(sample.region, size))
    return labels


def _sample(group: Group, key: str) -> Sample:
    region = group.regions.first[key] if group.regions else None
    return Sample(
        key,
        Reference(str(group.images.first[key])),
        Reference(str(group.masks.first[key])),
        further=tuple(Reference(str(path)) for path in group.masks.further.get(key, ())),
        region=Reference(str(region)) if region else None,
        split=group.split,
    )


def _left_over(
    group: Group, kind: str, root: Path, paired: Collection[str], data: DataConfig
) -> Iterator[SetAside]:
    """Files that have no key, or one that another file has."""
    side: Side = getattr(group, kind)
    for path, first in side.twice.items():
        yield SetAside(
            Reference(str(path)).name(root),
            f"has the same name as {first.name}; keep one of them",
        )
    which = {"images": "image", "masks": "mask"}[kind]
    prefix, suffix = getattr(data, f"{which}_prefix"), getattr(data, f"{which}_suffix")
    for path, name in side.others.items():
        if group.is_beside(name, paired):
            continue
        if kind == "masks" and data.mask_per == "object":
            reason = "mask without image: it is an object of no image"
        elif not name.rpartition("/")[2].startswith(prefix):
            reason = f"its name does not begin with {prefix}"
        else:
            reason = f"its name does not end in {suffix}"
        yield SetAside(Reference(str(path)).name(root), reason)
