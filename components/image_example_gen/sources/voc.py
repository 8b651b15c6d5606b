"""PASCAL VOC: JPEGImages, SegmentationClass, and lists of names in ImageSets/Segmentation.

Everingham et al. 2010, "The Pascal Visual Object Classes Challenge", and its development kit
(VOC2012, section 3.5): palettes of 21 classes, and 255 for `void`. CVAT's "Segmentation mask 1.1"
and labelme's labelme2voc.py have the same folders, with colours in labelmap.txt or names in
class_names.txt.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import label_files
from components.image_example_gen.config import DataConfig, Value
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import annotated, folder, folders, inside, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

IMAGES, MASKS, OBJECTS, LISTS = (
    "JPEGImages",
    "SegmentationClass",
    "SegmentationObject",
    "ImageSets/Segmentation",
)

# VOC2012 development kit, VOCinit.m, in the order of the indices from 1.
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair",
    "cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa",
    "train", "tvmonitor",
)  # fmt: skip
# A year and a number: only the challenge's own images mean its classes.
_OWN_NAME = re.compile(r"20\d\d_\d{6}")

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """VOC's folders, at this place or one or two below it, as in VOCdevkit/VOC2012."""
    for top in _tops(path):
        if (top / MASKS).is_dir() and any((top / name).is_dir() for name in (IMAGES, LISTS)):
            masks = paired.image_files(top / MASKS)
            if not masks:
                continue
            prefix = "" if top == path else f"{top.relative_to(path).as_posix()}/"
            keys = {"format": "voc", "images": f"{prefix}{IMAGES}", "masks": f"{prefix}{MASKS}"}
            if _label_map(top):
                keys["coding"] = "colours"
            return keys
    return None


def files(data: DataConfig) -> list[Path]:
    """Images, masks and lists."""
    top = _top(data)
    lists = annotated.annotation_files(top / LISTS, ".txt") if (top / LISTS).is_dir() else []
    return sorted({*_images(data), *_masks(data), *lists, *_objects(top)})


def listing(data: DataConfig) -> Listing:
    """Each mask with its image; train.txt and val.txt say the sides, if both are there.

    An image without a mask is not labelled: VOC has segmentations of a fraction of its images. A
    name of a list without a mask is a fault.

    Raises:
      InputError: a folder is missing, or no mask has an image.
    """
    root, top = folder(data), _top(data)
    images = {file.stem: file for file in _images(data)}
    masks = {file.stem: file for file in _masks(data)}
    lone_masks = [
        SetAside(Reference(str(mask)).name(root), f"mask without image: there is no {name}.*")
        for name, mask in masks.items()
        if name not in images
    ]
    splits, lone_images = _lists(root, top, images, masks)
    objects = {file.stem: file for file in _objects(top)}
    samples = tuple(
        Sample(
            name,
            Reference(str(images[name])),
            Reference(str(masks[name])),
            further=(Reference(str(objects[name])),) if name in objects else (),
            split=splits.get(name, ""),
        )
        for name in sorted(masks, key=natural_key)
        if name in images
    )
    if not samples:
        raise InputError(
            f"no mask in {root / data.masks} has an image of its name in {root / data.images}; "
            "set data.images and data.masks."
        )
    return Listing(
        samples,
        tuple(lone_images),
        tuple(lone_masks),
        labels=_labels(top, masks),
        unlabelled=len(images.keys() - masks.keys() - {Path(one.file).stem for one in lone_images}),
    )


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """Indices of the palette, or colours where the classes are colours; objects, if there are."""
    found = label_files.read(sample.mask, data)
    if not sample.further:
        return found
    try:
        objects = label_files.read(sample.further[0], data.model_copy(update={"coding": "objects"}))
        if objects.values.shape != found.values.shape[:2]:
            raise BadFileError(f"has another size than in {MASKS}")
    except BadFileError as error:
        raise BadFileError(f"{OBJECTS}/{Path(sample.further[0].path).name}: {error}") from error
    numbers = objects.values.astype(np.int32)
    if found.values.ndim == 2:  # void is no object
        numbers[found.values == _VOID] = 0
    return found._replace(instances=numbers)


_VOID = 255


def _tops(path: Path) -> list[Path]:
    """A folder and those one and two levels below it, breadth first."""
    tops, level = [path], [path]
    for _ in range(2):
        level = sorted(
            one for top in level for one in top.iterdir() if one.is_dir() and one.name[0] != "."
        )
        if len(level) > _MOST_FOLDERS:
            break
        tops += level
    return tops


_MOST_FOLDERS = 64


def _top(data: DataConfig) -> Path:
    return (folder(data) / data.masks).parent


def _images(data: DataConfig) -> list[Path]:
    top = folder(data) / data.images
    if not top.is_dir():
        raise InputError(f"data.images: there is no folder {top}, which VOC's layout needs.")
    return paired.image_files(top)


def _masks(data: DataConfig) -> list[Path]:
    top = folder(data) / data.masks
    if not top.is_dir():
        raise InputError(f"data.masks: there is no folder {top}, which VOC's layout needs.")
    return paired.image_files(top)


def _objects(top: Path) -> list[Path]:
    return paired.image_files(top / OBJECTS) if (top / OBJECTS).is_dir() else []


def _lists(
    root: Path, top: Path, images: dict[str, Path], masks: dict[str, Path]
) -> tuple[dict[str, str], list[SetAside]]:
    """The side of each name that a list gives one, and the names that have no image or mask."""
    if not (top / LISTS).is_dir():
        return {}, []
    lists = annotated.annotation_files(top / LISTS, ".txt")
    sides = folders.sides({file.stem.lower() for file in lists})
    splits: dict[str, str] = {}
    lone = []
    for file in lists:
        side = sides.get(file.stem.lower())
        if side is None:
            continue
        if not inside.own(file, root):
            lone.append(SetAside(Reference(str(file)).name(root), inside.IS_A_LINK))
            continue
        try:
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            lone.append(SetAside(Reference(str(file)).name(root), f"cannot be opened: {error}"))
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            named = f"{Reference(str(file)).name(root)} line {number}"
            try:
                name = inside.checked(line.split()[0])
            except BadFileError as error:
                lone.append(SetAside(named, str(error)))
                continue
            if name not in images or name not in masks:
                lacks = "image" if name not in images else "mask"
                lone.append(SetAside(named, f"there is no {lacks} {name[:200]}.*"))
            elif splits.setdefault(name, side) != side:
                lone.append(SetAside(named, f"{name[:200]} is in a list of the other side too"))
    return (splits if len({*splits.values()}) == 2 else {}), lone


def _labels(top: Path, masks: dict[str, Path]) -> tuple[tuple[str, Value], ...]:
    """The classes' names, from a file beside the masks or, of VOC's own images, VOC's."""
    found: tuple[tuple[str, Value], ...] = _label_map(top)
    if found:
        return found
    lines = [line.strip() for line in _beside(top, "class_names.txt")]
    if any(lines):  # labelme2voc.py counts from 0 and leaves __ignore__ out
        kept = [line for line in lines if line and line != "__ignore__"]
        return tuple((name, index) for index, name in enumerate(kept))
    if all(_OWN_NAME.fullmatch(name) for name in masks):
        return tuple((name, index) for index, name in enumerate(CLASSES))
    return ()


def _beside(top: Path, name: str) -> list[str]:
    """The first lines of a file of the data set, if there is one."""
    file = top / name
    return annotated.head(file).splitlines() if inside.own(file, top) else []


def _label_map(top: Path) -> tuple[tuple[str, str], ...]:
    """CVAT's labelmap.txt, a line a label: name:r,g,b:parts:actions."""
    found = []
    for line in _beside(top, "labelmap.txt"):
        match = re.fullmatch(r"([^#:][^:]*):(\d{1,3}),(\d{1,3}),(\d{1,3})(:.*)?", line.strip())
        if match:
            red, green, blue = (min(int(part), 255) for part in match.groups()[1:4])
            found.append((match[1].strip(), f"#{red:02x}{green:02x}{blue:02x}"))
    # CVAT sorts them as it likes; what is not labelled comes first here.
    return tuple(sorted(found, key=lambda pair: pair[0] != "background"))
