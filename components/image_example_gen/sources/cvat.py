"""CVAT for images 1.1: one XML file of polygons, boxes, ellipses and masks, and the images.

https://docs.cvat.ai/docs/dataset_management/formats/xml_format/. Shapes of one `group_id` are one
object; a higher `z_order` lies on top. Polylines, points and tags have no area and are left out, as
in CVAT's own export of masks. (That export, "Segmentation mask 1.1", is read as `voc`.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import drawing, shapes
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import Shape
from components.image_example_gen.sources import annotated, folder, folders, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

_BLOCK = 1 << 16
_DEEPEST = 32
_LONGEST_NAME = 1024
_DRAWN = ("polygon", "box", "ellipse", "mask")
_WITHOUT_AREA = ("polyline", "points", "tag", "cuboid", "skeleton")

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """An XML file of CVAT's form."""
    found = any(map(_is_cvat, annotated.annotation_files(path, ".xml")))
    return {"format": "cvat"} if found else None


def files(data: DataConfig) -> list[Path]:
    """Every image and every XML file."""
    return annotated.files(data, ".xml")


def listing(data: DataConfig) -> Listing:
    """The images that the XML files name; one without a shape has no object.

    Raises:
      InputError: there is no such file, one is damaged, or none of their images is there.
    """
    root = folder(data)
    names: dict[str, None] = {}
    entries: list[annotated.Entry | SetAside] = []
    for file in annotated.readable(data, ".xml"):
        if isinstance(file, SetAside):
            entries.append(file)
        elif _is_cvat(file):
            try:
                entries += _entries(file, Reference(str(file)).name(root), names)
            except BadFileError as error:
                raise annotated.damaged(file, root, error) from error
    if not entries:
        raise InputError(
            f"{root} holds no annotations.xml of CVAT for images 1.1; put it there, or set "
            "data.format."
        )
    words = {one.split for one in entries if isinstance(one, annotated.Entry)}
    sides = folders.sides(words)
    return annotated.listing(data, entries, names, sides if len({*sides.values()}) == 2 else {})


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The shapes' labels, by z_order."""
    return annotated.read_labels(sample, data, size, "last")


def _is_cvat(file: Path) -> bool:
    text = annotated.head(file)
    return bool(re.search(r"<annotations[\s>]", text)) and bool(
        re.search(r"<(version|meta|image)[\s>]", text)
    )


def _entries(
    file: Path, named: str, names: dict[str, None]
) -> Iterator[annotated.Entry | SetAside]:
    """The images of one file; adds its labels, in the order of its meta section, to `names`."""
    document = _Document()
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK):
                document.parser.Parse(block, False)
                yield from document.take(file, named)
            document.parser.Parse(b"", True)
    except expat.ExpatError as error:
        early = "no element found" in str(error) or "unclosed" in str(error)
        raise BadFileError(f"{'truncated' if early else 'corrupt'} XML: {error}") from error
    except OSError as error:
        raise BadFileError(f"cannot be opened: {error.strerror or error}") from error
    except (LookupError, ValueError) as error:  # an encoding that Python does not know
        raise BadFileError(f"corrupt XML: {error}") from error
    finally:
        names.update((name, None) for name in document.labels)
    yield from document.take(file, named)
    names.update((name, None) for name in sorted(document.used))


class _Document:
    """What was met so far of a document; expat calls it. Entities are refused before they grow."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.StartDoctypeDeclHandler = _refuse_doctype
        self.parser.EntityDeclHandler = _refuse_doctype
        self.labels: list[str] = []
        self.used: set[str] = set()
        self._path: list[str] = []
        self._name: list[str] = []
        self._image: dict[str, str] | None = None
        self._shapes: list[tuple[int, Shape]] = []
        self._fault = ""
        self._done: list[tuple[dict[str, str], list[Shape], str]] = []

    def take(self, file: Path, named: str) -> Iterator[annotated.Entry | SetAside]:
        """The images that ended since the last time."""
        done, self._done = self._done, []
        for image, found, fault in done:
            name = image.get("name", "")
            if fault:
                yield SetAside(f"{named}: image {name[:200]}", fault)
                continue
            size = _size(image)
            subset = image.get("subset", "")
            drawn = shapes.to_json(found, size)
            yield annotated.Entry(file, name, drawn, subset.lower(), subset)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > _DEEPEST:
            raise BadFileError("corrupt XML: nested too deep")
        if self._path == ["annotations", "track"]:
            raise BadFileError(
                "is CVAT for video; export CVAT for images 1.1, which has the frames as images"
            )
        if self._path == ["annotations", "image"]:
            self._image, self._shapes, self._fault = attributes, [], ""
        elif self._image is not None and len(self._path) == 3:
            self._shape(name, attributes)
        elif name == "name" and self._path[-3:-1] == ["labels", "label"]:
            self._name = []

    def _shape(self, kind: str, attributes: dict[str, str]) -> None:
        if kind in _WITHOUT_AREA:
            return
        label = attributes.get("label", "")
        try:
            if kind not in _DRAWN:
                raise BadFileError(f"has a {kind[:40]!r}, which is no shape of CVAT's")
            if not label:
                raise BadFileError(f"has a {kind} without a label")
            shape = _drawn(kind, label, attributes)
            self._shapes.append((int(attributes.get("z_order", "0")), shape))
            self.used.add(label)
        except (KeyError, ValueError, OverflowError) as error:
            self._fault = self._fault or f"{label!r}: a {kind} that lacks or garbles {error}"
        except BadFileError as error:
            self._fault = self._fault or str(error)

    def _end(self, name: str) -> None:
        if self._path == ["annotations", "image"] and self._image is not None:
            ordered = [shape for _, shape in sorted(self._shapes, key=lambda pair: pair[0])]
            self._done.append((self._image, ordered, self._fault))
            self._image = None
        elif name == "name" and self._path[-3:-1] == ["labels", "label"]:
            label = "".join(self._name).strip()
            if label and label not in self.labels:
                self.labels.append(label)
        self._path.pop()

    def _text(self, text: str) -> None:
        if self._path[-1:] == ["name"] and sum(map(len, self._name)) < _LONGEST_NAME:
            self._name.append(text)


def _drawn(kind: str, label: str, attributes: dict[str, str]) -> Shape:
    group = attributes.get("group_id", "0")
    group = "" if group == "0" else group
    geometry: Any
    if kind == "polygon":
        pairs = attributes["points"].split(";")
        geometry = [[float(number) for pair in pairs for number in _pair(pair)]]
        return Shape(label, "polygons", geometry, group)
    if kind == "box":
        left, top, right, bottom = (float(attributes[key]) for key in ("xtl", "ytl", "xbr", "ybr"))
        corners = drawing.rectangle(left, top, right, bottom)
        centre = (left + right) / 2, (top + bottom) / 2
        turned = drawing.turned(corners, centre, _number(attributes.get("rotation", "0")))
        return Shape(label, "polygons", [turned], group)
    if kind == "ellipse":
        geometry = [float(attributes[key]) for key in ("cx", "cy", "rx", "ry")]
        return Shape(label, "ellipse", [*geometry, _number(attributes.get("rotation", "0"))], group)
    box = [int(float(attributes[key])) for key in ("left", "top", "width", "height")]
    counts = [int(part) for part in attributes["rle"].split(",")]
    return Shape(label, "rows", [*box, counts], group)


def _pair(text: str) -> list[str]:
    pair = text.split(",")
    if len(pair) != 2:
        raise ValueError(f"its point {text[:40]!r}")
    return pair


def _number(text: str) -> float:
    value = float(text)
    if not -1e6 < value < 1e6:
        raise ValueError(f"its angle {text[:40]!r}")
    return value


def _size(image: dict[str, str]) -> tuple[int, int] | None:
    height, width = image.get("height", ""), image.get("width", "")
    if re.fullmatch(r"\d{1,9}", height) and re.fullmatch(r"\d{1,9}", width):
        return int(height), int(width)
    return None


def _refuse_doctype(*_: Any) -> None:
    raise BadFileError("an XML file with a document type or entities, which CVAT never writes")
