from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import BadFileError, InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.masks import coding, to_class_ids
from components.image_example_gen.sources import voc
from pipeline import planning


def save(path: Path, pixels: np.ndarray, palette: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if palette:
        image.putpalette([value * 37 % 256 for value in range(768)])
    image.save(path)


def make(root: Path, *names: str, values: tuple[int, ...] = (0, 1, 255)) -> None:
    for name in names:
        noise = np.random.default_rng(len(name)).integers(0, 256, (6, 9, 3), np.uint8)
        save(root / f"JPEGImages/{name}.jpg", noise)
        mask = np.repeat(np.array(values, np.uint8), 9 // len(values))[None].repeat(6, 0)
        save(root / f"SegmentationClass/{name}.png", mask, palette=True)


def lists(root: Path, **names: str) -> None:
    folder = root / "ImageSets/Segmentation"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in names.items():
        (folder / f"{name}.txt").write_text(text)


def data(root: Path, **keys: object) -> DataConfig:
    found = voc.recognise(root)
    assert found
    return DataConfig(**{"path": root, **found, **keys})


def test_the_lists_are_the_split(tmp_path: Path):
    make(tmp_path, "a", "b", "c")
    save(tmp_path / "JPEGImages/d.jpg", np.zeros((6, 9, 3), np.uint8))
    lists(tmp_path, train="a\nb\n", val="c\n", trainval="a\nb\nc\n")
    listing = sources.listing(data(tmp_path))
    assert [(one.key, one.split) for one in listing.samples] == [
        ("a", "train"),
        ("b", "train"),
        ("c", "eval"),
    ]
    assert listing.unlabelled == 1
    assert not listing.lone_images
    assert len(voc.files(data(tmp_path))) == 10


def test_below_the_folder_and_without_lists(tmp_path: Path):
    make(tmp_path / "VOCdevkit/VOC2012", "a")
    found = voc.recognise(tmp_path)
    assert found == {
        "format": "voc",
        "images": "VOCdevkit/VOC2012/JPEGImages",
        "masks": "VOCdevkit/VOC2012/SegmentationClass",
    }
    assert [one.split for one in sources.listing(data(tmp_path)).samples] == [""]


def test_what_is_missing_is_named(tmp_path: Path):
    make(tmp_path, "a", "b")
    (tmp_path / "JPEGImages/b.jpg").unlink()
    lists(tmp_path, train="a\nb\n../a\n/a\n\n", val="z\na\n")
    listing = sources.listing(data(tmp_path))
    assert [one.key for one in listing.samples] == ["a"]
    assert {one.file: one.reason for one in listing.lone_images} == {
        "ImageSets/Segmentation/train.txt line 2": "there is no image b.*",
        "ImageSets/Segmentation/train.txt line 3": (
            "'../a' leads upwards; name files by their path below the data set's folder"
        ),
        "ImageSets/Segmentation/train.txt line 4": (
            "'/a' is absolute; name files by their path below the data set's folder"
        ),
        "ImageSets/Segmentation/val.txt line 1": "there is no image z.*",
        "ImageSets/Segmentation/val.txt line 2": "a is in a list of the other side too",
    }
    assert [one.file for one in listing.lone_masks] == ["SegmentationClass/b.png"]
    (tmp_path / "JPEGImages/a.jpg").unlink()
    with pytest.raises(InputError, match=r"data\.images|no mask"):
        sources.listing(data(tmp_path))


def test_names_only_where_they_fit(tmp_path: Path):
    make(tmp_path / "own", *(f"2011_00000{number}" for number in range(3)))
    findings = planning.inspect(tmp_path / "own")
    assert tuple(findings.data.classes) == voc.CLASSES
    assert findings.data.ignore == (255,)
    # Somebody's own two classes in VOC's folders are no aeroplanes.
    make(tmp_path / "other", "a", "b", "c")
    findings = planning.inspect(tmp_path / "other")
    assert [*findings.data.classes.values()] == [(0,), (1,)]
    assert findings.data.ignore == (255,)
    # Values past VOC's: its names mean nothing.
    make(tmp_path / "more", *(f"2011_00000{number}" for number in range(3)), values=(0, 7, 33))
    assert "aeroplane" not in planning.inspect(tmp_path / "more").data.classes
    # What labelme2voc.py writes.
    make(tmp_path / "named", "a", "b", "c")
    (tmp_path / "named/class_names.txt").write_text("__ignore__\n_background_\ncat\n")
    findings = planning.inspect(tmp_path / "named")
    assert findings.data.classes == {"background": (0,), "cat": (1,)}


def test_cvat_segmentation_mask(tmp_path: Path):
    colours = {"background": (0, 0, 0), "cat": (250, 50, 83), "dog": (51, 221, 255)}
    picture = np.zeros((6, 9, 3), np.uint8)
    picture[:, 3:6], picture[:, 6:] = colours["cat"], colours["dog"]
    for name in ("a", "b", "c"):
        save(tmp_path / f"JPEGImages/{name}.png", picture)
        save(tmp_path / f"SegmentationClass/{name}.png", picture)
        objects = picture.copy()
        objects[:3, 3:6] = (10, 10, 10)
        save(tmp_path / f"SegmentationObject/{name}.png", objects)
    lines = [f"{name}:{','.join(map(str, rgb))}::" for name, rgb in reversed(colours.items())]
    (tmp_path / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + "\n".join(lines))
    findings = planning.inspect(tmp_path)
    assert findings.data.classes == {
        "background": ("#000000",),
        "dog": ("#33ddff",),
        "cat": ("#fa3253",),
    }
    sample = sources.listing(findings.data).samples[0]
    labels = voc.read_labels(sample, findings.data, (6, 9))
    ids = to_class_ids(labels, coding(findings.data))
    # Three columns each of background, cat (class 2) and dog (class 1); cat is two objects.
    assert ids[0].tolist() == [0, 0, 0, 2, 2, 2, 1, 1, 1]
    assert len(np.unique(labels.instances)) == 4
    assert (labels.instances == 0).sum() == 18


def test_objects_of_another_size(tmp_path: Path):
    make(tmp_path, "a")
    save(tmp_path / "SegmentationObject/a.png", np.zeros((5, 5), np.uint8))
    (sample,) = sources.listing(data(tmp_path)).samples
    with pytest.raises(BadFileError, match=r"SegmentationObject/a\.png: has another size"):
        voc.read_labels(sample, data(tmp_path), (6, 9))


def test_real_masks_agree_with_pillow(shared_data: Path):
    config = data(shared_data / "voc")
    listing = sources.listing(config)
    assert [one.split for one in listing.samples] == ["train", "train", "eval"]
    assert listing.labels == tuple((name, index) for index, name in enumerate(voc.CLASSES))
    for sample in listing.samples:
        expected = np.asarray(Image.open(sample.mask.path))
        found = voc.read_labels(sample, config, expected.shape)
        np.testing.assert_array_equal(found.values, expected)
        assert {*np.unique(expected)} <= {*range(21), 255}
