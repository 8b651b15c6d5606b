from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import paired, stack
from components.image_example_gen.sources.pairing import best_pair, sounds_like_masks


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())


def keys(data: DataConfig) -> list[str]:
    return [sample.key for sample in sources.of(data).listing(data).samples]


def test_pairs_by_name_whatever_the_ending_in_natural_order(tmp_path: Path):
    touch(tmp_path, "images/f10.JPG", "images/f9.png", "images/a/f1.tif", "images/.hidden.png")
    touch(tmp_path, "masks/f10.png", "masks/f9.PNG", "masks/a/f1.gif", "masks/notes.txt")
    assert keys(DataConfig(path=tmp_path)) == ["a/f1", "f9", "f10"]


def test_mask_suffix(tmp_path: Path):
    touch(tmp_path, "images/f1.png", "masks/f1_seg.png", "images/f2.png", "masks/f2.png")
    data = DataConfig(path=tmp_path, mask_suffix="_seg")
    assert keys(data) == ["f1"]
    listing = paired.listing(data)
    assert [(entry.file, entry.reason) for entry in listing.lone_images] == [
        ("images/f2.png", "image without mask: there is no masks/f2_seg.*")
    ]
    assert [(entry.file, entry.reason) for entry in listing.lone_masks] == [
        ("masks/f2.png", "its name does not end in _seg")
    ]
    assert len(paired.files(data)) == 4


def test_images_and_masks_in_one_folder(tmp_path: Path):
    touch(tmp_path, "all/f1.png", "all/f1_m.png", "all/f2.png", "all/f2_m.png")
    data = DataConfig(path=tmp_path, images="all", masks="all", mask_suffix="_m")
    assert keys(data) == ["f1", "f2"]


def test_masks_below_the_images(tmp_path: Path):
    touch(tmp_path, "f1.png", "masks/f1.png")
    assert keys(DataConfig(path=tmp_path, images=".")) == ["f1"]


def test_what_cannot_be_paired_is_named(tmp_path: Path):
    touch(tmp_path, "images/a.png", "images/a.jpg", "images/b.png", "images/d.png")
    touch(tmp_path, "masks/a.png", "masks/c.png", "masks/d.gif", "masks/d.png")
    listing = paired.listing(DataConfig(path=tmp_path))
    # Nothing is lost: four images and four masks.
    assert [sample.key for sample in listing.samples] == ["a", "d"]
    assert {entry.file: entry.reason for entry in listing.lone_images} == {
        "images/a.png": "has the same name as a.jpg; keep one of them",
        "images/b.png": "image without mask: there is no masks/b.*",
    }
    assert {entry.file: entry.reason for entry in listing.lone_masks} == {
        "masks/c.png": "mask without image: there is no images/c.*",
        "masks/d.png": "has the same name as d.gif; keep one of them",
    }


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), r"data\.images: there is no folder .*/images\."),
        (("photos/a.png",), r"no folder .*/images; .* has the folders photos\."),
        (("images/a.png",), r"data\.masks: there is no folder .*/masks; .* has the folders images"),
        (("images/a.txt", "masks/a.png"), r"images holds no images \(PNG, JPEG, BMP, GIF or TIFF"),
        (("images/a.png", "masks/b.png"), r"no image in .*/images has a mask of its name"),
    ],
)
def test_missing_and_empty_folders(tmp_path: Path, files: tuple[str, ...], message: str):
    touch(tmp_path, *files)
    with pytest.raises(InputError, match=message):
        keys(DataConfig(path=tmp_path))


def test_a_data_set_that_is_not_there(tmp_path: Path):
    with pytest.raises(InputError, match=r"data\.path: .*/nowhere does not exist"):
        sources.of(DataConfig(path=tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"data\.path is not set"):
        sources.of(DataConfig())


@pytest.fixture
def volume(tmp_path: Path) -> DataConfig:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 10, 8), np.uint8)
    images[7] = images[2]
    tifffile.imwrite(tmp_path / "train-volume.tif", images, photometric="minisblack")
    masks = (images > 99).astype(np.uint8) * 255
    tifffile.imwrite(tmp_path / "train-labels.tif", masks, photometric="minisblack")
    # Of as many pages, but no labels.
    tifffile.imwrite(tmp_path / "test-volume.tif", images, photometric="minisblack")
    return DataConfig(path=tmp_path, images="train-volume.tif", masks="train-labels.tif")


def test_stack(volume: DataConfig):
    assert sources.of(volume) is stack
    listing = stack.listing(volume)
    assert [sample.key for sample in listing.samples] == [f"{page:02}" for page in range(12)]
    pages = tifffile.imread(volume.path / "train-volume.tif")
    sample = listing.samples[7]
    np.testing.assert_array_equal(stack.read_image(sample.image)[..., 0], pages[7])
    np.testing.assert_array_equal(
        stack.read_labels(sample, volume, (0, 0)).values, (pages[7] > 99) * 255
    )
    assert sample.image.name(volume.path) == "train-volume.tif page 7"


def test_equal_pages_have_equal_digests(volume: DataConfig):
    digests = [stack.digest(sample.image) for sample in stack.listing(volume).samples]
    assert digests[7] == digests[2]
    assert len(set(digests)) == 11


def test_pages_beyond_the_other_file_are_set_aside(volume: DataConfig):
    tifffile.imwrite(volume.path / "train-labels.tif", np.zeros((10, 10, 8), np.uint8))
    listing = stack.listing(volume)
    assert len(listing.samples) == 10
    assert [entry.file for entry in listing.lone_images] == [
        "train-volume.tif page 10",
        "train-volume.tif page 11",
    ]


def test_recognising_a_stack(volume: DataConfig):
    assert stack.recognise(volume.path) == {
        "format": "stack",
        "images": "train-volume.tif",
        "masks": "train-labels.tif",
    }


def test_a_stack_is_recognised_beside_a_second_one_that_sounds_like_masks(volume: DataConfig):
    pages = tifffile.imread(volume.path / "train-labels.tif")
    tifffile.imwrite(volume.path / "void mask.tif", pages, photometric="minisblack")
    assert stack.recognise(volume.path) == {
        "format": "stack",
        "images": "train-volume.tif",
        "masks": "train-labels.tif",
    }


@pytest.fixture
def volumes(tmp_path: Path) -> DataConfig:
    rng = np.random.default_rng(0)
    for name, pages in (("a", 3), ("b", 12)):
        images = rng.integers(0, 256, (pages, 10, 8), np.uint8)
        for folder, values in (("images", images), ("masks", (images > 99) * np.uint8(255))):
            file = tmp_path / folder / f"{name}.tif"
            file.parent.mkdir(exist_ok=True)
            tifffile.imwrite(file, values, photometric="minisblack")
    return DataConfig(path=tmp_path, format="stack")


def test_folders_of_stacks_pair_file_by_file_and_page_by_page(volumes: DataConfig):
    assert stack.recognise(volumes.path) == {
        "format": "stack",
        "images": "images",
        "masks": "masks",
    }
    listing = stack.listing(volumes)
    assert [sample.key for sample in listing.samples] == [
        *(f"a/{page}" for page in range(3)),
        *(f"b/{page:02}" for page in range(12)),
    ]
    assert {sample.key[0]: sample.group for sample in listing.samples} == {"a": "a", "b": "b"}
    pages = tifffile.imread(volumes.path / "images" / "b.tif")
    sample = listing.samples[-1]
    np.testing.assert_array_equal(stack.read_image(sample.image)[..., 0], pages[11])
    np.testing.assert_array_equal(
        stack.read_labels(sample, volumes, (10, 8)).values, (pages[11] > 99) * 255
    )
    assert sample.mask.name(volumes.path) == "masks/b.tif page 11"
    assert len(stack.files(volumes)) == 4


def test_a_folder_of_one_stack_is_no_group_as_the_stack_alone_is_none(volumes: DataConfig):
    for folder in ("images", "masks"):
        (volumes.path / folder / "b.tif").unlink()
    assert [sample.group for sample in stack.listing(volumes).samples] == ["", "", ""]


def test_a_damaged_stack_is_set_aside_and_the_others_are_read(volumes: DataConfig):
    (volumes.path / "masks" / "a.tif").write_bytes(b"not one at all")
    tifffile.imwrite(volumes.path / "images" / "c.tif", np.zeros((2, 10, 8), np.uint8))
    tifffile.imwrite(volumes.path / "masks" / "b.tif", np.zeros((11, 10, 8), np.uint8))
    listing = stack.listing(volumes)
    assert [sample.key[:2] for sample in listing.samples] == ["b/"] * 11
    lone = {entry.file: entry.reason for entry in listing.lone_images}
    assert list(lone) == ["images/c.tif", "masks/a.tif", "images/b.tif page 11"]
    assert "image without mask" in lone["images/c.tif"]
    assert lone["masks/a.tif"] == "not a TIFF file"
    for file in (volumes.path / "images").iterdir():
        file.write_bytes(b"not one at all")
    with pytest.raises(InputError, match=r"a\.tif is no stack of images: not a TIFF file"):
        stack.listing(volumes)


def test_files_of_single_pages_are_no_stacks(volumes: DataConfig):
    for file in volumes.path.rglob("*.tif"):
        tifffile.imwrite(file, tifffile.imread(file)[0])
    assert stack.recognise(volumes.path) is None
    assert not stack.holds_stacks(volumes)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["images/a.png", "labels/a.png"], ("images", "labels", "")),
        (["img/a.jpg", "annotations/a.png", "thumbs/a.jpg"], ("img", "annotations", "")),
        (["train/a.png", "trainannot/a.png", "val/a.png", "valannot/a.png"],
         ("{SPLIT}", "{SPLIT}annot", "")),
        (["x/images/a.png", "x/gt/a_gt.png"], ("x/images", "x/gt", "_gt")),
        (["images/p1/a.png", "images/p2/b.png", "masks/p1/a.png", "masks/p2/b.png"],
         ("images", "masks", "")),
        (["images/a.png", "labels/b.png"], None),
        (["one/a.png", "two/a.png"], None),
    ],
)  # fmt: skip
def test_guessing_the_folders(files: list[str], expected: tuple[str, str, str] | None):
    root = Path("/data")
    found = best_pair(root, [root / file for file in files])
    keys = ("images", "masks", "mask_suffix")
    assert found == (expected and {k: v for k, v in zip(keys, expected, strict=True) if v})


def test_words_for_masks():
    for name in ("masks", "Labels", "trainannot", "SegmentationClass", "01_GT", "ground-truth"):
        assert sounds_like_masks(name), name
    for name in ("images", "JPEGImages", "train", "img", "angt"):
        assert not sounds_like_masks(name), name


@pytest.mark.parametrize("name", ["isbi2012", "dic_hela"])
def test_real_masks_agree_with_another_reader(shared_data: Path, name: str):
    data = DataConfig(path=shared_data / name, masks="labels")
    samples = paired.listing(data).samples
    assert len(samples) == {"isbi2012": 24, "dic_hela": 60}[name]
    for sample in samples:
        other = np.asarray(Image.open(sample.mask.path)).astype(np.int64)
        np.testing.assert_array_equal(paired.read_labels(sample, data, (0, 0)).values, other)
        grey = np.asarray(Image.open(sample.image.path))
        np.testing.assert_array_equal(paired.read_image(sample.image)[..., 0], grey)
