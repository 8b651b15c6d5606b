"""An image that is labelled again: the newest span's label trains, for all who read records."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components import tfrecord
from components.image_example_gen import image_table, measuring
from components.records import IGNORE, Layout, Record, encode
from components.run_report import looks, splits
from components.superseded import of_files, superseded
from trainer import input as model_input
from trainer.config import AugmentConfig, TrainConfig
from trainer.models.registry import Geometry

LAYOUT = Layout(1, "uint8", ("background", "cell"))


def span(folder: Path, number: int, images: dict[str, tuple[int, int]], split="train") -> str:
    """Records of flat images: {name: (grey, class)}; the file's digest is that of its name."""
    name = f"span-{number}"
    file = folder / f"{name}-{split}" / f"Split-{split}" / "data_tfrecord-00000-of-00001"
    file.parent.mkdir(parents=True)
    rows = []
    with file.open("wb") as stream:
        for key, (grey, label) in images.items():
            image = np.full((4, 4, 1), grey, np.uint8)
            mask = np.full((4, 4), label, np.uint8)
            record = Record(image, mask, f"{name}/{key}", f"sha {key}", (4, 4), span=number)
            tfrecord.write(stream, encode(record, LAYOUT))
            measured = measuring.Measurement(LAYOUT)
            measured.look(image, (0, 0), image.shape[:2])
            measured.add(record)
            rows.append(measuring.rows([measured], split)[0])
    top = file.parent.parent
    image_table.write(top / image_table.FILE, [image_table.table(rows)])
    return str(top)


@pytest.fixture
def window(tmp_path: Path) -> list[str]:
    return [
        span(tmp_path, 1, {"old": (10, 0), "kept": (20, 0), "same name": (30, 0)}),
        span(tmp_path, 2, {"twice": (40, 0), "twice, again": (40, 1)}),
        # The pixels of `old` under another name; and another image under a name that was there.
        span(tmp_path, 3, {"relabelled": (10, 1), "kept too": (60, 1)}),
    ]


def test_the_newest_span_wins_by_content(window: list[str]) -> None:
    # In one span an image may come twice: nobody can say which label is the newer.
    assert superseded(window) == {"span-1/old": "span-3/relabelled"}
    assert superseded(reversed(window)) == superseded(window)
    # Without the newer span the older label holds.
    assert superseded(window[:2]) == {}
    assert superseded(window[:1]) == {}


def test_a_copy_of_the_file_is_the_image_whatever_was_read_of_it(tmp_path: Path) -> None:
    uris = [span(tmp_path, 1, {"a": (10, 0)}), span(tmp_path, 2, {"a": (99, 0)})]
    assert superseded(uris) == {"span-1/a": "span-2/a"}


def test_what_evaluates_replaces_nothing(tmp_path: Path) -> None:
    uris = [span(tmp_path, 1, {"a": (10, 0)}), span(tmp_path, 2, {"a": (10, 0)}, split="eval")]
    assert superseded(uris) == {}


def test_training_shows_the_newest_labels_alone(window: list[str]) -> None:
    files = [f"{uri}/Split-train/data_tfrecord-00000-of-00001" for uri in window]
    left_out = of_files(files)
    assert left_out == ["span-1/old"]
    batches = model_input.training_batches(
        files,
        LAYOUT,
        Geometry(margin=0, stride=1),
        TrainConfig(batch_size=1, crop=None),
        AugmentConfig(flip=False, quarter_turns=False),
        [1.0, 1.0],
        without=left_out,
    )
    # Seven records, one of them left out, are an epoch of six.
    seen = [(int(image[0, 0, 0, 0]), int(mask[0, 0, 0])) for image, mask, _ in batches.take(12)]
    assert sorted(seen[:6]) == sorted(seen[6:])
    assert sorted(seen[:6]) == [(10, 1), (20, 0), (30, 0), (40, 0), (40, 1), (60, 1)]


def test_statistics_are_of_the_newest_labels_alone(window: list[str], tmp_path: Path) -> None:
    import tensorflow_data_validation as tfdv
    import tensorflow_transform.beam as tft_beam
    from tensorflow_transform.beam.tft_beam_io import transform_fn_io
    from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io

    from components import schema
    from trainer.statistics import preprocessing_fn, read

    metadata = dataset_metadata.DatasetMetadata(tfdv.load_schema_text(str(schema.FILE)))
    wanted = {feature.name for feature in metadata.schema.feature}
    rows = []
    for uri in window:
        for record in tf.data.TFRecordDataset(f"{uri}/Split-train/data_tfrecord-00000-of-00001"):
            features = tf.train.Example.FromString(record.numpy()).features.feature
            rows.append(
                {
                    name: list(getattr(features[name], features[name].WhichOneof("kind")).value)
                    for name in wanted
                }
            )
    scalars = {
        name for name in wanted if name.startswith(("image/h", "image/w", "image/c", "span"))
    }
    scalars |= {name for name in wanted if name.startswith(("source/", "tile/", "image/d"))}
    rows = [
        {name: value[0] if name in scalars else value for name, value in row.items()}
        for row in rows
    ]

    def process(inputs):
        return preprocessing_fn(inputs, {"superseded": ["span-1/old"]})

    with tft_beam.Context(temp_dir=str(tmp_path / "temp")):
        transform = (rows, metadata) | tft_beam.AnalyzeDataset(process)
        transform | transform_fn_io.WriteTransformFn(str(tmp_path / "graph"))
        metadata_io.write_metadata(metadata, str(tmp_path / "graph" / "metadata"))
    learnt = read(str(tmp_path / "graph"))
    # Greys 20, 30, 40, 40, 10, 60 without the older 10; 16 pixels each, three images a class.
    assert learnt.mean == pytest.approx((200 / 6,))
    assert learnt.class_pixels == (48, 48)


def test_the_report_counts_the_newest_labels_alone(window: list[str]) -> None:
    files = [f"{uri}/Split-train/data_tfrecord-00000-of-00001" for uri in window]
    found = splits.read(files, LAYOUT, superseded(window))
    assert (found.images, found.records, found.class_pixels) == (6, 6, (48, 48))
    look = looks.read(window, "train", superseded(window))
    assert (look.images, look.one_class, look.one_colour) == (6, 6, 6)
    assert look.percentiles == ((35, 35, 35),)  # the middle of 10, 20, 30, 40, 40, 60


def test_an_image_without_a_label_counts_among_the_unlabelled(tmp_path: Path) -> None:
    uri = span(tmp_path, 1, {"a": (10, IGNORE), "b": (10, 1)})
    look = looks.read([uri], "train")
    assert (look.images, look.unlabelled, look.one_class) == (2, 1, 1)
