from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as cocotools
from pycocotools.coco import COCO

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.shapes import BACKGROUND
from components.image_example_gen.sources import coco

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]


def picture(path: Path, size: tuple[int, int] = (6, 5)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros(size[::-1], np.uint8)).save(path)


def annotation(**keys: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 3, "segmentation": SQUARE, "iscrowd": 0, **keys}


def dump(path: Path, *annotations: dict[str, Any], **keys: Any) -> Path:
    content = {
        "annotations": list(annotations),
        "categories": [{"id": 3, "name": "cat"}, {"id": 9, "name": "dog"}],
        "images": [{"id": 1, "file_name": "a.png", "height": 5, "width": 6}],
        **keys,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def data(root: Path, **keys: Any) -> DataConfig:
    return DataConfig(path=root, format="coco", **keys)


def test_listing_and_labels(tmp_path: Path):
    picture(tmp_path / "images/a.png")
    dump(tmp_path / "labels.json", annotation())
    listing = sources.listing(data(tmp_path))
    (sample,) = listing.samples
    assert sample.key == "images/a"
    assert listing.labels == ((BACKGROUND, BACKGROUND), ("cat", "cat"), ("dog", "dog"))
    labels = coco.read_labels(sample, data(tmp_path), (5, 6))
    assert labels.names == (BACKGROUND, "cat")
    # x and y from 1 to 3: pixels 1 and 2.
    assert np.argwhere(labels.values).tolist() == [[1, 1], [1, 2], [2, 1], [2, 2]]
    assert labels.instances.max() == 1
    assert coco.recognise(tmp_path) == {"format": "coco"}
    assert len(coco.files(data(tmp_path))) == 2


def test_run_lengths_and_crowds(tmp_path: Path):
    picture(tmp_path / "a.png")
    whole = np.ones((5, 6), np.uint8)
    coded = cocotools.encode(np.asfortranarray(whole))
    coded["counts"] = coded["counts"].decode()
    crowd = annotation(segmentation={"size": [5, 6], "counts": [0, 30]}, iscrowd=1)
    dog = annotation(segmentation=coded, category_id=9)
    dump(tmp_path / "x.json", annotation(), dog, crowd)
    (sample,) = sources.listing(data(tmp_path)).samples
    labels = coco.read_labels(sample, data(tmp_path), (5, 6))
    # The cat is smallest; dog and crowd have 30 pixels each, and the later is seen.
    assert labels.names == (BACKGROUND, "cat", "dog")
    assert np.bincount(labels.values.ravel()).tolist() == [0, 30]
    # Ignored, the crowd lies below the dog.
    labels = coco.read_labels(sample, data(tmp_path, crowds="ignore"), (5, 6))
    assert np.bincount(labels.values.ravel()).tolist() == [0, 4, 26]
    assert labels.region is None


def test_files_of_two_sides(tmp_path: Path):
    for side in ("train", "val"):
        picture(tmp_path / f"{side}2017/a.png")
        dump(tmp_path / f"annotations/instances_{side}2017.json", annotation())
        dump(tmp_path / f"annotations/person_keypoints_{side}2017.json", annotation())
    listing = sources.listing(data(tmp_path))
    assert [(sample.key, sample.split) for sample in listing.samples] == [
        ("train2017/a", "train"),
        ("val2017/a", "eval"),
    ]
    assert listing.lone_masks == ()


def test_one_side_alone_is_no_split(tmp_path: Path):
    picture(tmp_path / "a.png")
    dump(tmp_path / "instances_train.json", annotation())
    assert [sample.split for sample in sources.listing(data(tmp_path)).samples] == [""]


def test_images_without_annotations_hold_nothing_and_others_are_not_labelled(tmp_path: Path):
    for name in ("a", "b", "c"):
        picture(tmp_path / f"{name}.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}]
    dump(tmp_path / "x.json", annotation(), images=images)
    dump(tmp_path / "test.json", images=[{"id": 1, "file_name": "c.png"}])
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["a", "b"]
    assert listing.unlabelled == 1
    labels = coco.read_labels(listing.samples[1], data(tmp_path), (5, 6))
    assert not labels.values.any()


def reason_of(tmp_path: Path, *annotations: dict[str, Any], **keys: Any) -> str:
    """Why an image is set aside, beside one that is not."""
    picture(tmp_path / "a.png")
    picture(tmp_path / "good.png")
    images = [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "good.png"}]
    dump(tmp_path / "x.json", annotation(image_id=2), *annotations, **{"images": images, **keys})
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["good"]
    (fault,) = listing.lone_masks
    return f"{fault.file}: {fault.reason}"


def test_faults_are_named(tmp_path: Path):
    def reason(name: str, *annotations: dict[str, Any], **keys: Any) -> str:
        (tmp_path / name).mkdir()
        return reason_of(tmp_path / name, *annotations, **keys)

    assert reason("1", annotation(segmentation=[])) == (
        "x.json: image a.png: annotation 1 has no segmentation"
    )
    assert "category_id 77 is not among" in reason("2", annotation(category_id=77))
    good = {"id": 2, "file_name": "good.png"}
    for place, (name, why) in enumerate(
        {
            "../a.png": "leads upwards",
            "/a.png": "is absolute",
            "C:\\a.png": "is absolute",
            "gs://b/a.png": "is absolute",
            "missing.png": "there is no image missing.png",
            "": "no name of a file",
        }.items()
    ):
        images = [good, {"id": 1, "file_name": name}]
        assert why in reason(f"path{place}", annotation(), images=images)
    assert "image_id 5: 1 annotations of an image that the file does not name" in reason(
        "3", annotation(image_id=5), images=[good]
    )


def test_a_name_that_several_images_have(tmp_path: Path):
    picture(tmp_path / "one/a.png")
    picture(tmp_path / "two/a.png")
    dump(tmp_path / "x.json", annotation())
    with pytest.raises(InputError, match=r"a\.png may be one/a\.png or two/a\.png"):
        sources.listing(data(tmp_path))
    dump(tmp_path / "two/x.json", annotation())
    listing = sources.listing(data(tmp_path))
    assert [sample.key for sample in listing.samples] == ["two/a"]


def test_boxes_alone_are_no_masks(tmp_path: Path):
    picture(tmp_path / "a.png")
    dump(tmp_path / "x.json", annotation(segmentation=[], bbox=[1, 1, 2, 2]))
    with pytest.raises(InputError, match="boxes but no segmentation"):
        sources.listing(data(tmp_path))


def test_another_size_is_refused(tmp_path: Path):
    from components.image_example_gen.reading import Reader, SampleError

    picture(tmp_path / "a.png", (7, 5))
    dump(tmp_path / "x.json", annotation())
    keys = {"channels": 1, "dtype": "uint8", "classes": {"none": (BACKGROUND,), "cat": ("cat",)}}
    config = data(tmp_path, **keys)
    (sample,) = sources.listing(config).samples
    with pytest.raises(SampleError, match=r"x.json: image a: annotations are of 6x5, image is 7x5"):
        Reader(config).pair(sample)


def test_a_large_file_is_never_held_whole(tmp_path: Path):
    # 2,000 images with 4 polygons of 40 corners: 5 MB of JSON, some 15 MB once loaded
    # whole. The listing holds the text of the shapes once, and one image's at a time beside it.
    picture(tmp_path / "a.png")
    corners = [round(12.3456 + place / 7, 4) for place in range(80)]
    images = [{"id": key, "file_name": f"{key}.png"} for key in range(2000)]
    annotations = [annotation(image_id=key % 2000, segmentation=[corners]) for key in range(8000)]
    path = dump(tmp_path / "x.json", *annotations, images=images)
    size = path.stat().st_size
    del annotations
    tracemalloc.start()
    entries = list(coco._entries(path, tmp_path, "", {}, []))
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(entries) == 2000
    assert held < 1.2 * size
    # Blocks of 1 MB of text come on top while it is read.
    assert peak < 2.5 * size + (4 << 20)


def test_real_masks_agree_with_pycocotools(shared_data: Path):
    root = shared_data / "coco"
    config = data(root)
    listing = sources.listing(config)
    api = COCO(str(root / "annotations/instances_train2017.json"))
    names = {category["id"]: category["name"] for category in api.dataset["categories"]}
    by_name = {Path(image["file_name"]).stem: image for image in api.dataset["images"]}
    assert len(listing.samples) == 50
    assert len(listing.labels) == 81
    for sample in listing.samples:
        image = by_name[Path(sample.key).name]
        objects = api.loadAnns(api.getAnnIds(image["id"]))
        masks = [api.annToMask(one).astype(bool) for one in objects]
        size = image["height"], image["width"]
        expected = np.full(size, BACKGROUND, object)
        for place in sorted(range(len(masks)), key=lambda place: -int(masks[place].sum())):
            expected[masks[place]] = names[objects[place]["category_id"]]
        labels = coco.read_labels(sample, config, size)
        np.testing.assert_array_equal(np.array(labels.names, object)[labels.values], expected)
