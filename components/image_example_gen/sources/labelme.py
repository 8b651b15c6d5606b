"""LabelMe: a JSON file of shapes for each image, and labels.txt, which gives their order.

https://github.com/wkentaro/labelme. Shapes of one label and `group_id` are one object. An image is
a file that `imagePath` names, or is in the JSON file itself as `imageData`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, shapes
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import annotated, folder, inside, json_text, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample
from components.places import place

_SIGNS = re.compile(r'"(shapes|imagePath|imageData|shape_type)"\s*:')
# The tool's name of a shape, and how it is drawn.
_KINDS = {
    "polygon": "outline",
    "rectangle": "rectangle",
    "circle": "circle",
    "line": "line",
    "linestrip": "linestrip",
    "point": "point",
    "points": "point",
    "mask": "bitmap",
}
_MOST_LABEL_FILES = 64


def recognise(path: Path) -> dict[str, Any] | None:
    """JSON files of LabelMe's form, as many as any other."""
    found = annotated.annotation_files(path, ".json")
    ours = sum(map(_is_labelme, found))
    return {"format": "labelme"} if ours and 2 * ours >= len(found) else None


def files(data: DataConfig) -> list[Path]:
    """Every image and every JSON file."""
    return annotated.files(data, ".json")


def listing(data: DataConfig) -> Listing:
    """Each JSON file with its image.

    Raises:
      InputError: there is no such file, or no image of one.
    """
    root = folder(data)
    paths = paired.image_files(root)
    present = {*paths}
    found: dict[Path, Path] = {}
    names: dict[str, None] = {}
    lone = []
    for file in annotated.readable(data, ".json"):
        if isinstance(file, SetAside):
            lone.append(file)
            continue
        if not _is_labelme(file):
            continue
        try:
            content = _content(file)
            names.update((one.label, None) for one in _shapes(content))
            image = _image(root, file, content, present)
            if image in found:
                first = found[image].relative_to(root).as_posix()
                raise BadFileError(f"its image has labels in {first} already; keep one of them")
            found[image] = file
        except BadFileError as error:
            lone.append(SetAside(Reference(str(file)).name(root), str(error)))
    if not found:
        why = f", such as {lone[0].file}: {lone[0].reason}" if lone else ""
        raise InputError(f"{root} holds no LabelMe file that can be used{why}.", lone)
    keys = annotated.keyed(root, found)
    samples = tuple(
        Sample(keys[image], Reference(str(image)), Reference(str(file)))
        for image, file in sorted(
            found.items(), key=lambda pair: annotated.natural_key(keys[pair[0]])
        )
    )
    ordered = dict.fromkeys([*_listed(root), *sorted(names)])
    return Listing(
        samples,
        lone_masks=tuple(lone),
        labels=annotated.named_labels(ordered),
        unlabelled=len(present - found.keys()),
    )


def digest(image: Reference) -> str:
    """SHA-256 of the image's file, or of the image within a JSON file."""
    if not _embedded(image):
        return paired.digest(image)
    return hashlib.sha256(_image_data(_content(place(image.path)))).hexdigest()


def read_image(image: Reference) -> np.ndarray:
    """[H, W, C] of the image's dtype."""
    if not _embedded(image):
        return paired.read_image(image)
    return decode.decode_image(_image_data(_content(place(image.path))), None, image.box)


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The shapes' labels, later shapes on top, as LabelMe draws them."""
    content = _content(place(sample.mask.path))
    claimed = content.get("imageHeight"), content.get("imageWidth")
    if all(isinstance(side, int) for side in claimed):
        shapes.refuse_other_size(claimed, size)
    return shapes.labels(_shapes(content), size, unlabelled_counts=data.unlabelled == "background")


def _is_labelme(file: Path) -> bool:
    text = annotated.head(file)
    return text.lstrip()[:1] == "{" and bool(_SIGNS.search(text)) and '"annotations"' not in text


def _content(file: Path) -> dict[str, Any]:
    content = json_text.read(file)
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        raise BadFileError("holds no shapes of LabelMe")
    return content


def _shapes(content: dict[str, Any]) -> list[shapes.Shape]:
    found = []
    for entry in content["shapes"]:
        label = entry.get("label") if isinstance(entry, dict) else None
        if not isinstance(label, str) or not label:
            raise BadFileError("has a shape without a label")
        kind = _KINDS.get(str(entry.get("shape_type") or "polygon"))
        if kind is None:
            raise BadFileError(f"{label!r}: a shape of type {str(entry['shape_type'])[:40]!r}")
        geometry = entry.get("points")
        if kind == "bitmap":
            corner = geometry[0] if isinstance(geometry, list) and geometry else None
            pair = corner if isinstance(corner, list) and len(corner) == 2 else [None, None]
            geometry = [*pair, entry.get("mask")]
        group = entry.get("group_id")
        found.append(shapes.Shape(label, kind, geometry, "" if group is None else str(group)))
    return found


def _image(root: Path, file: Path, content: dict[str, Any], present: set[Path]) -> Path:
    """The image's file; the JSON file itself, if it is in there.

    LabelMe names it relative to the JSON file, with `..` where that was saved elsewhere.
    """
    name = content.get("imagePath")
    path = inside.beside(root, file, name) if name else file
    if path in present:
        return path
    near = [file.with_suffix(suffix) for suffix in sorted(decode.SUFFIXES)]
    moved = next((one for one in (file.with_name(path.name), *near) if one in present), None)
    if moved:
        return moved
    if isinstance(content.get("imageData"), str):
        return file
    raise BadFileError(f"its image {str(name)[:200]} is not there, and imageData holds none")


def _embedded(image: Reference) -> bool:
    return image.path.lower().endswith(".json")


def _image_data(content: dict[str, Any]) -> bytes:
    try:
        return base64.b64decode(content["imageData"], validate=True)
    except (binascii.Error, KeyError, TypeError, ValueError):
        raise BadFileError("its imageData is no base64 text") from None


def _listed(root: Path) -> list[str]:
    """The labels of labels.txt, in its order; of several the first."""
    found = [
        file
        for file in annotated.annotation_files(root, ".txt")
        if file.name == "labels.txt" and inside.own(file, root)
    ]
    names: dict[str, None] = {}
    for file in found[:_MOST_LABEL_FILES]:
        names.update((line.strip(), None) for line in annotated.head(file).splitlines())
    return [name for name in names if name]
