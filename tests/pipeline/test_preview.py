from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto
from typer.testing import CliRunner

from components.image_example_gen.config import DataConfig, IngestConfig
from components.records import IGNORE, Layout, Record, encode
from pipeline import config as configuration
from pipeline import contact_sheet, planning, preview
from pipeline.cli import app
from trainer.config import AugmentConfig

FILE = """
name: blobs
workspace: work
data:
  path: data
  channels: 1
  dtype: uint8
  classes: {background: [0], cell: [1]}
  colours: {cell: "#c80000"}
ingest: {tile: 32}
"""


@pytest.fixture
def config(tmp_path: Path) -> configuration.PipelineConfig:
    """Of 20 images of two tiles; the right one has no cell."""
    for name in ("images", "masks"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for number in range(20):
        mask = np.zeros((32, 64), np.uint8)
        mask[8:24, 8:24] = 1
        image = (100 + 100 * mask + number).astype(np.uint8)
        cv2.imwrite(str(tmp_path / f"data/images/{number:02d}.png"), image)
        cv2.imwrite(str(tmp_path / f"data/masks/{number:02d}.png"), mask)
    (tmp_path / "overtile.yaml").write_text(FILE)
    return configuration.load(tmp_path / "overtile.yaml")


def test_tiles_of_images_are_changed_as_in_training(config: configuration.PipelineConfig) -> None:
    found = preview.preview(config, tiles=3, variants=4)
    assert found.read_from == "images"
    assert len({shown.name for shown in found.shown}) == 3
    for shown in found.shown:
        # Of two tiles the one with the cell.
        assert shown.tile == (0, 0)
        assert len(shown.images) == len(shown.masks) == 1 + 4
        assert not shown.weights
        for image, mask in zip(shown.images, shown.masks):
            # The image tells its mask, in every variant.
            assert np.array_equal(mask, (image[..., 0] > 150).astype(np.uint8))


def test_only_images_that_train_are_shown(config: configuration.PipelineConfig) -> None:
    of_all = preview.preview(config, tiles=40, variants=1)
    # A fifth or so evaluates, by a hash of the images' content.
    assert 10 <= len(of_all.shown) < 20


def test_weights_are_shown_beside_the_mask(config: configuration.PipelineConfig) -> None:
    ingest = IngestConfig(tile=32, border_weights={})
    found = preview.preview(config.model_copy(update={"ingest": ingest}), tiles=1, variants=2)
    assert [weight.shape for weight in found.shown[0].weights] == [(32, 32)] * 3


def ingested(config: configuration.PipelineConfig, data: DataConfig, ingest: IngestConfig) -> None:
    """Leaves in ML Metadata and on the disk what an ingestion by these sections leaves."""
    config.workspace.mkdir(exist_ok=True)
    connection = proto.ConnectionConfig()
    connection.sqlite.filename_uri = str(config.workspace / "metadata.sqlite")
    connection.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = metadata_store.MetadataStore(connection)
    execution_type = store.put_execution_type(
        proto.ExecutionType(name="components.image_example_gen.component.ImageExampleGen")
    )
    artifact_type = store.put_artifact_type(proto.ArtifactType(name="Examples"))
    uri = config.workspace / "artifacts" / "1"
    execution = proto.Execution(type_id=execution_type, last_known_state=proto.Execution.COMPLETE)
    said = {
        "data": data.model_dump_json(exclude={"colours", "spans"}),
        "ingest": ingest.model_dump_json(),
    }
    for name, value in said.items():
        execution.custom_properties[name].string_value = value
    event = proto.Event(type=proto.Event.OUTPUT)
    artifact = proto.Artifact(type_id=artifact_type, uri=str(uri))
    store.put_execution(execution, [(artifact, event)], [])
    (uri / "Split-train").mkdir(parents=True)
    mask = np.eye(32, dtype=np.uint8)
    with tf.io.TFRecordWriter(str(uri / "Split-train" / "data")) as writer:
        record = Record(mask[..., None], mask, "recorded", "", mask.shape)
        writer.write(encode(record, Layout(1, "uint8", ("background", "cell"))))


def test_records_of_the_same_settings_are_taken_and_no_others(
    config: configuration.PipelineConfig,
) -> None:
    data, ingest = planning.complete(config.data, config.ingest)
    ingested(config, data, ingest)
    found = preview.preview(config, tiles=3, variants=1)
    assert found.read_from == "records"
    assert [shown.name for shown in found.shown] == ["recorded"]
    # Another size of tiles would make other records.
    other = config.model_copy(update={"ingest": ingest.model_copy(update={"tile": 16})})
    assert preview.preview(other, tiles=3, variants=1).read_from == "images"


def shown(weights: bool) -> preview.Preview:
    mask = np.zeros((20, 20), np.uint8)
    mask[:, 10:] = 1
    mask[:5] = IGNORE
    image = np.full((20, 20, 1), 100.0, np.float32)
    tile = preview.Shown(
        "one", (0, 0), [image] * 3, [mask] * 3, [np.ones((20, 20), np.float32)] * 3 * weights
    )
    return preview.Preview(Layout(1, "uint8", ("background", "cell")), "images", [tile])


@pytest.mark.parametrize("weights", [False, True])
def test_the_sheet(weights: bool) -> None:
    sheet = contact_sheet.draw(shown(weights), AugmentConfig(), None, {"cell": "#c80000"}, "blobs")
    # Three cells of 192 pixels, gaps of 6 between, of 12 more after the first, margins of 20.
    assert sheet.shape[1] == 3 * 192 + 2 * 6 + 12 + 2 * 20
    # A row of cells begins 20 + 2 * 22 + 22 below the top. Below the ignored quarter the left half
    # is the image as it is, the right half 0.6 * 100 + 0.4 * 200 red and 0.6 * 100 else.
    cell = sheet[86 : 86 + 192, 20 : 20 + 192]
    assert np.all(cell[60:, :80] == 100)
    assert np.all(cell[60:, 120:] == [140, 60, 60])
    # What is ignored is hatched in two greys.
    ignored = cell[:40].astype(int)
    assert np.ptp(ignored, axis=-1).max() < 60
    assert {140, 200} & set(np.unique(ignored))
    without = contact_sheet.draw(shown(False), AugmentConfig(), None, {}, "blobs")
    # With weights a second row of cells, a gap, and a second line of 22 below.
    assert len(sheet) - len(without) == (192 + 6 + 22 if weights else 0)


def test_changes_are_told_with_their_strength() -> None:
    config = AugmentConfig(strength=0.5, elastic=True, rotation=30, scale=0.5, contrast=0.4)
    assert contact_sheet.changes(config) == [
        "flip",
        "quarter turns",
        "elastic (5 px)",
        "rotation (±15°)",
        "scale (up to 1.25 times)",
        "contrast (±20%)",
    ]


def test_the_command_writes_a_sheet(
    config: configuration.PipelineConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--preview", "--json", "-o", "out/sheet.png", "--tiles", "2", "--variants", "3"]
    result = CliRunner().invoke(app, ["augment", *options, "--set", "augment.noise=0.5"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["sheet"] == "out/sheet.png"
    assert told["changes"] == ["flip", "quarter turns", "noise (up to 0.5 deviations)"]
    assert len(told["tiles"]) == 2
    sheet = cv2.imread("out/sheet.png")
    assert sheet.shape[1] == 4 * 192 + 3 * 6 + 12 + 2 * 20

    result = CliRunner().invoke(app, ["augment", "--json", "-o", "sheet.jpg"])
    assert result.exit_code == 2
    assert "give it a name in .png" in json.loads(result.stdout)["error"]
