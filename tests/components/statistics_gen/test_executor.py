from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.types import artifact_utils, standard_artifacts

from components.example_validator.component import stats_options
from components.image_example_gen import spans
from components.records import Layout, encode
from components.statistics_gen.executor import Executor
from tests.components.span_validator.test_executor import disc

LAYOUT = Layout(1, "uint8", ("ground", "disc"))


def examples(folder: Path, number: int, train: int, evaluation: int) -> Any:
    """An artifact with this many records in each split."""
    from components.records import Record

    made = standard_artifacts.Examples()
    made.uri, made.span, made.split_names = str(folder), number, '["train", "eval"]'
    made.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
    made.set_string_custom_property("file_format", "tfrecords_gzip")
    made.set_string_custom_property(spans.NAME, f"span-{number}")
    for split, count in (("train", train), ("eval", evaluation)):
        (folder / f"Split-{split}").mkdir(parents=True)
        file = folder / f"Split-{split}" / "data_tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(file)) as writer:
            for seed in range(count):
                label = disc(seed)
                record = Record(label[..., None], label, str(seed), "", label.shape, span=number)
                writer.write(encode(record, LAYOUT))
    return made


@pytest.mark.slow
def test_each_span_has_statistics_of_its_own(tmp_path: Path) -> None:
    artifacts = [
        examples(tmp_path / "a", 1, 0, 2),
        examples(tmp_path / "b", 1, 3, 0),
        examples(tmp_path / "c", 2, 4, 0),
        examples(tmp_path / "d", 3, 0, 0),  # all held back
    ]
    statistics = standard_artifacts.ExampleStatistics()
    statistics.uri = str(tmp_path / "statistics")
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"])
    Executor(context).Do(
        {"examples": artifacts},
        {"statistics": [statistics]},
        {"stats_options_json": stats_options().to_json(), "exclude_splits": "[]"},
    )
    found = {}
    for split in artifact_utils.decode_split_names(statistics.split_names):
        file = Path(artifact_utils.get_split_uri([statistics], split)) / "FeatureStats.pb"
        read = statistics_pb2.DatasetFeatureStatisticsList.FromString(file.read_bytes())
        found[split] = read.datasets[0].num_examples
    assert found == {"eval-span-1": 2, "train-span-1": 3, "train-span-2": 4}
    assert statistics.span == 3
    assert sorted(path.name for path in Path(statistics.uri).iterdir()) == [
        "Split-eval-span-1",
        "Split-train-span-1",
        "Split-train-span-2",
    ]
