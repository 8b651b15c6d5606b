"""COCO instances: JSON files of polygons and run lengths beside the images.

Lin et al. 2014, "Microsoft COCO", and https://cocodataset.org/#format-data. An image's labels
travel in its sample, so that nobody reads the whole file for one image; it is read value by value.
Of objects that overlap, the smaller is seen: by the pixels that it covers, not by its `area`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import Shape
from components.image_example_gen.sources import annotated, folder, folders, json_text, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

_MEMBERS = {"images", "annotations", "categories"}
_SIGNS = re.compile(r'"(images|annotations|categories|licenses|supercategory|image_id|file_name)"')

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """A JSON file of COCO's form whose images are there."""
    names = {file.name for file in paired.image_files(path)}
    for file in annotated.annotation_files(path, ".json"):
        if not _is_coco(file):
            continue
        try:
            for member, value in json_text.values(file, {"images"}):
                known = member and isinstance(value, dict)
                if known and Path(str(value.get("file_name"))).name in names:
                    return {"format": "coco"}
        except BadFileError:
            return {"format": "coco"} if names else None  # so that its listing tells the fault
    return None


def files(data: DataConfig) -> list[Path]:
    """Every image and every JSON file."""
    return annotated.files(data, ".json")


def listing(data: DataConfig) -> Listing:
    """The images that the JSON files name, each with its annotations; one without has no object.

    Raises:
      InputError: there is no such file, one is damaged, or none of their images is there.
    """
    root = folder(data)
    names: dict[str, None] = {}
    shaped: list[bool] = []
    entries: list[annotated.Entry | SetAside] = []
    words = set()
    found = list(annotated.readable(data, ".json"))
    entries += [one for one in found if isinstance(one, SetAside)]
    kept = [file for file in found if not isinstance(file, SetAside) and _is_coco(file)]
    # COCO's own captions and keypoints lie beside its instances and name the same images.
    for file in [file for file in kept if "instances" in file.stem.lower()] or kept:
        word = annotated.side_word(file.stem)
        words.add(word)
        try:
            entries += _entries(file, root, word, names, shaped)
        except BadFileError as error:
            raise annotated.damaged(file, root, error) from error
    if not entries:
        raise InputError(
            f"{root} holds no JSON file of COCO instances; put it there, or set data.format."
        )
    if shaped and not any(shaped):
        raise InputError(
            f"{root}: the annotations have boxes but no segmentation; export polygons or masks."
        )
    sides = folders.sides(words)
    # One side alone would leave the other empty: then the split is the configuration's.
    sides = sides if len({*sides.values()}) == 2 else {}
    return annotated.listing(data, entries, names, sides)


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The objects' categories, the smallest object on top."""
    return annotated.read_labels(sample, data, size, "smallest")


def _is_coco(file: Path) -> bool:
    text = annotated.head(file)
    return text.lstrip()[:1] == "{" and '"shapes"' not in text and bool(_SIGNS.search(text))


def _entries(
    file: Path, root: Path, split: str, names: dict[str, None], shaped: list[bool]
) -> Iterator[annotated.Entry | SetAside]:
    """The images of one file, in its order; adds its categories to `names`.

    None of a file without any annotation, such as COCO's lists of test images. Annotations
    may stand before the categories and the images that they belong to.
    """
    categories: dict[Any, str] = {}
    images: dict[Any, tuple[str, tuple[int, int] | None]] = {}
    objects: dict[Any, list[str]] = {}
    faults: dict[Any, str] = {}
    for member, value in json_text.values(file, _MEMBERS):
        if not isinstance(value, dict):
            raise BadFileError(f"corrupt COCO: an entry of {member} is no object")
        try:
            if member == "categories":
                categories[_id(value["id"])] = _name(value["name"])
            elif member == "images":
                images[_id(value["id"])] = str(value["file_name"]), _size(value)
            elif member == "annotations":
                owner = _id(value["image_id"])
                shaped.append(bool(value.get("segmentation")))
                try:
                    objects.setdefault(owner, []).append(_packed(value))
                except BadFileError as error:
                    faults.setdefault(owner, str(error))
        except KeyError as error:
            raise BadFileError(f"corrupt COCO: an entry of {member} lacks {error}") from None
    if not (images and categories):
        lacks = "category" if images else "image"
        yield SetAside(Reference(str(file)).name(root), f"names no {lacks}, as instances do")
        return
    if not (objects or faults):
        return
    for name in categories.values():
        names[name] = None
    # Copies of a category's name in each object would be half of all text.
    labels = {key: json.dumps(name) for key, name in categories.items()}
    here = file.stem
    for owner, (image, size) in images.items():
        packed = objects.pop(owner, [])
        try:
            if owner in faults:
                raise BadFileError(faults[owner])
            text = ",".join(_labelled(one, labels) for one in packed)
        except BadFileError as error:
            name = f"{Reference(str(file)).name(root)}: image {image[:200]}"
            yield SetAside(name, str(error))
            continue
        near = here.removeprefix("instances_")
        yield annotated.Entry(file, image, f"[{json.dumps(size)},[{text}]]", split, near)
    for owner, packed in objects.items():
        yield SetAside(
            f"{Reference(str(file)).name(root)}: image_id {str(owner)[:40]}",
            f"{len(packed)} annotations of an image that the file does not name",
        )


def _packed(value: dict[str, Any]) -> str:
    """One annotation as JSON of a `Shape`, its category's id in place of its label."""
    segmentation = value.get("segmentation")
    if isinstance(segmentation, dict):
        kind = "runs"
        segmentation = {key: segmentation.get(key) for key in ("size", "counts")}
    elif isinstance(segmentation, list) and segmentation:
        kind = "polygons"
    else:
        raise BadFileError(f"annotation {str(value.get('id'))[:40]} has no segmentation")
    category = _id(value["category_id"])
    shape = Shape("", kind, segmentation, "", bool(value.get("iscrowd")))
    return f"{json.dumps(category)}\0{json.dumps(shape[1:], separators=(',', ':'))}"


def _labelled(packed: str, labels: dict[Any, str]) -> str:
    category, rest = packed.split("\0", 1)
    key = json.loads(category)
    if key not in labels:
        raise BadFileError(
            f"an annotation's category_id {str(key)[:40]} is not among the categories"
        )
    return f"[{labels[key]},{rest[1:]}"


def _id(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise BadFileError(f"corrupt COCO: {str(value)[:40]!r} is no id")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadFileError("corrupt COCO: a category without a name")
    return value


def _size(image: dict[str, Any]) -> tuple[int, int] | None:
    size = image.get("height"), image.get("width")
    if all(isinstance(side, int) and side > 0 for side in size):
        return size[0], size[1]  # type: ignore[return-value]
    return None
