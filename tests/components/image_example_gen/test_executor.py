from __future__ import annotations

import hashlib
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from components.errors import InputError
from components.image_example_gen.ingest_config import IngestConfig
from components.records import EVAL, TRAIN
from tests.components.image_example_gen.conftest import Ingested, data_of, ingest, make_pair

LISTS = {"train": ("good_0..good_6", "[!g]*"), "eval": ("good_7..good_9",)}
LENIENT = IngestConfig(tile=32, bad_input_limit=0.5)


@pytest.fixture(scope="module")
def mixed(bad_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """The folder of good and bad files, ingested with an unusual patience."""
    return ingest(data_of(bad_folder, split=LISTS), LENIENT, tmp_path_factory.mktemp("records"))


def test_each_bad_file_is_named_with_its_reason(mixed: Ingested):
    reasons = dict(mixed.set_aside)
    assert reasons.pop("images/cut_short.png").startswith("truncated PNG: ")
    assert reasons == {
        "masks/other_size.png": "mask is 30x20, image is 40x30",
        "images/no_mask.png": "image without mask: there is no masks/no_mask.*",
        "masks/no_image.png": "mask without image: there is no images/no_image.*",
        "masks/unknown_value.png": "unknown label value 7 (3 pixels)",
        "images/empty.png": "empty file",
        "images/text.png": "not an image: it begins with text",
    }


def test_every_image_is_accounted_for(mixed: Ingested, bad_folder: Path):
    counts = mixed.counts
    # 10 good images, 6 bad ones (the seventh bad file is a mask that has no image).
    assert counts.images == len(list((bad_folder / "images").iterdir())) == 16
    assert counts.used == {TRAIN: 7, EVAL: 3}
    assert (counts.set_aside, counts.lone_masks, counts.unused) == (6, 1, 0)
    # 40 x 30 pixels in tiles of 32: two each.
    assert counts.records == {TRAIN: 14, EVAL: 6}
    assert len(mixed.records(TRAIN)) == 14
    assert len(mixed.records(EVAL)) == 6


def test_records_hold_the_pixels(mixed: Ingested, bad_folder: Path):
    (first, *_) = [
        record
        for record in mixed.records(EVAL)
        if record["source"] == b"good_8" and record["tile"].tolist() == [0, 0]
    ]
    pixels = np.asarray(Image.open(bad_folder / "images/good_8.png"))
    np.testing.assert_array_equal(first["image"][:30, :, 0], pixels[:, :32])


def test_files_are_named_as_tfx_names_them(mixed: Ingested):
    names = sorted(path.name for path in (mixed.folder / "Split-eval").iterdir())
    assert names == [f"data_tfrecord-{shard:05}-of-00003" for shard in range(3)]
    assert sorted(path.name for path in mixed.folder.iterdir()) == [
        "Split-eval",
        "Split-train",
        "counts.json",
        "images.parquet",
        "near_duplicates.jsonl",
        "set_aside.jsonl",
    ]


def test_the_same_data_gives_the_same_bytes(mixed: Ingested, bad_folder: Path, tmp_path: Path):
    again = ingest(data_of(bad_folder, split=LISTS), LENIENT, tmp_path)

    def digests(folder: Path) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.glob("Split-train/*")
        }

    assert digests(again.folder) == digests(mixed.folder)


def test_too_many_bad_files_stop_the_run_with_the_whole_list(
    mixed: Ingested, bad_folder: Path, tmp_path: Path
):
    with pytest.raises(InputError, match=r"^7 bad files among 16 images, where") as caught:
        ingest(data_of(bad_folder, split=LISTS), IngestConfig(tile=32), tmp_path / "9")
    named = {entry.file: entry.reason for entry in caught.value.set_aside}
    assert named == mixed.set_aside
    lines = (tmp_path / "9.set_aside.jsonl").read_text().splitlines()
    assert {json.loads(line)["file"] for line in lines} == set(named)
    # Nothing says of these records that they are whole.
    assert not (tmp_path / "9" / "counts.json").exists()


def test_one_bad_file_is_always_allowed(tmp_path: Path):
    for number in range(4):
        make_pair(tmp_path / "data", f"f{number}", seed=number)
    (tmp_path / "data/images/f0.png").write_bytes(b"")
    data = data_of(tmp_path / "data", split={"train": ["f0..f2"], "eval": ["f3"]})
    ingested = ingest(data, IngestConfig(tile=32, bad_input_limit=0), tmp_path / "records")
    assert ingested.set_aside == {"images/f0.png": "empty file"}
    assert ingested.counts.used == {TRAIN: 2, EVAL: 1}


def test_a_side_whose_images_are_all_bad_stops_the_run(tmp_path: Path):
    for number in range(3):
        make_pair(tmp_path / "data", f"f{number}", seed=number)
    (tmp_path / "data/images/f2.png").write_bytes(b"")
    data = data_of(tmp_path / "data", split={"train": ["f0..f1"], "eval": ["f2"]})
    with pytest.raises(InputError, match=r"none of the 3 images is left to evaluate on"):
        ingest(data, IngestConfig(tile=32), tmp_path / "records")


def test_copies_and_images_that_no_list_names(tmp_path: Path):
    for number in range(5):
        make_pair(tmp_path / "data", f"f{number}", seed=number)
    shutil.copy(tmp_path / "data/images/f3.png", tmp_path / "data/images/f0.png")
    data = data_of(tmp_path / "data", split={"train": ["f0..f2"], "eval": ["f3"]})
    ingested = ingest(data, IngestConfig(tile=32), tmp_path / "records")
    assert ingested.set_aside == {"images/f0.png": "a copy of images/f3.png, which evaluates"}
    assert ingested.counts.unused == 1
    assert {record["source"] for record in ingested.records(TRAIN)} == {b"f1", b"f2"}


def test_progress_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for number in range(3):
        make_pair(tmp_path / "data", f"f{number}", seed=number)
    data = data_of(tmp_path / "data", split={"train": ["f0..f1"], "eval": ["f2"]})
    with caplog.at_level(logging.INFO, "overtile.progress"):
        ingest(data, IngestConfig(tile=32), tmp_path / "records")
    last = [record for record in caplog.records if record.name == "overtile.progress"][-1]
    assert vars(last)["done"] == vars(last)["total"] == 3
