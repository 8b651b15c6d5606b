from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from components.errors import BadFileError, InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import BACKGROUND
from components.image_example_gen.sources import labelme, voc

SQUARE = [[1.0, 1.0], [3.0, 1.0], [3.0, 3.0], [1.0, 3.0]]


def png(size: tuple[int, int] = (8, 6), value: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full(size[::-1], value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def picture(path: Path, **keys: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(**keys))


def shape(label: str = "cat", **keys: Any) -> dict[str, Any]:
    return {"label": label, "points": SQUARE, "shape_type": "polygon", "group_id": None, **keys}


def dump(path: Path, *shapes: dict[str, Any], **keys: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": f"{path.stem}.png",
        "imageData": None,
        "imageHeight": 6,
        "imageWidth": 8,
        **keys,
    }
    path.write_text(json.dumps(content))


def data(root: Path, **keys: Any) -> DataConfig:
    return DataConfig(path=root, format="labelme", **keys)


def test_listing_and_labels(tmp_path: Path):
    picture(tmp_path / "a.png")
    picture(tmp_path / "b.png")
    dump(tmp_path / "a.json", shape("dog"), shape("__ignore__", points=[[0, 0], [7, 0], [7, 0]]))
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\ncat\ndog\n")
    assert labelme.recognise(tmp_path) == {"format": "labelme"}
    listing = sources.listing(data(tmp_path))
    (sample,) = listing.samples
    assert listing.unlabelled == 1
    assert [name for name, _ in listing.labels] == [BACKGROUND, "__ignore__", "cat", "dog"]
    labels = labelme.read_labels(sample, data(tmp_path), (6, 8))
    assert labels.names == (BACKGROUND, "dog", "__ignore__")
    # Pillow's polygon has its outline: 3 x 3 pixels; and a line along the first row.
    assert np.bincount(labels.values.ravel()).tolist() == [48 - 9 - 8, 9, 8]


def test_the_image_elsewhere(tmp_path: Path):
    picture(tmp_path / "images/a.png")
    dump(tmp_path / "labels/a.json", shape(), imagePath="..\\images\\a.png")
    picture(tmp_path / "moved/b.png")
    dump(tmp_path / "moved/b.json", shape(), imagePath="old/folder/b.jpg")
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["images/a", "moved/b"]


def test_the_image_in_the_json(tmp_path: Path):
    inside = base64.b64encode(png(value=77)).decode()
    dump(tmp_path / "a.json", shape(), imagePath="gone.png", imageData=inside)
    (sample,) = sources.listing(data(tmp_path)).samples
    assert sample.key == "a"
    assert (labelme.read_image(sample.image) == 77).all()
    assert labelme.read_labels(sample, data(tmp_path), (6, 8)).values.sum() == 9
    # A copy of the image in another file is a copy.
    dump(tmp_path / "b.json", imagePath="gone.png", imageData=inside)
    first, second = sources.listing(data(tmp_path)).samples
    assert labelme.digest(first.image) == labelme.digest(second.image)
    # Data that is no image is found when it is read.
    dump(tmp_path / "a.json", shape(), imagePath="gone.png", imageData="aGVsbG8gd29ybGQhISEh")
    with pytest.raises(BadFileError, match="begins with text"):
        labelme.read_image(first.image)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"imagePath": "/etc/passwd"}, "is absolute"),
        ({"imagePath": "C:/a.png"}, "is absolute"),
        ({"imagePath": "../../a.png"}, "leads out of the data set's folder"),
        ({"imagePath": "../x.png"}, "leads out of the data set's folder"),
        ({"imagePath": "x.png"}, "its image x.png is not there, and imageData holds none"),
        ({"shapes": {}}, "holds no shapes of LabelMe"),
        ({"shapes": [{"points": []}]}, "a shape without a label"),
        ({"shapes": [shape(shape_type="spiral")]}, "'cat': a shape of type 'spiral'"),
    ],
)
def test_faults_are_named(tmp_path: Path, keys: dict[str, Any], reason: str):
    picture(tmp_path / "good.png")
    dump(tmp_path / "good.json", shape())
    dump(tmp_path / "bad.json", **keys)
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["good"]
    (fault,) = listing.lone_masks
    assert fault.file == "bad.json"
    assert reason in fault.reason


def test_damaged_files(tmp_path: Path):
    picture(tmp_path / "good.png")
    dump(tmp_path / "good.json", shape())
    whole = (tmp_path / "good.json").read_bytes()
    (tmp_path / "cut.json").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "odd.json").write_bytes(whole.replace(b"5.5.0", b"\xff\xfe"))
    deep = '{"shapes": ' + "[" * 100_000
    (tmp_path / "deep.json").write_text(deep)
    listing = sources.listing(data(tmp_path))
    reasons = {fault.file: fault.reason for fault in listing.lone_masks}
    assert reasons["cut.json"].startswith("truncated JSON")
    assert reasons["odd.json"] == "corrupt JSON: not UTF-8"
    assert reasons["deep.json"] == "corrupt JSON: nested too deep"


def test_another_size_is_refused(tmp_path: Path):
    picture(tmp_path / "a.png")
    dump(tmp_path / "a.json", shape())
    (sample,) = sources.listing(data(tmp_path)).samples
    with pytest.raises(BadFileError, match="annotations are of 8x6, image is 6x8"):
        labelme.read_labels(sample, data(tmp_path), (8, 6))


def test_none_that_can_be_used(tmp_path: Path):
    dump(tmp_path / "a.json", shape())
    with pytest.raises(InputError, match=r"no LabelMe file that can be used, such as a\.json"):
        sources.listing(data(tmp_path))


@pytest.mark.parametrize("kind", ["semantic_segmentation", "instance_segmentation"])
def test_real_masks_agree_with_pillow_and_with_voc(shared_data: Path, kind: str):
    root = shared_data / "labelme" / kind
    config = data(root)
    samples = sources.listing(config).samples
    assert len(samples) == 3
    of_voc = DataConfig(path=shared_data / "voc", images="JPEGImages", masks="SegmentationClass")
    voc_masks = {one.key: one for one in sources.listing(of_voc.model_copy(
        update={"format": "voc"})).samples}  # fmt: skip
    for sample in samples:
        content = json.loads(Path(sample.mask.path).read_text())
        size = content["imageHeight"], content["imageWidth"]
        expected = np.full(size, BACKGROUND, object)
        for one in content["shapes"]:
            canvas = Image.new("1", size[::-1])
            points = [tuple(point) for point in one["points"]]
            ImageDraw.Draw(canvas).polygon(points, outline=1, fill=1)
            expected[np.array(canvas)] = one["label"]
        labels = labelme.read_labels(sample, config, size)
        found = np.array(labels.names, object)[labels.values]
        np.testing.assert_array_equal(found, expected)
        # VOC's own masks are of the same images, drawn by others: person, bus, sofa, ... agree in
        # at least four fifths of what either calls so, where VOC's void border is left out.
        mask = voc.read_labels(voc_masks[Path(sample.key).name], of_voc, size).values
        counted = (mask != 255) & (found != "__ignore__")
        present = [index for index in np.unique(mask[counted]) if index]
        assert present
        ours = {name.replace(" ", "").replace("/", ""): name for name in labels.names}
        for index in present:
            one = (mask == index) & counted
            other = (found == ours[voc.CLASSES[index]]) & counted
            if one.sum() > 1000:
                assert (one & other).sum() / (one | other).sum() > 0.8, voc.CLASSES[index]
