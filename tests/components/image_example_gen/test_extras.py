"""Weights, instances and repeats through the whole ingestion; what init says of large images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tifffile

from components.errors import InputError
from components.image_example_gen import pieces
from components.image_example_gen.config import DataConfig, layout
from components.image_example_gen.ingest_config import IngestConfig
from components.records import EVAL, TRAIN, parse, parse_repeats
from tests.components.image_example_gen.conftest import data_of, ingest, make_pair

CELLS = {"background": (0,), "cell": tuple(range(1, 10))}


def make_cells(root: Path, count: int) -> DataConfig:
    """Images of 64 x 64 with two cells, 1 and 2, two columns apart; the last has a third, 9."""
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20, 10:20], mask[10:20, 22:30] = 1, 2
    for number in range(count):
        make_pair(root, f"f{number}", seed=number, size=(64, 64))
        (root / f"masks/f{number}.png").unlink()
        mask[50:, 50:] = 9 if number == count - 1 else 0
        tifffile.imwrite(root / f"masks/f{number}.tif", mask)
    return data_of(
        root,
        classes=CELLS,
        coding="objects",
        split={"train": (f"f1..f{count - 1}",), "eval": ("f0",)},
    )


def test_records_have_what_is_asked_for_and_counts_tell_it(tmp_path: Path):
    data = make_cells(tmp_path / "data", 3)
    data = data.model_copy(
        update={"classes": {"background": (0,), "cell": (1, 2), "rare": (9,)}, "format": "paired"}
    )
    options = IngestConfig(
        tile=32,
        border_weights={},
        instances=True,
        oversample={"classes": ["rare"], "times": 5},
    )
    done = ingest(data, options, tmp_path / "records")
    # Four tiles an image; one of them holds the rare class, and is shown four times more.
    assert done.counts.records == {TRAIN: 8, EVAL: 4}
    assert done.counts.repeats == 4
    shape = layout(data, options)
    assert shape.extras == ("weight", "instance", "repeats")

    repeats, pixels = {}, np.zeros(3, int)
    for split in (TRAIN, EVAL):
        files = sorted(map(str, (tmp_path / "records" / f"Split-{split}").iterdir()))
        for serialized in tf.data.TFRecordDataset(files):
            record = {name: value.numpy() for name, value in parse(serialized, shape).items()}
            key = record["source"].decode(), *record["tile"].tolist()
            repeats[key] = int(parse_repeats(serialized))
            if split == TRAIN:
                example = tf.train.Example.FromString(serialized.numpy())
                counted = example.features.feature["mask/class_pixels"].int64_list.value
                pixels += np.array(counted[:3])
            if key == ("f0", 0, 0):
                # Two columns lie between the cells: d1 + d2 = 3 everywhere between them.
                between = np.float16(1 + 10 * np.exp(-9 / 50))
                assert record["weight"][15, 20] == record["weight"][15, 21] == between
                assert record["instance"][15, 18:24].tolist() == [1, 1, 0, 0, 2, 2]
    assert {key for key, times in repeats.items() if times > 1} == {("f2", 32, 32)}
    assert repeats["f2", 32, 32] == 5
    # Class sums are those of the images, however often a tile is shown.
    assert pixels.tolist() == [2 * 64 * 64 - 2 * 180 - 14 * 14, 2 * 180, 14 * 14]


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"oversample": {"classes": ["rust"]}}, "oversample.classes"),
        ({"border_weights": {}, "background": "rust"}, "background"),
    ],
)
def test_classes_that_there_are_not_are_named(tmp_path: Path, section: dict, key: str):
    message = rf"ingest\.{key}: there is no class 'rust' in data.classes; there are background"
    with pytest.raises(InputError, match=message):
        layout(data_of(tmp_path), IngestConfig(**section))


def test_init_says_that_it_did_not_look_at_all_of_a_large_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from pipeline import planning

    monkeypatch.setattr(pieces, "LARGE", 60 * 60)
    monkeypatch.setattr(pieces, "_GLIMPSE", 16)
    make_cells(tmp_path / "data", 4)
    for number in range(4):
        image = np.random.default_rng(number).integers(0, 256, (64, 64), np.uint8)
        tifffile.imwrite(tmp_path / f"data/images/f{number}.tif", image, tile=(16, 16))
        (tmp_path / f"data/images/f{number}.png").unlink()
    findings = planning.inspect(tmp_path / "data")
    assert findings.survey.glimpsed == 4
    assert findings.survey.sizes == {(64, 64): 4}
    assert any(
        sentence.startswith("Too large to be read whole: 4 files. Sixteen windows")
        for sentence in findings.problems
    )
