"""Codings of masks: what a file says, and what class ids that gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from components.errors import BadFileError
from components.image_example_gen import label_files
from components.image_example_gen.config import DataConfig
from components.image_example_gen.masks import coding, to_class_ids
from components.image_example_gen.sources.contract import Labels, Reference
from components.records import IGNORE

INDICES = np.array([[0, 1, 1], [2, 2, 0]], np.uint8)
PALETTE = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0]], np.uint8)


def data_of(**keys: Any) -> DataConfig:
    return DataConfig(channels=1, dtype="uint8", **keys)


def palette_png(path: Path) -> Reference:
    picture = Image.fromarray(INDICES, "P")
    picture.putpalette(PALETTE.ravel().tolist())
    picture.save(path)
    return Reference(str(path))


def saved(path: Path, pixels: np.ndarray, **options: Any) -> Reference:
    Image.fromarray(pixels).save(path, **options)
    return Reference(str(path))


def ids(mask: Reference, data: DataConfig) -> list[list[int]]:
    return to_class_ids(label_files.read(mask, data), coding(data)).tolist()


def test_palettes_mean_indices_or_colours(tmp_path: Path):
    mask = palette_png(tmp_path / "a.png")
    by_index = data_of(classes={"none": (0,), "a": (1,), "b": (2,)})
    by_colour = data_of(classes={"none": ("#000000",), "b": ("#00c800",), "a": ("#c80000",)})
    assert ids(mask, by_index) == [[0, 1, 1], [2, 2, 0]]
    # The colours' classes are in another order: b is 1.
    assert ids(mask, by_colour) == [[0, 2, 2], [1, 1, 0]]
    assert label_files.read(mask, data_of()).values.tolist() == INDICES.tolist()
    colours = label_files.read(mask, data_of(coding="colours")).values
    np.testing.assert_array_equal(colours, PALETTE[INDICES])


def test_grey_is_a_colour_too_where_classes_are_colours(tmp_path: Path):
    # A mask without any object is all black, and many tools then write it in grey.
    mask = saved(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    data = data_of(classes={"none": ("#000000",), "a": ("#c80000",)})
    assert ids(mask, data) == [[0, 0], [0, 0]]


def test_colours_where_numbers_are_wanted(tmp_path: Path):
    mask = saved(tmp_path / "a.png", PALETTE[INDICES])
    data = data_of(classes={"none": (0,), "a": (1,)})
    with pytest.raises(
        BadFileError,
        match=r"^unknown label values #000000, #00c800, #c80000 \(6 pixels\); it holds",
    ):
        ids(mask, data)
    with pytest.raises(BadFileError, match=r"^the mask holds colours"):
        label_files.read(mask, data_of(coding="values"))


def test_colours_within_tolerance(tmp_path: Path):
    # (199, 1, 0) is one off red; (0, 190, 12) is 12 off green.
    pixels = np.array([[[200, 0, 0], [199, 1, 0], [0, 190, 12], [0, 0, 0]]], np.uint8)
    mask = saved(tmp_path / "a.png", pixels)
    classes = {"none": ("#000000",), "red": ("#c80000",), "green": ("#00c800",)}
    assert ids(mask, data_of(classes=classes, tolerance=12)) == [[1, 1, 2, 0]]
    with pytest.raises(BadFileError, match=r"^unknown label value #00be0c \(1 pixel\)$"):
        ids(mask, data_of(classes=classes, tolerance=11))
    with pytest.raises(BadFileError, match=r"^unknown label values #00be0c, #c70100 \(2 pixels\)$"):
        ids(mask, data_of(classes=classes))


def test_the_nearest_colour_is_taken(tmp_path: Path):
    # From (100, 0, 0) it is 100 to black and 120 to (220, 0, 0).
    mask = saved(tmp_path / "a.png", np.array([[[100, 0, 0], [111, 0, 0]]], np.uint8))
    data = data_of(classes={"none": ("#000000",), "red": ("#dc0000",)}, tolerance=255)
    assert ids(mask, data) == [[0, 1]]


def test_a_colour_may_be_ignored(tmp_path: Path):
    mask = palette_png(tmp_path / "a.png")
    data = data_of(classes={"none": ("#000000",), "a": ("#c80000",)}, ignore=("#00c800",))
    assert ids(mask, data) == [[0, 1, 1], [IGNORE, IGNORE, 0]]


def test_jpeg_masks_by_ranges_and_by_nearest_colours(tmp_path: Path):
    truth = np.zeros((32, 32), np.uint8)
    truth[9:23, 10:23] = 255
    grey = saved(tmp_path / "grey.jpg", truth, quality=60)
    assert len(np.unique(np.asarray(Image.open(grey.path)))) > 2
    data = data_of(classes={"a": tuple(range(128)), "b": tuple(range(128, 256))})
    np.testing.assert_array_equal(ids(grey, data), truth > 0)

    colours = np.zeros((32, 32, 3), np.uint8)
    colours[9:23, 10:23] = 255, 0, 0
    red = saved(tmp_path / "red.jpg", colours, quality=90, subsampling=0)
    data = data_of(classes={"a": ("#000000",), "b": ("#ff0000",)}, tolerance=255)
    np.testing.assert_array_equal(ids(red, data), truth > 0)


def test_rgba_masks(tmp_path: Path):
    # What is wholly transparent has no colour, whatever is stored of it.
    pixels = np.array([[[255, 0, 0, 255], [255, 0, 0, 0], [9, 9, 9, 0]]], np.uint8)
    mask = saved(tmp_path / "a.png", pixels)
    data = data_of(classes={"none": ("#000000",), "a": ("#ff0000",)})
    assert ids(mask, data) == [[1, 0, 0]]
    white = np.full((1, 2, 4), 255, np.uint8)
    white[0, 1, 3] = 0
    mask = saved(tmp_path / "b.png", white)
    assert ids(mask, data_of(classes={"none": (0,), "a": (255,)})) == [[1, 0]]


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bits_and_one(tmp_path: Path, ending: str):
    deep = np.array([[0, 300, 65535]], np.uint16)
    path = tmp_path / f"deep.{ending}"
    if ending == "tif":
        tifffile.imwrite(path, deep)
    else:
        Image.fromarray(deep).save(path)
    data = data_of(classes={"a": (0,), "b": (300,), "c": (65535,)})
    assert ids(Reference(str(path)), data) == [[0, 1, 2]]
    one = Image.fromarray(np.array([[True, False, True]]))
    one.save(tmp_path / f"one.{ending}")
    data = data_of(classes={"a": (0,), "b": (255,)})
    assert ids(Reference(str(tmp_path / f"one.{ending}")), data) == [[1, 0, 1]]


def test_numbers_of_objects(tmp_path: Path):
    numbers = np.array([[0, 7, 7, 900]], np.uint16)
    mask = saved(tmp_path / "a.png", numbers)
    data = data_of(coding="objects", classes={"none": (0,), "cell": tuple(range(1, 1024))})
    labels = label_files.read(mask, data)
    assert labels.instances is not None
    assert labels.instances.dtype == np.int32
    assert labels.instances.tolist() == [[0, 7, 7, 900]]
    assert to_class_ids(labels, coding(data)).tolist() == [[0, 1, 1, 1]]


def test_colours_of_objects(tmp_path: Path):
    # In the order of the colours: #000001 is 1, #c80000 is 2; black is none.
    pixels = np.array([[[200, 0, 0], [0, 0, 0], [0, 0, 1], [200, 0, 0]]], np.uint8)
    mask = saved(tmp_path / "a.png", pixels)
    labels = label_files.read(mask, data_of(coding="objects"))
    assert labels.instances is not None
    assert labels.instances.tolist() == [[2, 0, 1, 2]]
    assert labels.values.tolist() == [[2, 0, 1, 2]]


def test_interior_and_border():
    # Two touching objects in a 5 x 8 image; one pixel of each along its edge is border.
    instances = np.zeros((5, 8), np.int32)
    instances[1:5, 1:4] = 1
    instances[1:5, 4:8] = 2
    data = data_of(
        instances="border",
        classes={"none": (0,), "inside": (1, 2), "edge": ("border",)},
    )
    found = to_class_ids(Labels(instances, instances=instances), coding(data))
    # The image's end is no edge: the last row and the last column are inside.
    assert found.tolist() == [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 2, 2, 2, 2, 2, 2, 2],
        [0, 2, 1, 2, 2, 1, 1, 1],
        [0, 2, 1, 2, 2, 1, 1, 1],
        [0, 2, 1, 2, 2, 1, 1, 1],
    ]
    wide = data.model_copy(update={"border_width": 2})
    found = to_class_ids(Labels(instances, instances=instances), coding(wide))
    # Object 1 is three pixels wide, so it is border throughout; of object 2 two columns are left.
    assert found[3:].tolist() == [[0, 2, 2, 2, 2, 2, 1, 1]] * 2


def test_a_border_may_be_ignored_and_needs_a_class():
    instances = np.array([[1, 1, 1, 2, 2, 2]], np.int32)
    data = data_of(instances="border", classes={"none": (0,), "inside": (1, 2)}, ignore=("border",))
    found = to_class_ids(Labels(instances, instances=instances), coding(data))
    assert found.tolist() == [[1, 1, IGNORE, IGNORE, 1, 1]]
    with pytest.raises(ValueError, match="instances: border needs a class of the value border"):
        data_of(instances="border", classes={"none": (0,), "inside": (1,)})


def test_files_of_objects_are_merged_the_smaller_on_top(tmp_path: Path):
    one, two, three = (np.zeros((2, 4), np.uint8) for _ in range(3))
    one[:, :3] = 255  # 6 pixels
    two[0, 2:] = 255  # 2 pixels, one of them in object 1
    three[1, 0] = 255  # 1 pixel, within object 1
    files = [
        saved(tmp_path / f"{name}.png", pixels)
        for name, pixels in (("b", two), ("a", one), ("c", three))
    ]
    labels = label_files.merged(files, data_of(), (2, 4))
    # Numbered in the order of the files: 1 is b.
    assert labels.instances is not None
    assert labels.instances.tolist() == [[2, 2, 1, 1], [3, 2, 2, 0]]
    assert labels.values.tolist() == [[255, 255, 255, 255], [255, 255, 255, 0]]


def test_a_file_of_another_size_among_several_is_named(tmp_path: Path):
    files = [
        saved(tmp_path / "a.png", np.zeros((2, 4), np.uint8)),
        saved(tmp_path / "b.png", np.zeros((3, 4), np.uint8)),
    ]
    with pytest.raises(BadFileError, match=r"^b\.png: mask is 4x3, image is 4x2$"):
        label_files.merged(files, data_of(), (2, 4))


def test_regions(tmp_path: Path):
    # JPEG leaves grains around 0: what is nearer to the greatest value counts.
    region = saved(tmp_path / "a.png", np.array([[0, 3, 254, 255]], np.uint8))
    assert label_files.region(region, (1, 4)).tolist() == [[False, False, True, True]]
    nothing = saved(tmp_path / "b.png", np.zeros((1, 4), np.uint8))
    assert not label_files.region(nothing, (1, 4)).any()
    with pytest.raises(BadFileError, match=r"^its region a\.png: region is 4x1, image is 4x2$"):
        label_files.region(region, (2, 4))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("a.png", {}, "8-bit RGB PNG"),
        ("a.jpg", {}, "JPEG"),
        ("a.tif", {}, "TIFF"),
        ("a.bmp", {}, "BMP"),
    ],
)
def test_how_masks_are_stored(tmp_path: Path, name: str, options: dict[str, Any], expected: str):
    mask = saved(tmp_path / name, PALETTE[INDICES], **options)
    assert label_files.stored_as(mask) == expected


def test_what_is_no_picture_is_stored_as_nothing(tmp_path: Path):
    assert label_files.stored_as(palette_png(tmp_path / "a.png")) == "2-bit palette PNG"
    (tmp_path / "a.json").write_text("{}")
    assert label_files.stored_as(Reference(str(tmp_path / "a.json"))) == ""
    assert label_files.stored_as(Reference(str(tmp_path / "nowhere"))) == ""


def test_files_of_objects_may_be_jpeg_or_of_several_depths(tmp_path: Path):
    square = np.zeros((16, 16), np.uint8)
    square[3:9, 3:9] = 255
    deep = np.zeros((16, 16), np.uint16)
    deep[12:, 12:] = 300
    files = [
        saved(tmp_path / "a.jpg", square, quality=70),
        saved(tmp_path / "b.png", deep),
    ]
    labels = label_files.merged(files, data_of(), (16, 16))
    assert labels.instances is not None
    np.testing.assert_array_equal(labels.instances == 1, square > 0)
    np.testing.assert_array_equal(labels.instances == 2, deep > 0)
    assert labels.values.dtype == np.uint16
    assert labels.values.max() == 300


def test_files_of_objects_with_and_without_colours(tmp_path: Path):
    files = [
        saved(tmp_path / "a.png", np.full((2, 2), 9, np.uint8)),
        saved(tmp_path / "b.png", np.full((2, 2, 3), (1, 2, 3), np.uint8)),
    ]
    with pytest.raises(BadFileError, match=r"some of its files hold colours and some do not"):
        label_files.merged(files, data_of(), (2, 2))
