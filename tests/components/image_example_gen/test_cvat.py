from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import BACKGROUND
from components.image_example_gen.sources import cvat

POLYGON = '<polygon label="cat" points="1.0,1.0;3.0,1.0;3.0,3.0;1.0,3.0" z_order="0"></polygon>'
META = """<meta><task><labels>
<label><name>dog</name><color>#ff0000</color><attributes><attribute><name>age</name></attribute>
</attributes></label><label><name>cat</name></label></labels></task></meta>"""


def image(name: str, *shapes: str, size: tuple[int, int] = (8, 6), more: str = "") -> str:
    return (
        f'<image id="0" name="{name}" width="{size[0]}" height="{size[1]}" {more}>'
        f"{''.join(shapes)}</image>"
    )


def write(root: Path, *images: str, head: str = "", names: tuple[str, ...] = ("a.png",)) -> None:
    root.mkdir(parents=True, exist_ok=True)
    (root / "annotations.xml").write_text(
        f'<?xml version="1.0" encoding="utf-8"?>{head}<annotations><version>1.1</version>{META}'
        f"{''.join(images)}</annotations>"
    )
    for name in names:
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8), np.uint8)).save(root / "images" / name)


def data(root: Path, **keys: object) -> DataConfig:
    return DataConfig(path=root, format="cvat", **keys)


def read(root: Path, **keys: object) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    (sample,) = sources.listing(data(root)).samples
    labels = cvat.read_labels(sample, data(root, **keys), (6, 8))
    assert labels.instances is not None
    return labels.names, labels.values, labels.instances


def test_listing(tmp_path: Path):
    write(tmp_path, image("a.png", POLYGON), image("b.png"), names=("a.png", "b.png", "c.png"))
    assert cvat.recognise(tmp_path) == {"format": "cvat"}
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["images/a", "images/b"]
    assert listing.unlabelled == 1
    # The order of the meta section; attributes' names are no labels.
    assert [name for name, _ in listing.labels] == [BACKGROUND, "dog", "cat"]


def test_shapes(tmp_path: Path):
    box = '<box label="dog" xtl="5" ytl="0" xbr="8" ybr="2" rotation="0.0"/>'
    # 0s and 1s by turns, row by row in the box of 3 x 2 at (0, 4): .xx / x..
    mask = '<mask label="cat" rle="1, 3, 2" left="0" top="4" width="3" height="2"/>'
    left_out = '<polyline label="dog" points="0,0;8,6"/><points label="dog" points="0,0"/>'
    write(tmp_path, image("a.png", POLYGON, box, mask, left_out, '<tag label="dog"/>'))
    names, values, instances = read(tmp_path)
    assert names == (BACKGROUND, "cat", "dog")
    assert values.tolist() == [
        [0, 0, 0, 0, 0, 2, 2, 2],
        [0, 1, 1, 0, 0, 2, 2, 2],
        [0, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert np.bincount(instances.ravel()).tolist() == [48 - 13, 4, 6, 3]


def test_z_order_rotation_and_groups(tmp_path: Path):
    top = POLYGON.replace('z_order="0"', 'z_order="1" group_id="4"').replace("cat", "dog")
    # 4 x 2 around (2, 2), turned by 90 degrees: 2 x 4.
    box = '<box label="cat" xtl="0" ytl="1" xbr="4" ybr="3" rotation="90" group_id="4"/>'
    write(tmp_path, image("a.png", top, box))
    names, values, _ = read(tmp_path)
    assert names == (BACKGROUND, "cat", "dog")
    assert values[:4, :4].tolist() == [[0, 1, 1, 0], [0, 2, 2, 0], [0, 2, 2, 0], [0, 1, 1, 0]]
    # Two cats of a group are one object, the dog of that group another.
    write(tmp_path, image("a.png", box, box.replace('xtl="0"', 'xtl="2"'), top))
    assert read(tmp_path)[2].max() == 2


def test_ellipse(tmp_path: Path):
    write(tmp_path, image("a.png", '<ellipse label="cat" cx="4" cy="3" rx="2" ry="1"/>'))
    # The centres of 4 x 2 pixels lie inside, as in test_shapes.
    assert np.argwhere(read(tmp_path)[1]).tolist() == [[y, x] for y in (2, 3) for x in (2, 3, 4, 5)]


def test_subsets_are_the_split(tmp_path: Path):
    write(
        tmp_path,
        image("a.png", more='subset="Train"'),
        image("a.png", more='subset="Validation"'),
        names=("Train/a.png", "Validation/a.png"),
    )
    listing = sources.listing(data(tmp_path))
    assert [(sample.key, sample.split) for sample in listing.samples] == [
        ("images/Train/a", "train"),
        ("images/Validation/a", "eval"),
    ]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ('<polygon label="cat" points="1,1;2"/>', "'cat': a polygon that lacks or garbles"),
        ('<polygon label="cat" points="1,x;2,2;3,3"/>', "'cat': a polygon that lacks or garbles"),
        ('<polygon points="1,1;2,2;3,3"/>', "a polygon without a label"),
        ('<box label="cat" xtl="1"/>', "'cat': a box that lacks or garbles 'ytl'"),
        ('<mask label="cat" rle="x" left="0" top="0" width="1" height="1"/>', "'cat': a mask that"),
        ('<heptagon label="cat"/>', "'heptagon', which is no shape of CVAT's"),
    ],
)
def test_faults_are_named(tmp_path: Path, shape: str, reason: str):
    write(tmp_path, image("a.png", POLYGON), image("b.png", shape), names=("a.png", "b.png"))
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["images/a"]
    (fault,) = listing.lone_masks
    assert fault.file == "annotations.xml: image b.png"
    assert reason in fault.reason


@pytest.mark.parametrize(
    ("name", "reason"), [("/etc/passwd", "is absolute"), ("../a.png", "leads upwards")]
)
def test_names_that_lead_out(tmp_path: Path, name: str, reason: str):
    write(tmp_path, image("a.png", POLYGON), image(name, POLYGON))
    (fault,) = sources.listing(data(tmp_path)).lone_masks
    assert reason in fault.reason


def test_entities_and_other_files_are_refused(tmp_path: Path):
    bomb = '<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>'
    write(tmp_path, image("a.png", POLYGON), head=bomb)
    with pytest.raises(InputError, match="a document type or entities, which CVAT never writes"):
        sources.listing(data(tmp_path))
    write(tmp_path, '<track id="0" label="cat"/>')
    with pytest.raises(InputError, match="is CVAT for video; export CVAT for images"):
        sources.listing(data(tmp_path))
    write(tmp_path, image("a.png", POLYGON))
    whole = (tmp_path / "annotations.xml").read_bytes()
    (tmp_path / "annotations.xml").write_bytes(whole[:-20])
    # Half of the annotations would pass for all: the run stops.
    with pytest.raises(InputError, match=r"annotations\.xml: truncated XML: .*; mend it") as raised:
        sources.listing(data(tmp_path))
    assert raised.value.set_aside[0].file == "annotations.xml"
