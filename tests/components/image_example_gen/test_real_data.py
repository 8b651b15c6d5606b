"""Every data set of folders is recognised, and its masks are what Pillow and NumPy say they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import Reader
from components.image_example_gen.sources.contract import Sample
from components.records import IGNORE
from pipeline import planning
from tests.components.image_example_gen.conftest import ingest


def opened(path: str | Path, mode: str | None = None) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture if mode is None else picture.convert(mode))


@functools.cache
def inspected(folder: Path) -> planning.Findings:
    """What init finds there, without a hint."""
    findings = planning.inspect(folder)
    assert not findings.to_json()["bad_files"]
    return findings


def proposed(folder: Path) -> DataConfig:
    return inspected(folder).data


def camvid(sample: Sample) -> np.ndarray:
    ids = opened(sample.mask.path)
    return np.where(ids == 11, IGNORE, ids)


def drive(sample: Sample) -> np.ndarray:
    folder = Path(sample.image.path).parents[1]
    number = Path(sample.image.path).name[:2]
    vessels = opened(folder / f"1st_manual/{number}_manual1.gif", "L") > 0
    seen = opened(folder / f"mask/{number}_training_mask.gif", "L") > 0
    return np.where(seen, vessels, IGNORE)


def dsb2018(sample: Sample) -> np.ndarray:
    files = (Path(sample.image.path).parents[1] / "masks").iterdir()
    return np.any([opened(file, "L") > 0 for file in files], axis=0)


def cloud_shadow(sample: Sample) -> np.ndarray:
    red, green, _ = np.moveaxis(opened(sample.mask.path, "RGB"), -1, 0)
    # background, green, red: in the order of their colours.
    return np.where(red > 64, 2, np.where(green > 64, 1, 0))


@pytest.mark.parametrize(
    ("name", "count", "classes", "expected"),
    [
        ("isbi2012", 24, 2, lambda sample: opened(sample.mask.path) == 255),
        # Inverted: cells are 0.
        ("dic_hela", 60, 2, lambda sample: opened(sample.mask.path) == 0),
        ("camvid", 157, 11, camvid),
        pytest.param("dsb2018", 79, 2, dsb2018, marks=pytest.mark.slow),
        ("drive", 20, 2, drive),
        # Between 0, 127 and 255 lie 64 (rounded up from 63.5) and 191.
        ("axon_sem", 7, 3, lambda s: np.digitize(opened(s.mask.path, "L"), [64, 191])),
        ("pets", 200, 3, lambda sample: opened(sample.mask.path)),
        ("awkward/bag_inverted_jpeg_masks", 25, 2, lambda s: opened(s.mask.path, "L") < 128),
        ("awkward/cloud_shadow_rgb_or_palette_masks", 40, 3, cloud_shadow),
        ("awkward/isbi_jpeg_labels", 4, 2, lambda s: opened(s.mask.path, "L") > 127),
    ],
)
def test_masks_agree_with_another_reader(
    shared_data: Path,
    name: str,
    count: int,
    classes: int,
    expected: Callable[[Sample], np.ndarray],
):
    data = proposed(shared_data / name)
    assert len(data.classes) == classes
    listing = sources.of(data).listing(data)
    assert len(listing.samples) == count
    assert not listing.lone_images
    assert not listing.lone_masks
    for sample in listing.samples:
        pair = Reader(data).pair(sample)
        np.testing.assert_array_equal(pair.mask, expected(sample))
        picture = opened(sample.image.path, "L" if data.channels == 1 else "RGB")
        np.testing.assert_array_equal(pair.image, picture.reshape(pair.image.shape))


@pytest.mark.slow
def test_each_nucleus_is_an_instance(shared_data: Path):
    data = proposed(shared_data / "dsb2018")
    for sample in sources.of(data).listing(data).samples[:10]:
        pair = Reader(data).pair(sample)
        assert pair.instances is not None
        files = [sample.mask, *sample.further]
        # These masks do not overlap, so each file is one number whole.
        for number, file in enumerate(files, 1):
            np.testing.assert_array_equal(pair.instances == number, opened(file.path, "L") > 0)
        assert pair.instances.max() == len(files)


@pytest.mark.slow
def test_records_of_a_data_set_with_regions(shared_data: Path, tmp_path: Path):
    data = proposed(shared_data / "drive")
    ingested = ingest(data, IngestConfig(tile=256), tmp_path / "out")
    assert ingested.counts.images == 20
    assert sum(ingested.counts.used.values()) == 20
    # 584 x 565 pixels: 3 x 3 tiles of 256 an image.
    assert sum(ingested.counts.records.values()) == 9 * 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form", "count"),
    [
        ("isbi2012", "paired", 24),
        ("dic_hela", "paired", 60),
        ("camvid", "paired", 157),
        ("dsb2018", "paired", 79),
        ("drive", "paired", 20),
        ("axon_sem", "paired", 7),
        ("pets", "paired", 200),
        ("voc", "voc", 3),
        # Three images, with shapes of classes in one folder and of objects in another.
        ("labelme", "labelme", 6),
        ("coco", "coco", 50),
        ("ctc", "cell_tracking", 2),
        ("awkward/bag_inverted_jpeg_masks", "paired", 25),
        ("awkward/cloud_shadow_rgb_or_palette_masks", "paired", 40),
        ("awkward/isbi_jpeg_labels", "paired", 4),
    ],
)
def test_every_data_set_is_recognised_without_a_hint_and_ingested(
    shared_data: Path, tmp_path: Path, name: str, form: str, count: int
):
    findings = inspected(shared_data / name)
    assert findings.data.format == form
    ingested = ingest(findings.data, findings.ingest, tmp_path / "out")
    assert ingested.set_aside == {}
    assert ingested.counts.images == sum(ingested.counts.used.values()) == count
    assert all(ingested.counts.used.values())
