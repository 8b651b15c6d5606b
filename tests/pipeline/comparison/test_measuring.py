from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.evaluation.confusion import confusion
from components.records import IGNORE, Layout, Record, encode
from pipeline.comparison import measuring
from pipeline.comparison.recorded import Recorded, seconds
from tests.pipeline.comparison.conftest import Make
from tests.trainer.conftest import LAYOUT, blobs
from trainer import baselines


def write(file: Path, seeds: range, tile: int = 32, label: Any = lambda mask: mask) -> str:
    """Records of blobs, in one tile or in four, without margins."""
    with tf.io.TFRecordWriter(str(file)) as writer:
        for seed in seeds:
            image, mask = blobs(seed)
            mask = label(mask)
            for y in range(0, 32, tile):
                for x in range(0, 32, tile):
                    part = slice(y, y + tile), slice(x, x + tile)
                    record = Record(image[part], mask[part], f"{seed:03}", "", (32, 32), (y, x))
                    writer.write(encode(record, LAYOUT))
    return str(file)


@pytest.fixture
def run(tmp_path: Path, make_run: Make) -> Recorded:
    return make_run(
        layout=LAYOUT,
        train_files=(write(tmp_path / "train", range(4)),),
        eval_files=(write(tmp_path / "eval", range(100, 103)),),
    )


def test_the_same_images_in_other_tiles_are_the_same(run: Recorded, tmp_path: Path) -> None:
    tiled = write(tmp_path / "tiled", range(100, 103), tile=16)
    other = dataclasses.replace(run, eval_files=(tiled,))
    first, second = measuring.same_images([run, other], ["a", "b"])
    assert (first.images, first.records, second.images, second.records) == (3, 3, 3, 12)


def test_other_images_labels_or_classes_are_refused(run: Recorded, tmp_path: Path) -> None:
    def refused(**changes: Any) -> str:
        with pytest.raises(InputError) as raised:
            measuring.same_images([run, dataclasses.replace(run, **changes)], ["a", "b"])
        return str(raised.value)

    fewer = write(tmp_path / "fewer", range(100, 102))
    assert refused(eval_files=(fewer,)) == (
        "a and b are not on the same eval split: 1 image evaluates one of them alone, 102 for "
        "instance only a."
    )
    relabelled = write(tmp_path / "relabelled", range(100, 103), label=lambda mask: np.where(
        mask == IGNORE, 0, mask).astype(np.uint8))  # fmt: skip
    assert "the labels of 100 are others" in refused(eval_files=(relabelled,))
    named = Layout(1, "uint8", ("ground", "cell"))
    assert refused(layout=named) == (
        "a and b are not on the same data set: their classes are background, cell and ground, cell."
    )


def test_classical_methods_count_every_labelled_pixel_once(run: Recorded) -> None:
    found = measuring.classical(run, [(0, f"{seed}") for seed in range(100, 103)])
    assert list(found) == list(baselines.METHODS)
    samples = [baselines.Sample(*blobs(seed)) for seed in range(4)]
    image, mask = blobs(101)
    for name, measurement in found.items():
        labelled = measurement.marginals()[:, 1]
        assert labelled.sum() == 3 * (32 * 32 - 16)
        assert np.array_equal(labelled[1], confusion(mask, mask, 2).sum(1))
        # What is counted is what it predicts, on an image as anybody would give it.
        predicted = baselines.learn(name, samples, 2)(image)
        hits = np.diag(confusion(mask, predicted, 2))
        assert np.array_equal(measurement.marginals()[1, 0], hits)


def test_time_of_training() -> None:
    timed = {"history": [{"epoch": 1, "seconds": 3.0}, {"epoch": 2, "seconds": 7.5}]}
    assert seconds(timed, 99.0) == 7.5
    old = {"history": [{"epoch": 1}], "resumed_from_step": 0}
    assert seconds(old, 99.0) == 99.0
    # What a killed training took before is not known.
    assert seconds({**old, "resumed_from_step": 100}, 99.0) is None
