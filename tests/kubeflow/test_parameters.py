from __future__ import annotations

import pytest

from components.errors import InputError
from kubeflow import parameters
from pipeline.config import PipelineConfig, parse


def test_each_parameter_is_a_key_of_the_configuration(config: PipelineConfig) -> None:
    found = parameters.defaults(config)
    assert found["train_steps"] == 2000
    assert found["min_mean_iou"] == 0.6
    assert found["metadata"] == "mysql://root@mysql.kubeflow:3306/metadb"
    given = {
        "data_path": "/a",
        "train_steps": 7,
        "min_mean_iou": 0.25,
        "workspace": "/w",
        "metadata": "sqlite",
    }
    changed = parse(config.model_dump(), config.workspace, "x", parameters.overrides(given))
    assert parameters.defaults(changed) == given


def test_the_command_line_names_them() -> None:
    assert parameters.parse(["train_steps=10", "min_mean_iou=0.5", "data_path=a=b"]) == {
        "train_steps": 10,
        "min_mean_iou": 0.5,
        "data_path": "a=b",
    }


@pytest.mark.parametrize("setting", ["train_steps", "train.steps=5", "steps=5"])
def test_what_is_no_parameter(setting: str) -> None:
    with pytest.raises(InputError, match="data_path, train_steps, min_mean_iou"):
        parameters.parse([setting])


def test_a_value_of_another_type() -> None:
    with pytest.raises(InputError, match="'many' is no int"):
        parameters.parse(["train_steps=many"])
