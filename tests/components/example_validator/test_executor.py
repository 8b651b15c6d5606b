from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_data_validation as tfdv
from tfx.types import artifact_utils, standard_artifacts

from components import schema
from components.errors import InputError
from components.example_validator import checks
from components.example_validator.config import ChecksConfig
from components.example_validator.executor import Executor, explain
from components.image_example_gen import duplicates, image_table, measuring
from components.records import DESCRIPTIVE_FEATURES, Layout, Record

GOOD: dict[str, Any] = {
    "image/height": [32],
    "image/width": [32],
    "image/channels": [1],
    "image/dtype": [b"uint8"],
    "source/height": [20],
    "source/width": [30],
    "tile/y": [0],
    "tile/x": [0],
    "tile/margin": [0],
    "span": [0],
    "image/sum": [12.5],
    "image/sum_squares": [99.0],
    "mask/class_pixels": [3, 4, 0],
}


def anomalies(**changes: Any) -> list[str]:
    import pandas as pd

    values = {**GOOD, **{name.replace("__", "/"): value for name, value in changes.items()}}
    statistics = tfdv.generate_statistics_from_dataframe(
        pd.DataFrame({name: [value] for name, value in values.items() if value is not None})
    )
    expected = tfdv.load_schema_text(str(schema.FILE))
    return explain(tfdv.validate_statistics(statistics, expected))


def test_a_record_as_it_should_be_has_no_anomaly() -> None:
    assert anomalies() == []
    assert tuple(GOOD) == DESCRIPTIVE_FEATURES


@pytest.mark.parametrize(
    ("changes", "feature"),
    [
        ({"image__dtype": [b"int7"]}, "image/dtype"),
        ({"image__channels": [0]}, "image/channels"),
        ({"tile__margin": [-1]}, "tile/margin"),
        ({"mask__class_pixels": [5, 0]}, "mask/class_pixels"),
        ({"image__sum": None}, "image/sum"),
    ],
)
def test_each_fault_names_its_feature(changes: dict[str, Any], feature: str) -> None:
    found = anomalies(**changes)
    assert len(found) == 1
    assert found[0].startswith(feature + " ")


def test_the_executor_names_the_split_and_stops(tmp_path: Path) -> None:
    found = validate(tmp_path, {"train": GOOD, "eval": {**GOOD, "tile/margin": [-1]}})
    assert "eval: tile/margin " in found
    assert "train: " not in found


def test_the_executor_lets_good_records_pass(tmp_path: Path) -> None:
    assert validate(tmp_path, {"train": GOOD, "eval": GOOD}) == ""


def test_what_the_images_are_like_is_written_down_or_stops(tmp_path: Path) -> None:
    examples = _none()
    examples.uri = str(tmp_path / "examples")
    Path(examples.uri).mkdir()
    rows = []
    for name in ("one", "two"):
        measured = measuring.Measurement(Layout(1, "uint8", ("a", "b")))
        flat, mask = np.full((4, 4, 1), 9, np.uint8), np.eye(4, dtype=np.uint8)
        measured.look(flat, (0, 0), flat.shape[:2])
        measured.add(Record(flat, mask, name, "", (4, 4)))
        rows.append(measuring.rows([measured], "train")[0])
    image_table.write(Path(examples.uri) / image_table.FILE, [image_table.table(rows)])
    duplicates.write(Path(examples.uri) / duplicates.FILE, [duplicates.Near("e", "t", 1.0)])

    assert validate(tmp_path / "1", {"train": GOOD}, examples) == ""
    told = checks.read(tmp_path / "1" / "diff" / checks.FILE)
    assert [one["check"] for one in told] == ["one_colour", "copies", "near_duplicates"]

    limits = {"stop": ["one_colour"]}
    assert validate(tmp_path / "2", {"train": GOOD}, examples, limits) == (
        "train has 2 of 2 images of one colour: one, two. Mend the data, raise "
        "checks.one_colour, or take it out of checks.stop."
    )


def _none() -> standard_artifacts.Examples:
    """Records of which nothing is known."""
    examples = standard_artifacts.Examples()
    examples.uri = "nowhere"
    return examples


def validate(
    folder: Path,
    splits: dict[str, dict[str, Any]],
    examples: standard_artifacts.Examples | None = None,
    limits: dict[str, Any] | None = None,
) -> str:
    """What the executor says of one record a split; empty where it has nothing to say."""
    import pandas as pd

    statistics, expected, diff = (
        standard_artifacts.ExampleStatistics(),
        standard_artifacts.Schema(),
        standard_artifacts.ExampleAnomalies(),
    )
    statistics.split_names = artifact_utils.encode_split_names(list(splits))
    for name, artifact in (("statistics", statistics), ("schema", expected), ("diff", diff)):
        artifact.uri = str(folder / name)
    for split, record in splits.items():
        found = tfdv.generate_statistics_from_dataframe(
            pd.DataFrame({name: [value] for name, value in record.items()})
        )
        file = folder / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        file.parent.mkdir(parents=True)
        file.write_bytes(found.SerializeToString())
    (folder / "schema").mkdir(parents=True)
    (folder / "schema" / "schema.pbtxt").write_text(schema.FILE.read_text())
    try:
        inputs = {
            "statistics": [statistics],
            "schema": [expected],
            "examples": [examples or _none()],
        }
        settings = {
            "classes": '["a", "b"]',
            "checks": ChecksConfig(**(limits or {})).model_dump_json(),
        }
        Executor().Do(inputs, {"anomalies": [diff]}, settings)
    except InputError as error:
        return str(error)
    return ""
