from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import BACKGROUND
from components.image_example_gen.sources import label_studio
from tests.components.image_example_gen.test_rle import pack


def result(kind: str, value: dict[str, Any], label: str = "cat", **keys: Any) -> dict[str, Any]:
    return {
        "id": "r1",
        "type": kind,
        "from_name": "label",
        "to_name": "image",
        "original_width": 8,
        "original_height": 4,
        "image_rotation": 0,
        "value": {**value, kind: [label]},
        **keys,
    }


def task(*results: dict[str, Any], image: str = "/data/upload/1/0a1b2c3d-a.png", **keys: Any):
    annotation = {"id": 7, "was_cancelled": False, "result": list(results)}
    return {"id": 5, "data": {"image": image}, "annotations": [annotation], **keys}


def write(root: Path, *tasks: object, names: tuple[str, ...] = ("a.png",)) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "export.json").write_text(json.dumps(list(tasks)))
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((4, 8), np.uint8)).save(root / name)
    return root


def data(root: Path) -> DataConfig:
    return DataConfig(path=root, format="label_studio")


def read(root: Path) -> tuple[tuple[str, ...], np.ndarray]:
    (sample,) = sources.listing(data(root)).samples
    labels = label_studio.read_labels(sample, data(root), (4, 8))
    return labels.names, labels.values


# Percentages: x from 25 to 75 of 8 is 2 to 6, y from 25 to 75 of 4 is 1 to 3.
POLYGON = {"points": [[25, 25], [75, 25], [75, 75], [25, 75]], "closed": True}
RECTANGLE = {"x": 25, "y": 25, "width": 50, "height": 50, "rotation": 0}


@pytest.mark.parametrize(
    ("kind", "value"), [("polygonlabels", POLYGON), ("rectanglelabels", RECTANGLE)]
)
def test_percentages(tmp_path: Path, kind: str, value: dict[str, Any]):
    write(tmp_path, task(result(kind, value)))
    assert label_studio.recognise(tmp_path) == {"format": "label_studio"}
    names, values = read(tmp_path)
    assert names == (BACKGROUND, "cat")
    expected = np.zeros((4, 8))
    expected[1:3, 2:6] = 1
    np.testing.assert_array_equal(values, expected)


def test_a_rectangle_turns_around_its_corner(tmp_path: Path):
    # Corner (4, 0), 4 wide and 2 high, a quarter turn clockwise: 2 wide to the left, 4 high.
    value = {"x": 50, "y": 0, "width": 50, "height": 50, "rotation": 90}
    write(tmp_path, task(result("rectanglelabels", value)))
    expected = np.zeros((4, 8))
    expected[:, 2:4] = 1
    np.testing.assert_array_equal(read(tmp_path)[1], expected)


def test_ellipse(tmp_path: Path):
    # Radii 2 and 1 around (4, 2): 4 x 2 pixels, as in test_shapes.
    value = {"x": 50, "y": 50, "radiusX": 25, "radiusY": 25, "rotation": 0}
    write(tmp_path, task(result("ellipselabels", value)))
    expected = np.zeros((4, 8))
    expected[1:3, 2:6] = 1
    np.testing.assert_array_equal(read(tmp_path)[1], expected)


def test_brush_over_polygon(tmp_path: Path):
    rgba = np.zeros((4, 8, 4), np.uint8)
    rgba[0:2, 2:4, 3] = 255
    brush = result("brushlabels", {"format": "rle", "rle": pack(rgba.ravel())}, "dog")
    write(tmp_path, task(result("polygonlabels", POLYGON), brush))
    names, values = read(tmp_path)
    assert names == (BACKGROUND, "cat", "dog")
    assert values[:2].tolist() == [[0, 0, 2, 2, 0, 0, 0, 0], [0, 0, 2, 2, 1, 1, 0, 0]]


def test_labels_beside_shapes(tmp_path: Path):
    polygon = result("polygon", POLYGON)
    del polygon["value"]["polygon"]
    labels = result("labels", {**POLYGON}, "dog")
    write(tmp_path, task(polygon, labels))
    assert read(tmp_path)[0] == (BACKGROUND, "dog")


def test_json_min(tmp_path: Path):
    value = {**POLYGON, "polygonlabels": ["cat"], "original_width": 8, "original_height": 4}
    write(tmp_path, {"id": 1, "image": "/data/upload/1/a.png", "label": [value], "annotator": 1})
    assert read(tmp_path)[1].sum() == 8


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("/data/upload/3/0a1b2c3d-a.png", "a.png"),
        ("/data/upload/3/0a1b2c3d-a.png", "images/0a1b2c3d-a.png"),
        ("/data/local-files/?d=set/images/a.png", "images/a.png"),
        ("s3://bucket/folder/a%20b.png?x=1", "a b.png"),
        ("https://host/x/a.png", "a.png"),
        ("images/a.png", "images/a.png"),
    ],
)
def test_images_are_found(tmp_path: Path, image: str, name: str):
    write(tmp_path, task(result("polygonlabels", POLYGON), image=image), names=(name,))
    (sample,) = sources.listing(data(tmp_path)).samples
    assert sample.image.path == str(tmp_path / name)


def test_cancelled_and_missing_annotations(tmp_path: Path):
    cancelled = {"was_cancelled": True, "result": [result("polygonlabels", POLYGON)]}
    kept = {"was_cancelled": False, "result": [result("polygonlabels", POLYGON, "dog")]}
    tasks = (
        task(annotations=[kept, cancelled], image="a.png"),
        task(annotations=[cancelled], image="b.png"),
        task(annotations=[], image="c.png"),
        task(image="d.png"),
    )
    write(tmp_path, *tasks, names=("a.png", "b.png", "c.png", "d.png"))
    listing = sources.listing(data(tmp_path))
    # d was looked at and holds nothing; b and c nobody has labelled.
    assert [sample.key for sample in listing.samples] == ["a", "d"]
    assert listing.unlabelled == 2
    assert listing.labels[1:] == (("dog", "dog"),)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (task(image="/etc/passwd.png"), "is absolute"),
        (task(image="../a.png"), "leads upwards"),
        (task(image="/data/local-files/?d=../../a.png"), "leads upwards"),
        (task(image="x.png"), "there is no image x.png"),
        (task(result("polygonlabels", POLYGON, image_rotation=90)), "turned in Label Studio"),
        (task(result("polygonlabels", {"points": [[1]]})), "'cat': a region that lacks or garbles"),
        (task(result("rectanglelabels", {"x": 1, "width": 1})), "'cat': a region that lacks"),
        (task(result("polygonlabels", POLYGON, original_width=None)), "lacks original_width"),
        (
            task({**result("x", {}), "value": {**POLYGON, "polygonlabels": ["a", "b"]}}),
            "several labels, a, b",
        ),
        (task({**result("polygonlabels", POLYGON), "value": POLYGON}), "a region without a label"),
        ({"annotations": 7}, "no list of objects"),
        (7, "is no task"),
    ],
)  # fmt: skip
def test_faults_are_named(tmp_path: Path, bad: object, reason: str):
    good = task(result("polygonlabels", POLYGON), image="good.png")
    write(tmp_path, good, bad, names=("good.png", "a.png"))
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["good"]
    (fault,) = listing.lone_masks
    assert fault.file.startswith("export.json: ")
    assert reason in fault.reason


def test_a_damaged_export_stops_the_run(tmp_path: Path):
    write(tmp_path, task(result("polygonlabels", POLYGON)))
    whole = (tmp_path / "export.json").read_text()
    (tmp_path / "export.json").write_text(whole[:-30])
    with pytest.raises(InputError, match=r"export\.json: truncated JSON.*; mend it"):
        sources.listing(data(tmp_path))
