"""Label Studio exports: JSON and JSON-MIN with polygons, rectangles, ellipses and brush masks.

https://labelstud.io/guide/export and https://labelstud.io/tags: coordinates are percentages of the
image's size, angles degrees clockwise. Later regions lie on top. Of several annotations of one task
the last that was not cancelled counts. Key points have no area and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, drawing, shapes
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import Shape
from components.image_example_gen.sources import annotated, folder, json_text, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

_SIGNS = re.compile(
    r'"(polygonlabels|rectanglelabels|brushlabels|ellipselabels|from_name|original_width)"'
    r'|"annotations"\s*:|"completions"\s*:'
)
_LABELS = ("polygonlabels", "rectanglelabels", "ellipselabels", "brushlabels", "labels")
_WITHOUT_AREA = (
    "keypointlabels",
    "keypoint",
    "labels",
    "choices",
    "textarea",
    "rating",
    "relation",
)
# What uploading puts before a file's name.
_PREFIX = re.compile(r"^[0-9a-f]{8}-")
_SERVED = "/data/upload/", "/data/local-files/"

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """A JSON file of Label Studio's form."""
    found = any(map(_is_label_studio, annotated.annotation_files(path, ".json")))
    return {"format": "label_studio"} if found else None


def files(data: DataConfig) -> list[Path]:
    """Every image and every JSON file."""
    return annotated.files(data, ".json")


def listing(data: DataConfig) -> Listing:
    """The images of the tasks that were annotated; one without a region has no object.

    Raises:
      InputError: there is no export, one is damaged, or none of their images is there.
    """
    root = folder(data)
    names: dict[str, None] = {}
    entries: list[annotated.Entry | SetAside] = []
    for file in annotated.readable(data, ".json"):
        if isinstance(file, SetAside):
            entries.append(file)
        elif _is_label_studio(file):
            try:
                for _, task in json_text.values(file, set()):
                    entries += _entry(file, Reference(str(file)).name(root), task, names)
            except BadFileError as error:
                raise annotated.damaged(file, root, error) from error
    if not entries:
        raise InputError(
            f"{root} holds no JSON export of Label Studio with annotations; put it there, or set "
            "data.format."
        )
    return annotated.listing(data, entries, sorted(names), {})


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The regions' labels, later ones on top."""
    return annotated.read_labels(sample, data, size, "last")


def _is_label_studio(file: Path) -> bool:
    text = annotated.head(file)
    return text.lstrip()[:1] == "[" and bool(_SIGNS.search(text))


def _entry(
    file: Path, within: str, task: Any, names: dict[str, None]
) -> Iterator[annotated.Entry | SetAside]:
    """A task's image and regions; nothing of a task that nobody annotated."""
    named = f"{within}: task {str(task.get('id') if isinstance(task, dict) else task)[:40]}"
    try:
        if not isinstance(task, dict):
            raise BadFileError("is no task of Label Studio")
        results = _results(task)
        if results is None:
            return
        image, alias = _image(task)
        size, found = _shapes(results)
    except BadFileError as error:
        yield SetAside(named, str(error))
        return
    names.update((one.label, None) for one in found)
    yield annotated.Entry(file, image, shapes.to_json(found, size), alias=alias)


def _results(task: dict[str, Any]) -> list[dict[str, Any]] | None:
    """The regions of a task, in the form of the full export; None where nobody annotated it."""
    if "annotations" in task or "completions" in task:
        made = task.get("annotations", task.get("completions"))
        if not isinstance(made, list) or not all(isinstance(one, dict) for one in made):
            raise BadFileError("its annotations are no list of objects")
        kept = [one for one in made if not one.get("was_cancelled")]
        if not kept:
            return None
        results = kept[-1].get("result")
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            raise BadFileError("its annotation has no list of results")
        return results
    # JSON-MIN has the values alone, in a list by the name of the labelling tag.
    lists = [
        value
        for value in task.values()
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value)
    ]
    if not lists:
        return None
    return [
        {**{key: one.get(key) for key in ("original_width", "original_height")}, "value": one}
        for values in lists
        for one in values
    ]


def _shapes(results: list[dict[str, Any]]) -> tuple[tuple[int, int] | None, list[Shape]]:
    """The shapes of one annotation, and the (height, width) that they are percentages of."""
    size: tuple[int, int] | None = None
    # A <Labels> tag beside a <Polygon> gives two results of one id.
    of_id = {}
    for result in results:
        label = _label(result.get("value"))
        if label and result.get("id"):
            of_id[str(result["id"])] = label
    found = []
    for result in results:
        value = result.get("value")
        kind = str(result.get("type") or "")
        if not isinstance(value, dict) or kind in _WITHOUT_AREA or "keypointlabels" in value:
            continue
        if not {"points", "rx", "radiusX", "rle", "width"} & value.keys():
            continue
        if result.get("image_rotation"):
            raise BadFileError(
                "was turned in Label Studio; turn the image itself and label it anew"
            )
        label = _label(value) or of_id.get(str(result.get("id")), "")
        if not label:
            raise BadFileError("has a region without a label")
        here = result.get("original_height"), result.get("original_width")
        if not all(isinstance(side, int) and 0 < side < 2**31 for side in here):
            raise BadFileError("has a region that lacks original_width and original_height")
        if size and here != size:
            raise BadFileError("has regions of images of two sizes")
        size = here  # type: ignore[assignment]
        try:
            found.append(_shape(label, value, here[0], here[1]))  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise BadFileError(f"{label!r}: a region that lacks or garbles {error}") from None
    return size, found


def _label(value: Any) -> str:
    """The label of a region; empty where it has none.

    Raises:
      BadFileError: it has several.
    """
    if not isinstance(value, dict):
        return ""
    labels = next((value[key] for key in _LABELS if value.get(key)), None)
    if labels is None:
        return ""
    if not isinstance(labels, list) or not all(isinstance(one, str) for one in labels):
        raise BadFileError("has a region whose labels are no list of names")
    if len(labels) > 1:
        raise BadFileError(f"has a region of several labels, {', '.join(labels)[:100]}")
    return labels[0]


def _shape(label: str, value: dict[str, Any], height: int, width: int) -> Shape:
    if "rle" in value:
        if not isinstance(value["rle"], list):
            raise TypeError("rle")
        return Shape(label, "brush", value["rle"])
    if "points" in value:
        points = [coordinate for pair in value["points"] for coordinate in _pair(pair)]
        scaled = [
            float(one) * side / 100 for one, side in zip(points, [width, height] * len(points))
        ]
        return Shape(label, "polygons", [scaled])
    angle = float(value.get("rotation") or 0)
    x, y = float(value["x"]) * width / 100, float(value["y"]) * height / 100
    if not abs(angle) < 1e6:
        raise ValueError("rotation")
    if "radiusX" in value:
        radii = float(value["radiusX"]) * width / 100, float(value["radiusY"]) * height / 100
        return Shape(label, "ellipse", [x, y, *radii, angle])
    right = x + float(value["width"]) * width / 100
    bottom = y + float(value["height"]) * height / 100
    corners = drawing.rectangle(x, y, right, bottom)
    # It turns around its first corner.
    return Shape(label, "polygons", [drawing.turned(corners, (x, y), angle)])


def _pair(pair: Any) -> list[Any]:
    if not isinstance(pair, list) or len(pair) != 2:
        raise ValueError("points")
    return pair


def _image(task: dict[str, Any]) -> tuple[str, str]:
    """The image's name, and its name before it was uploaded.

    Tasks name images by where Label Studio serves them, or by an address: the end of it counts.
    """
    data = task.get("data", task)
    texts = [one for one in data.values() if isinstance(one, str)] if isinstance(data, dict) else []
    first = data.get("image") if isinstance(data, dict) else None
    for text in (first, *texts):
        if isinstance(text, str) and _path(text).lower().endswith(tuple(decode.SUFFIXES)):
            name = _path(text)
            break
    else:
        name = str(task.get("file_upload") or first or "")
        if not name:
            raise BadFileError("names no image")
    folder_, _, last = name.rpartition("/")
    bare = _PREFIX.sub("", last)
    return name, f"{folder_}/{bare}" if folder_ else bare


def _path(text: str) -> str:
    """The path within an address; other texts as they are."""
    try:
        parts = urlsplit(text)
        if text.startswith(_SERVED[1]):
            return parse_qs(parts.query).get("d", [""])[0]
    except ValueError:
        return text
    if text.startswith(_SERVED[0]) or parts.netloc:
        return unquote(parts.path).rpartition("/")[2]
    return text
