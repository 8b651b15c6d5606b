"""A small data set, good and bad, and a way to ingest one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from components.image_example_gen import integrity
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig

CLASSES = {"background": (0,), "cell": (255,)}


def make_pair(
    root: Path, key: str, seed: int, size: tuple[int, int] = (40, 30), masks: str = "masks"
) -> None:
    """Writes a grey image of noise and a 0/255 mask, PNG, `size` being (width, height)."""
    rng = np.random.default_rng(seed)
    shape = size[::-1]
    for folder, pixels in (
        ("images", rng.integers(0, 256, shape, np.uint8)),
        (masks, rng.integers(0, 2, shape, np.uint8) * 255),
    ):
        path = root / folder / f"{key}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def data_of(root: Path, **keys: Any) -> DataConfig:
    """The section that describes what `make_pair` writes."""
    return DataConfig(**{"path": root, "channels": 1, "dtype": "uint8", "classes": CLASSES, **keys})


class Ingested(NamedTuple):
    folder: Path
    counts: integrity.Counts
    set_aside: dict[str, str]

    def records(self, split: str) -> list[dict[str, Any]]:
        """Every record of a split, decoded, in the order of the files."""
        import tensorflow as tf

        from components.image_example_gen.config import layout
        from components.records import parse

        files = sorted(map(str, (self.folder / f"Split-{split}").iterdir()))
        shape = layout(data_of(self.folder), IngestConfig())
        return [
            {name: value.numpy() for name, value in parse(record, shape).items()}
            for record in tf.data.TFRecordDataset(files)
        ]


def ingest(data: DataConfig, options: IngestConfig, folder: Path) -> Ingested:
    """Runs the executor without TFX's launcher."""
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.image_example_gen.executor import Executor

    examples = standard_artifacts.Examples()
    examples.uri = str(folder)
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"])
    Executor(context).Do(
        {},
        {"examples": [examples]},
        {"data": data.model_dump_json(), "ingest": options.model_dump_json(), "span": 0},
    )
    counts, set_aside = integrity.read(folder)
    return Ingested(folder, counts, {entry.file: entry.reason for entry in set_aside})


@pytest.fixture(scope="session")
def bad_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten good pairs, and the seven kinds of bad file that people have."""
    root = tmp_path_factory.mktemp("bad")
    for number in range(10):
        make_pair(root, f"good_{number}", seed=number)
    images, masks = root / "images", root / "masks"

    make_pair(root, "cut_short", seed=20)
    whole = (images / "cut_short.png").read_bytes()
    (images / "cut_short.png").write_bytes(whole[: len(whole) // 2])

    make_pair(root, "other_size", seed=21)
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(masks / "other_size.png")

    make_pair(root, "no_mask", seed=22)
    (masks / "no_mask.png").unlink()

    make_pair(root, "no_image", seed=23)
    (images / "no_image.png").unlink()

    make_pair(root, "unknown_value", seed=24)
    mask = np.zeros((30, 40), np.uint8)
    mask[0, :3] = 7
    Image.fromarray(mask).save(masks / "unknown_value.png")

    make_pair(root, "empty", seed=25)
    (images / "empty.png").write_bytes(b"")

    make_pair(root, "text", seed=26)
    (images / "text.png").write_text("This is a note, not a picture.\n")
    return root
