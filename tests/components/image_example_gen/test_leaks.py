from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from components.image_example_gen import duplicates, image_table, splitting
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.sources.contract import Reference, Sample
from tests.components.image_example_gen.conftest import Ingested, data_of, ingest, make_pair


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> Ingested:
    """Ten pairs to train and two to evaluate; three of those that train are copies."""
    root = tmp_path_factory.mktemp("leaky")
    for number in range(8):
        make_pair(root, f"t{number}", number)
    for number in range(2):
        make_pair(root, f"e{number}", 100 + number)
    evaluated = Image.open(root / "images" / "e0.png")
    for name in ("t8", "t9", "t10"):
        make_pair(root, name, 7)
    # The same pixels in another format; the same format with other metadata.
    (root / "images" / "t8.png").unlink()
    evaluated.save(root / "images" / "t8.bmp")
    note = PngImagePlugin.PngInfo()
    note.add_text("Comment", "exported again")
    evaluated.save(root / "images" / "t9.png", pnginfo=note)
    # Not the same pixels, but the same picture.
    brighter = np.clip(np.asarray(Image.open(root / "images" / "e1.png")) * 0.8 + 5, 0, 255)
    Image.fromarray(brighter.astype(np.uint8)).save(root / "images" / "t10.png")
    split = {"train": ["t*"], "eval": ["e*"]}
    options = IngestConfig(tile=16, bad_input_limit=0.5)
    return ingest(data_of(root, split=split), options, tmp_path_factory.mktemp("records"))


def test_pixel_copies_of_an_image_that_evaluates_do_not_train(leaky: Ingested) -> None:
    assert leaky.set_aside == {
        "images/t8.bmp": "has the pixels of images/e0.png, which evaluates",
        "images/t9.png": "has the pixels of images/e0.png, which evaluates",
    }
    trained = {record["source"].decode() for record in leaky.records("train")}
    assert trained == {*(f"t{number}" for number in range(8)), "t10"}


def test_the_accounts_are_without_them(leaky: Ingested) -> None:
    # 13 images, 2 set aside; 40 x 30 pixels make 3 x 2 tiles of 16.
    assert (leaky.counts.images, leaky.counts.set_aside) == (13, 2)
    assert leaky.counts.used == {"train": 9, "eval": 2}
    assert leaky.counts.records == {"train": 54, "eval": 12}
    assert len(leaky.records("train")) == 54
    sources = image_table.of([str(leaky.folder)], ["source"])["source"].to_pylist()
    assert len(sources) == 11
    assert not {"t8", "t9"} & set(sources)


def test_what_looks_alike_is_listed_and_trains_all_the_same(leaky: Ingested) -> None:
    found = duplicates.read(leaky.folder / duplicates.FILE)
    assert [(pair.eval, pair.train) for pair in found] == [("e1", "t10")]


def test_nothing_is_left_beside_the_records(leaky: Ingested) -> None:
    names = {file.name for file in leaky.folder.iterdir() if file.is_file()}
    assert names == {"counts.json", "set_aside.jsonl", "images.parquet", "near_duplicates.jsonl"}


def samples(*keys: str, **more: str) -> list[Sample]:
    return [Sample(key, Reference(key), Reference(key), **more) for key in keys]


def sides(listed: list[Sample], data) -> dict[str, str]:
    digests = {sample.key: f"digest of {sample.key}" for sample in listed}
    return {one.sample.key: one.split for one in splitting.plan(listed, digests, data).placed}


@pytest.mark.parametrize(
    "many",
    [
        [sample for number in range(60) for sample in samples(f"{number}")],
        [
            sample._replace(group=f"patient {number // 3}")
            for number in range(60)
            for sample in samples(f"{number}")
        ],
        [
            sample._replace(split="eval" if number % 7 == 0 else "train")
            for number in range(60)
            for sample in samples(f"{number}")
        ],
    ],
    ids=["by content", "by the data set's groups", "by the data set's split"],
)
def test_adding_images_moves_none(many: list[Sample], tmp_path: Path) -> None:
    data = data_of(tmp_path)
    whole = sides(many, data)
    assert set(whole.values()) == {"train", "eval"}
    # Whatever was there before, and in whatever order it came.
    for part in (many[:30], many[::-2], many[20:]):
        before = sides(part, data)
        assert before == {key: whole[key] for key in before}
