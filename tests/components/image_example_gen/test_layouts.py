"""Folders and names of images and masks as data sets have them, recognised and paired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import folders, paired
from components.image_example_gen.sources.affixes import Affixes, match, within

RNG = np.random.default_rng(0)


def photograph(path: Path, size: int = 16) -> None:
    save(path, RNG.integers(0, 256, (size, size), np.uint8))


def mask(path: Path, value: int = 255, size: int = 16) -> None:
    """A square of a random size in a corner."""
    pixels = np.zeros((size, size), np.uint8)
    side = RNG.integers(4, 12)
    pixels[:side, :side] = value
    save(path, pixels)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def fill(root: Path, images: list[str], masks: list[str]) -> None:
    for name in images:
        photograph(root / name)
    for name in masks:
        mask(root / name)


NUMBERS = range(11, 17)


@pytest.mark.parametrize(
    ("image", "label", "expected", "key"),
    [
        ("images/{n}.png", "masks/{n}.png", {"images": "images", "masks": "masks"}, "{n}"),
        ("images/a/{n}.jpg", "masks/a/{n}.png", {"images": "images", "masks": "masks"}, "a/{n}"),
        ("{n}.png", "masks/{n}.png", {"images": ".", "masks": "masks"}, "{n}"),
        (
            "images/{n}.png",
            "labels/{n}_seg-manual.png",
            {"images": "images", "masks": "labels", "mask_suffix": "_seg-manual"},
            "{n}",
        ),
        (
            "image/{n}_sat.jpg",
            "label/{n}_mask.png",
            {"images": "image", "masks": "label", "image_suffix": "_sat", "mask_suffix": "_mask"},
            "{n}",
        ),
        (
            "x/img_{n}.png",
            "x_gt/gt_{n}.png",
            {"images": "x", "masks": "x_gt", "image_prefix": "img_", "mask_prefix": "gt_"},
            "{n}",
        ),
        # One folder.
        ("all/{n}.png", "all/{n}_m.png",
         {"images": "all", "masks": "all", "mask_suffix": "_m"}, "{n}"),
        (
            "{n}_sat.png",
            "{n}_mask.png",
            {"images": ".", "masks": ".", "image_suffix": "_sat", "mask_suffix": "_mask"},
            "{n}",
        ),
        (
            "{n}/image.png",
            "{n}/mask.png",
            {"images": ".", "masks": ".", "image_suffix": "image", "mask_suffix": "mask"},
            "{n}",
        ),
        # Neither folder's name says which it is: pixels do.
        ("one/{n}.png", "two/{n}.png", {"images": "one", "masks": "two"}, "{n}"),
        ("two/{n}.png", "one/{n}.png", {"images": "two", "masks": "one"}, "{n}"),
        ("segmentation/x/{n}.png", "segmentation/y/{n}.png",
         {"images": "segmentation/x", "masks": "segmentation/y"}, "{n}"),
    ],
)  # fmt: skip
def test_two_files_an_image(
    tmp_path: Path, image: str, label: str, expected: dict[str, Any], key: str
):
    numbers = [str(n) for n in NUMBERS]
    fill(tmp_path, [image.format(n=n) for n in numbers], [label.format(n=n) for n in numbers])
    found = paired.recognise(tmp_path)
    assert found == {"format": "paired", **expected}
    listing = paired.listing(DataConfig(path=tmp_path, **found))
    assert [sample.key for sample in listing.samples] == [key.format(n=n) for n in numbers]
    assert not listing.lone_images
    assert not listing.lone_masks
    for sample, n in zip(listing.samples, numbers, strict=True):
        assert Path(sample.image.path) == tmp_path / image.format(n=n)
        assert Path(sample.mask.path) == tmp_path / label.format(n=n)
        assert sample.split == ""


@pytest.mark.parametrize(
    ("image", "label", "words", "images", "masks"),
    [
        ("{w}/{n}.png", "{w}annot/{n}.png", ("train", "val"), "{SPLIT}", "{SPLIT}annot"),
        ("{w}/images/{n}.png", "{w}/masks/{n}.png", ("train", "valid"),
         "{SPLIT}/images", "{SPLIT}/masks"),
        ("images/{w}/{n}.png", "masks/{w}/{n}.png", ("training", "test"),
         "images/{SPLIT}", "masks/{SPLIT}"),
        ("{w}_images/{n}.png", "{w}_labels/{n}.png", ("Train", "Val"),
         "{SPLIT}_images", "{SPLIT}_labels"),
        ("im_{w}/{n}.png", "gt_{w}/{n}.png", ("train", "dev"), "im_{SPLIT}", "gt_{SPLIT}"),
    ],
)  # fmt: skip
def test_the_data_sets_own_split(
    tmp_path: Path, image: str, label: str, words: tuple[str, str], images: str, masks: str
):
    # The same names on both sides must not become one key.
    for word, count in zip(words, (4, 2), strict=True):
        names = range(count)
        fill(
            tmp_path,
            [image.format(w=word, n=n) for n in names],
            [label.format(w=word, n=n) for n in names],
        )
    found = paired.recognise(tmp_path)
    assert found is not None
    assert (found["images"], found["masks"]) == (images, masks)
    samples = paired.listing(DataConfig(path=tmp_path, **found)).samples
    assert {sample.key: sample.split for sample in samples} == {
        **{f"{words[0]}/{n}": "train" for n in range(4)},
        **{f"{words[1]}/{n}": "eval" for n in range(2)},
    }


def test_a_test_set_beside_a_validation_set_is_not_used(tmp_path: Path):
    for word in ("train", "val", "test"):
        fill(tmp_path, [f"{word}/images/1.png"], [f"{word}/masks/1.png"])
    data = DataConfig(path=tmp_path, images="{SPLIT}/images", masks="{SPLIT}/masks")
    assert [sample.key for sample in paired.listing(data).samples] == ["train/1", "val/1"]


def test_names_that_repeat_the_word_of_their_folder(tmp_path: Path):
    # DRIVE as a whole: 21_training.tif and 21_training_mask.gif, 01_test.tif, 01_test_mask.gif.
    yy, xx = np.mgrid[:32, :32]
    field = ((yy - 16) ** 2 + (xx - 16) ** 2 < 200).astype(np.uint8) * 255
    for word in ("training", "test"):
        for n in range(1, 5):
            photograph(tmp_path / f"{word}/images/0{n}_{word}.tif", 32)
            vessels = RNG.integers(0, 2, (32, 32), np.uint8) * 255
            save(tmp_path / f"{word}/1st_manual/0{n}_manual1.gif", vessels)
            save(tmp_path / f"{word}/mask/0{n}_{word}_mask.gif", field)
    found = paired.recognise(tmp_path)
    assert found == {
        "format": "paired",
        "images": "{SPLIT}/images",
        "image_suffix": "_{SPLIT}",
        "masks": "{SPLIT}/1st_manual",
        "mask_suffix": "_manual1",
        "regions": "{SPLIT}/mask",
        "region_suffix": "_{SPLIT}_mask",
    }
    data = DataConfig(path=tmp_path, **found)
    samples = paired.listing(data).samples
    assert {sample.key: sample.split for sample in samples} == {
        **{f"training/0{n}": "train" for n in range(1, 5)},
        **{f"test/0{n}": "eval" for n in range(1, 5)},
    }
    labels = paired.read_labels(samples[0], data, (32, 32))
    np.testing.assert_array_equal(labels.region, field > 0)


def test_an_image_without_its_region_is_set_aside(tmp_path: Path):
    fill(tmp_path, ["images/1.png", "images/2.png"], ["masks/1.png", "masks/2.png", "fov/1_f.png"])
    data = DataConfig(path=tmp_path, regions="fov", region_suffix="_f")
    listing = paired.listing(data)
    assert [sample.key for sample in listing.samples] == ["1"]
    assert [(entry.file, entry.reason) for entry in listing.lone_images] == [
        ("images/2.png", "image without region: there is no fov/2_f.*")
    ]
    assert len(paired.files(data)) == 5


@pytest.mark.parametrize(
    ("images", "masks", "expected"),
    [
        # DSB2018: a folder an image.
        (["{n}/images/{n}.png"], ["{n}/masks/a{n}.png", "{n}/masks/b{n}.png"],
         {"images": "*/images", "masks": "*/masks", "mask_per": "object"}),
        (["images/{n}.png"], ["masks/{n}/a.png", "masks/{n}/b.png"],
         {"images": "images", "masks": "masks", "mask_per": "object"}),
        (["images/x{n}.png"], ["masks/x{n}_1.png", "masks/x{n}_2.png"],
         {"images": "images", "masks": "masks", "mask_per": "object"}),
        # BUSI: the second lesion of an image has a number.
        (["scans/x ({n}).png"], ["scans/x ({n})_mask.png", "scans/x ({n})_mask_1.png"],
         {"images": "scans", "masks": "scans", "mask_suffix": "_mask", "mask_per": "object"}),
    ],
)  # fmt: skip
def test_several_masks_an_image(
    tmp_path: Path, images: list[str], masks: list[str], expected: dict[str, str]
):
    for n in NUMBERS:
        fill(tmp_path, [one.format(n=n) for one in images], [one.format(n=n) for one in masks])
    found = paired.recognise(tmp_path)
    assert found == {"format": "paired", **expected}
    listing = paired.listing(DataConfig(path=tmp_path, **found))
    assert len(listing.samples) == len(NUMBERS)
    assert not listing.lone_images
    assert not listing.lone_masks
    for n, sample in zip(NUMBERS, listing.samples, strict=True):
        files = [sample.mask.path, *(one.path for one in sample.further)]
        assert files == [str(tmp_path / one.format(n=n)) for one in masks]


def test_an_object_of_no_image_and_an_image_without_objects(tmp_path: Path):
    fill(tmp_path, ["1/images/1.png", "2/images/2.png"], ["1/masks/a.png", "3/masks/b.png"])
    (tmp_path / "2/masks").mkdir()
    data = DataConfig(path=tmp_path, images="*/images", masks="*/masks", mask_per="object")
    listing = paired.listing(data)
    assert [sample.key for sample in listing.samples] == ["1"]
    assert [(entry.file, entry.reason) for entry in listing.lone_images] == [
        ("2/images/2.png", "image without mask: there is no 2/masks/*")
    ]


def test_other_files_of_an_image_are_no_masks(tmp_path: Path):
    # Cityscapes has three files of labels an image.
    kinds = ("labelIds", "color", "instanceIds")
    for n in range(4):
        photograph(tmp_path / f"leftImg8bit/aachen/{n}_leftImg8bit.png")
        for kind in kinds:
            mask(tmp_path / f"gtFine/aachen/{n}_gtFine_{kind}.png", 3)
    found = paired.recognise(tmp_path)
    assert found == {
        "format": "paired",
        "images": "leftImg8bit",
        "image_suffix": "_leftImg8bit",
        "masks": "gtFine",
        "mask_suffix": "_gtFine_labelIds",
    }
    listing = paired.listing(DataConfig(path=tmp_path, **found))
    assert [sample.key for sample in listing.samples] == [f"aachen/{n}" for n in range(4)]
    assert not listing.lone_masks


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"images": "{SPLIT}/x", "masks": "y"}, "must have the same placeholders"),
        ({"images": "*/*", "masks": "*/*", "mask_suffix": "_m"}, "has a placeholder twice"),
        ({"images": "a", "masks": "a"}, "name one folder; set data.mask_suffix"),
        ({"images": "a", "masks": "b", "regions": "nowhere"}, r"data\.regions: there is no folder"),
        ({"images": "{SPLIT}", "masks": "{SPLIT}_m"}, r"data\.images: there is no folder"),
    ],
)
def test_folders_that_do_not_fit_together(tmp_path: Path, keys: dict[str, str], message: str):
    fill(tmp_path, ["a/1.png"], ["b/1.png"])
    with pytest.raises(InputError, match=message):
        paired.listing(DataConfig(path=tmp_path, **keys))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", ("train", "{SPLIT}")),
        ("trainannot", ("train", "{SPLIT}annot")),
        ("stage1_train", ("train", "stage1_{SPLIT}")),
        ("Validation-images", ("Validation", "{SPLIT}-images")),
        ("images", None),
        ("latest", None),
    ],
)
def test_words_for_sides(name: str, expected: tuple[str, str] | None):
    assert folders.split_word(name) == expected


def test_affixes():
    affixes = Affixes("gt_", "_v2")
    assert affixes.key("slide/gt_7_v2") == "slide/7"
    assert affixes.key("slide/7_v2") is None
    assert affixes.name("slide/7") == "slide/gt_7_v2"
    # A name that is all affix has the key of its folder.
    assert Affixes("", "mask").key("7/mask") == "7"


@pytest.mark.parametrize(
    ("image", "label", "expected"),
    [
        ("{n}_training", "{n}_manual1", (Affixes("", "_training"), Affixes("", "_manual1"))),
        ("t{n}", "man_seg{n}", (Affixes("t", ""), Affixes("man_seg", ""))),
        ("img_{n}_rgb", "lab_{n}_seg", (Affixes("img_", "_rgb"), Affixes("lab_", "_seg"))),
        ("ISIC_{n}", "ISIC_{n}_segmentation", (Affixes(), Affixes("", "_segmentation"))),
    ],
)
def test_what_names_add(image: str, label: str, expected: tuple[Affixes, Affixes]):
    found = match([image.format(n=n) for n in NUMBERS], [label.format(n=n) for n in NUMBERS])
    assert found is not None
    assert (found.images, found.masks) == expected
    assert found.pairs == 6


def test_names_that_share_nothing_pair_nothing():
    # 57 is not 5 with a suffix 7.
    assert match([str(n) for n in range(10)], [str(n) for n in range(50, 60)]) is None
    assert within([f"{n:02}" for n in range(99)]) == []
