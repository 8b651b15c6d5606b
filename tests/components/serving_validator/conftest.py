"""A tiny exported model and records of its images; and ways to break the export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from components.records import Layout, Record, encode
from tests.trainer.conftest import blobs
from trainer import export
from trainer.models import registry

LAYOUT = Layout(1, "uint8", ("background", "cell"))
OPTIONS = {"width": 4, "depth": 1}


@pytest.fixture(scope="session")
def eval_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three records, two of them of one image."""
    file = str(tmp_path_factory.mktemp("serving-validator") / "records")
    with tf.io.TFRecordWriter(file) as writer:
        for seed, source in ((1, "one"), (2, "one"), (3, "other")):
            image, mask = blobs(seed)
            writer.write(encode(Record(image, mask, source, "", mask.shape), LAYOUT))
    return [file]


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Exports a model; `broken` is a class that stands in for `Exported`."""

    def write(broken: type[export.Exported] = export.Exported) -> Path:
        tf.keras.utils.set_random_seed(3)
        model = registry.build("unet", OPTIONS, classes=2, mean=[90.0], deviation=[50.0])
        directory = tmp_path / "model"
        with monkeypatch.context() as patch:
            patch.setattr(export, "Exported", broken)
            export.export(
                model,
                LAYOUT,
                registry.geometry("unet", OPTIONS),
                str(directory),
                {"name": "cells"},
                tf.constant(blobs(0)[0]),
            )
        return directory

    return write
