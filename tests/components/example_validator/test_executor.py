from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tensorflow_data_validation as tfdv
from tfx.types import artifact_utils, standard_artifacts

from components import schema
from components.errors import InputError
from components.example_validator.executor import Executor, explain
from components.records import DESCRIPTIVE_FEATURES

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


def validate(folder: Path, splits: dict[str, dict[str, Any]]) -> str:
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
    (folder / "schema").mkdir()
    (folder / "schema" / "schema.pbtxt").write_text(schema.FILE.read_text())
    try:
        Executor().Do({"statistics": [statistics], "schema": [expected]}, {"anomalies": [diff]}, {})
    except InputError as error:
        return str(error)
    return ""
