from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from components.errors import InputError
from kubeflow.config import KubeflowConfig
from pipeline.config import parse


def test_a_component_gets_what_its_entry_says_and_else_the_default() -> None:
    section = KubeflowConfig(
        default={"cpu": 3, "memory": "4Gi"}, components={"Trainer": {"gpu": 1, "memory": "32Gi"}}
    )
    trainer, other = section.of("Trainer"), section.of("Evaluator")
    assert (trainer.cpu, trainer.memory, trainer.gpu) == (3, "32Gi", 1)
    assert (other.cpu, other.memory, other.gpu) == (3, "4Gi", 0)


@pytest.mark.parametrize(
    "address",
    [
        "sqlite",
        "grpc://metadata-grpc-service.kubeflow:8080",
        "mysql://root@mysql.kubeflow:3306/metadb",
        "postgresql://overtile@10.0.0.7:5432/ml-metadata",
    ],
)
def test_addresses_of_ml_metadata(address: str) -> None:
    assert KubeflowConfig(metadata=address).metadata == address


@pytest.mark.parametrize(
    "address",
    [
        "mysql://root:hunter2@mysql:3306/metadb",  # a password
        "grpc://metadata-grpc-service",  # no port
        "mysql://mysql:3306/metadb",  # no user
        "sqlite:/overtile/metadata.sqlite",
        "redis://metadata:6379",
    ],
)
def test_others_are_refused(address: str) -> None:
    with pytest.raises(ValidationError, match="a password belongs in a secret"):
        KubeflowConfig(metadata=address)


def test_paths_in_the_container_are_absolute() -> None:
    with pytest.raises(ValidationError, match="must be absolute"):
        KubeflowConfig(workspace="work")


def test_a_wrong_key_of_a_component_is_named() -> None:
    with pytest.raises(InputError, match=r"kubeflow\.components\.Trainer\.gpus; did you mean gpu"):
        parse({"kubeflow": {"components": {"Trainer": {"gpus": 1}}}}, Path("/"))
