from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import BadFileError
from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import Reader, SampleError, fit
from components.image_example_gen.sources import paired
from components.image_example_gen.splitting import Placed
from components.records import IGNORE
from tests.components.image_example_gen.conftest import data_of, make_pair

GREY = np.array([[[7]]], np.uint8)
COLOUR = np.array([[[10, 20, 30]]], np.uint8)


@pytest.mark.parametrize(
    ("image", "channels", "expected"),
    [
        (GREY, 1, [7]),
        (GREY, 3, [7, 7, 7]),
        (COLOUR, 3, [10, 20, 30]),
        # (299 * 10 + 587 * 20 + 114 * 30 + 500) // 1000 = 18650 // 1000
        (COLOUR, 1, [18]),
        # Grey saved as RGB stays what it is.
        (np.array([[[9, 9, 9]]], np.uint8), 1, [9]),
        # Alpha is dropped, whatever it says.
        (np.array([[[10, 20, 30, 0]]], np.uint8), 3, [10, 20, 30]),
        (np.array([[[7, 0]]], np.uint8), 3, [7, 7, 7]),
        (np.array([[[10, 20, 30, 40]]], np.uint8), 4, [10, 20, 30, 40]),
    ],
)
def test_channels(image: np.ndarray, channels: int, expected: list[int]):
    found = fit(image, channels, "uint8")
    assert found.dtype == np.uint8
    assert found[0, 0].tolist() == expected


def test_luma_keeps_sixteen_bits():
    image = np.full((1, 1, 3), 65535, np.uint16)
    image[0, 0, 1] = 65533
    # 65535 less 0.587 * 2, rounded.
    assert fit(image, 1, "uint16")[0, 0].tolist() == [65534]


@pytest.mark.parametrize(
    ("image", "channels", "dtype", "reason"),
    [
        (GREY, 1, "uint16", "uint8 image in a data set of uint16 images"),
        (np.zeros((1, 1, 5), np.uint8), 3, "uint8", "5-channel image in a data set of 3-channel"),
        (np.full((1, 1, 1), np.nan, np.float32), 1, "float32", "not finite"),
    ],
)
def test_images_that_do_not_fit(image: np.ndarray, channels: int, dtype: str, reason: str):
    with pytest.raises(BadFileError, match=reason):
        fit(image, channels, dtype)


def test_records_of_a_sample(tmp_path: Path):
    make_pair(tmp_path, "a", seed=0, size=(5, 3))
    data = data_of(tmp_path)
    (sample,) = paired.listing(data).samples
    records = list(Reader(data, IngestConfig(tile=4)).records(Placed(sample, "train", "g", "abc")))
    # 5 columns in tiles of 4: two tiles, the second with one column of the image.
    assert [record.tile for record in records] == [(0, 0), (0, 4)]
    assert [int((record.mask != IGNORE).sum()) for record in records] == [12, 3]
    first = records[0]
    assert (first.source, first.group, first.source_sha256) == ("a", "g", "abc")
    assert first.source_size == (3, 5)
    pixels = np.asarray(Image.open(tmp_path / "images/a.png"))
    np.testing.assert_array_equal(first.image[:3, :, 0], pixels[:, :4])
    classes = np.asarray(Image.open(tmp_path / "masks/a.png")) // 255
    np.testing.assert_array_equal(first.mask[:3], classes[:, :4])


def test_the_file_at_fault_is_named(bad_folder: Path):
    data = data_of(bad_folder)
    by_key = {sample.key: sample for sample in paired.listing(data).samples}
    for key, file in (
        ("cut_short", "images/cut_short.png"),
        ("other_size", "masks/other_size.png"),
    ):
        with pytest.raises(SampleError) as caught:
            next(Reader(data, IngestConfig()).records(Placed(by_key[key], "train", "g", "")))
        assert caught.value.set_aside.file == file


def test_transparency_is_dropped_or_laid_on_a_ground():
    # A quarter opaque, 64 of 255: (100 * 64 + 255 * 191 + 127) // 255 = 216 on white,
    # (100 * 64 + 127) // 255 = 25 on black.
    image = np.array([[[100, 64], [100, 255], [100, 0]]], np.uint8)
    assert fit(image, 1, "uint8").tolist() == [[[100], [100], [100]]]
    assert fit(image, 1, "uint8", "white").tolist() == [[[216], [100], [255]]]
    assert fit(image, 1, "uint8", "black").tolist() == [[[25], [100], [0]]]
    with pytest.raises(BadFileError, match=r"float32 alpha cannot be laid on white"):
        fit(image.astype(np.float32), 1, "float32", "white")


def test_a_list_may_say_which_delivery_an_image_is_of(tmp_path: Path) -> None:
    pixels = np.zeros((4, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    (tmp_path / "list.csv").write_text("image,mask,span\na.png,a.png,7\n")
    data = DataConfig(
        path=tmp_path,
        format="manifest",
        manifest="list.csv",
        channels=1,
        dtype="uint8",
        classes={"none": (0,), "one": (1,)},
    )
    (sample,) = sources.listing(data).samples
    placed = Placed(sample, "train", "a", "0" * 64)
    assert [record.span for record in Reader(data, IngestConfig(tile=4)).records(placed)] == [7]
    # Where deliveries are folders or lists of their own, these are numbered.
    assert [record.span for record in Reader(data, IngestConfig(tile=4), 9).records(placed)] == [9]
