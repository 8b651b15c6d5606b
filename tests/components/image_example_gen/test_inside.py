from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import BadFileError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import inside, labelme, manifest, voc
from pipeline import colour_names, guessing


def test_names_below_the_folder():
    assert inside.checked("a/b.png") == "a/b.png"
    assert inside.checked(" ./a//b\\c.png ") == "a/b/c.png"
    assert inside.checked("..a/b..png") == "..a/b..png"


@pytest.mark.parametrize(
    "name",
    ["/a", "\\\\host\\a", "C:a", "c:\\a", "gs://b/a", "file:///a", "~/a", "~root/a"],
)
def test_absolute_names_are_refused(name: str):
    with pytest.raises(BadFileError, match="is absolute; name files by their path below"):
        inside.checked(name)


@pytest.mark.parametrize("name", ["..", "../a", "a/../../b", "a/..", "..\\a"])
def test_names_that_lead_upwards_are_refused(name: str):
    with pytest.raises(BadFileError, match="leads upwards"):
        inside.checked(name)


@pytest.mark.parametrize("name", ["", " ", ".", None, 7, "a\0b", "x" * 5000, ["a"]])
def test_what_is_no_name(name: object):
    with pytest.raises(BadFileError, match="is no name of a file"):
        inside.checked(name)


def test_beside_a_file():
    root, file = Path("/set"), Path("/set/labels/x/1.json")
    assert inside.beside(root, file, "1.png") == Path("/set/labels/x/1.png")
    assert inside.beside(root, file, "../../images/1.png") == Path("/set/images/1.png")
    for name in ("../../../1.png", "../../../set/../1.png", "../../../../../etc/passwd"):
        with pytest.raises(BadFileError, match="leads out of the data set's folder"):
            inside.beside(root, file, name)
    with pytest.raises(BadFileError, match="is absolute"):
        inside.beside(root, file, "/etc/passwd")


def pair(root: Path, name: str) -> None:
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(root / folder / f"{name}.png")


def test_links_that_lead_out_are_set_aside(tmp_path: Path):
    secret, root = tmp_path / "secret", tmp_path / "set"
    pair(secret, "s")
    for name in ("a", "b", "c", "d"):
        pair(root, name)
    for file, target in (
        ("images/b.png", secret / "images/s.png"),
        ("masks/c.png", secret / "masks/s.png"),
        ("images/d.png", root / "images/d.png"),
    ):
        (root / file).unlink()
        (root / file).symlink_to(target)
    # A link within the folder is none's harm.
    (root / "images/e.png").symlink_to(root / "images/a.png")
    (root / "masks/e.png").symlink_to("../masks/a.png")
    listing = sources.listing(DataConfig(path=root))
    assert [sample.key for sample in listing.samples] == ["a", "e"]
    reason = "is a link that leads out of the data set's folder; put the file itself there"
    assert {one.file: one.reason for one in listing.lone_images} == {
        "images/b.png": reason,
        "masks/c.png": reason,
        "images/d.png": reason,  # a link to itself leads nowhere
    }


def test_linked_folders(tmp_path: Path):
    pair(tmp_path / "elsewhere", "a")
    root = tmp_path / "set"
    root.mkdir()
    for folder in ("images", "masks"):
        (root / folder).symlink_to(tmp_path / "elsewhere" / folder)
    listing = sources.listing(DataConfig(path=root))
    assert not listing.samples
    assert "lies behind a link" in listing.lone_images[0].reason
    # What the configuration itself names, and a link to the whole data set, are its writer's.
    named = DataConfig(path=root, images="../elsewhere/images", masks="../elsewhere/masks")
    assert len(sources.listing(named).samples) == 1
    whole = tmp_path / "link"
    whole.symlink_to(tmp_path / "elsewhere")
    assert len(sources.listing(DataConfig(path=whole)).samples) == 1


def test_linked_annotations_are_not_read(tmp_path: Path):
    (tmp_path / "secret.json").write_text('{"shapes": [], "imagePath": "a.png"}')
    root = tmp_path / "set"
    pair(root, "a")
    (root / "a.json").write_text('{"shapes": [], "imagePath": "images/a.png"}')
    (root / "b.json").symlink_to(tmp_path / "secret.json")
    listing = sources.listing(DataConfig(path=root, format="labelme"))
    assert [one.file for one in listing.lone_masks] == ["b.json"]
    assert len(listing.samples) == 1


def voc_of(root: Path) -> DataConfig:
    return DataConfig(path=root, format="voc", images="JPEGImages", masks="SegmentationClass")


def test_linked_lists_of_names_and_sides_are_not_read(tmp_path: Path):
    secret, root = tmp_path / "secret", tmp_path / "set"
    secret.mkdir()
    for name in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / name).mkdir(parents=True)
    for name, text in {
        "class_names.txt": "ground\ngrass",
        "labels.txt": "ground\ngrass",
        "classes.txt": "0 ground\n1 grass",
        "class_dict.csv": "ground,0,0,0\ngrass,0,128,0",
        "list.csv": "image,mask\nJPEGImages/a.png,SegmentationClass/a.png",
        "ImageSets/Segmentation/train.txt": "a",
    }.items():
        target = secret / Path(name).name
        target.write_text(text)
        (root / name).symlink_to(target)
    for folder in ("JPEGImages", "SegmentationClass"):
        Image.fromarray(np.eye(4, dtype=np.uint8)).save(root / folder / "a.png")

    def read() -> list[bool]:
        """Whether each of them is read."""
        return [
            bool(voc.listing(voc_of(root)).labels),
            bool(labelme._listed(root)),
            bool(guessing.class_names(root, root / "SegmentationClass")[0]),
            bool(colour_names.read(root)[0]),
            manifest.recognise(root) is not None,
            not voc.listing(voc_of(root)).lone_images,
        ]

    assert read() == [False] * 6
    assert [(one.file, one.reason) for one in voc.listing(voc_of(root)).lone_images] == [
        ("ImageSets/Segmentation/train.txt", inside.IS_A_LINK)
    ]
    # The same files, put there themselves, are.
    for file in root.rglob("*.*"):
        if file.is_symlink():
            content = file.read_bytes()
            file.unlink()
            file.write_bytes(content)
    assert read() == [True] * 6
