from __future__ import annotations

import os
from pathlib import Path

import pytest

from components.errors import InputError
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from tests.components.image_example_gen.conftest import data_of, ingest, make_pair

SPLIT = {"train": ("f0..f3",), "eval": ("f4..f5",)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for number in range(6):
        make_pair(root, f"f{number}", seed=number)
    return root


def test_the_fingerprint_knows_every_change_of_the_data_and_none_beside_it(folder: Path):
    from components.image_example_gen.driver import fingerprint

    data = data_of(folder)
    first = fingerprint(data)
    assert fingerprint(data) == first

    (folder / "notes.txt").write_text("not an image")
    (folder / "overtile.yaml").write_text("")
    assert fingerprint(data) == first

    seen = {first}
    mask = folder / "masks/f2.png"
    os.utime(mask, ns=(0, mask.stat().st_mtime_ns + 1))
    seen.add(fingerprint(data))
    make_pair(folder, "f6", seed=6)
    seen.add(fingerprint(data))
    (folder / "masks/f6.png").unlink()
    seen.add(fingerprint(data))
    assert len(seen) == 4


def test_colours_do_not_ingest_anew(folder: Path):
    from components.image_example_gen.component import ImageExampleGen

    plain = ImageExampleGen(data_of(folder), IngestConfig())
    coloured = ImageExampleGen(data_of(folder, colours={"cell": "#ff0000"}), IngestConfig())
    assert plain.exec_properties == coloured.exec_properties
    assert DataConfig.model_validate_json(plain.exec_properties["data"]) == data_of(folder)


def test_tfx_reads_the_records(folder: Path, tmp_path: Path):
    import apache_beam as beam
    from tfx.components.util import tfxio_utils
    from tfx.proto import example_gen_pb2

    ingested = ingest(data_of(folder, split=SPLIT), IngestConfig(tile=32), tmp_path / "records")
    reader = tfxio_utils.make_tfxio(
        str(ingested.folder / "Split-train" / "*"),
        ["test"],
        example_gen_pb2.FORMAT_TF_EXAMPLE,
        file_format="tfrecords_gzip",
    )
    counted: list[int] = []
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        rows = pipeline | reader.BeamSource() | beam.Map(lambda batch: batch.num_rows)
        _ = (
            rows
            | beam.CombineGlobally(sum)
            | beam.Map(str)
            | beam.io.WriteToText(str(tmp_path / "rows"), shard_name_template="")
        )
    counted.append(int((tmp_path / "rows").read_text()))
    # 4 images of 40 x 30 pixels in tiles of 32: two each.
    assert counted == [8]


@pytest.mark.slow
def test_unchanged_data_is_answered_from_cache(folder: Path, tmp_path: Path):
    from ml_metadata.proto import metadata_store_pb2
    from tfx import v1 as tfx
    from tfx.orchestration import metadata
    from tfx.orchestration.metadata import sqlite_metadata_connection_config

    from components.image_example_gen.component import ImageExampleGen

    connection = sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))

    def run(data: DataConfig) -> list[int]:
        """Runs a pipeline of this one node; returns the states of all executions so far."""
        node = ImageExampleGen(data, IngestConfig(tile=32), span=3)
        tfx.orchestration.LocalDagRunner().run(
            tfx.dsl.Pipeline(
                pipeline_name="cache",
                pipeline_root=str(tmp_path / "root"),
                components=[node],
                enable_cache=True,
                metadata_connection_config=connection,
                beam_pipeline_args=["--runner=FnApiRunner"],
            )
        )
        with metadata.Metadata(connection) as store:
            return [execution.last_known_state for execution in store.store.get_executions()]

    ran, cached = (
        metadata_store_pb2.Execution.COMPLETE,
        metadata_store_pb2.Execution.CACHED,
    )
    data = data_of(folder, split=SPLIT)
    assert run(data) == [ran]
    assert run(data) == [ran, cached]
    mask = folder / "masks/f2.png"
    os.utime(mask, ns=(0, mask.stat().st_mtime_ns + 1))
    assert run(data) == [ran, cached, ran]

    with metadata.Metadata(connection) as store:
        artifact = store.store.get_artifacts_by_type("Examples")[0]
        assert artifact.properties["span"].int_value == 3
        assert artifact.properties["split_names"].string_value == '["train", "eval"]'

    # A data set that cannot be used is the user's error, with its own sentence.
    (folder / "images").rename(folder / "photos")
    with pytest.raises(InputError, match=r"data\.images: there is no folder"):
        run(data)
    (folder / "photos").rename(folder / "images")
    for number in range(2):
        (folder / f"images/f{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"^2 bad files among 6 images") as caught:
        run(data)
    assert len(caught.value.set_aside) == 2
    (left,) = tmp_path.glob("root/ImageExampleGen/examples/*.set_aside.jsonl")
    assert len(left.read_text().splitlines()) == 2
