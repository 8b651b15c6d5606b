"""One package, compiled once for all tests that look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeflow.runner import Compiled, compile_package
from pipeline.config import PipelineConfig, parse

VALUES: dict[str, Any] = {
    "name": "two_discs",
    "workspace": "work",
    "data": {
        "path": "data",
        "channels": 1,
        "dtype": "uint8",
        "classes": {"ground": [0], "disc": [1]},
        "ignore": [255],
        # What Kubernetes, Argo and KFP would each take for something of theirs.
        "group": r"^(\d{{2}})_$(HOME)",
    },
    "tune": {"trials": 2},
    "evaluate": {"min_mean_iou": 0.6},
    "kubeflow": {
        "image": "registry.example.org/overtile:0.1.0",
        "volumes": {"overtile": "/overtile", "labels": "/labels"},
        "workspace": "/overtile/work",
        "data": "/labels/discs",
        "metadata": "mysql://root@mysql.kubeflow:3306/metadb",
        "metadata_secret": "mysql-secret/password",
        "default": {"cpu": 1.5, "memory": "4Gi", "retries": 3},
        "components": {
            "Trainer": {"cpu": 6, "memory": "32Gi", "gpu": 2},
            "ImportSchemaGen": {"retries": 0},
        },
    },
}


@pytest.fixture(scope="session")
def config(tmp_path_factory: pytest.TempPathFactory) -> PipelineConfig:
    return parse(VALUES, tmp_path_factory.mktemp("nowhere"))


@pytest.fixture(scope="session")
def compiled(config: PipelineConfig, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_package(config, tmp_path_factory.mktemp("package") / "two_discs.yaml")


@pytest.fixture(scope="session")
def package_file(compiled: Compiled) -> Path:
    return compiled.package
