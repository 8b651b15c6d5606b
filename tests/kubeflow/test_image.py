"""The image from kubeflow/Dockerfile, and every component of a package in a container of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from kubeflow import package
from kubeflow.runner import compile_package
from pipeline import config as configuration
from tests.e2e.conftest import CONFIGURATION, write_data
from tests.kubeflow import engine

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

IMAGE = "overtile:test"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if reason := engine.missing():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("engine")
    with engine.engine(folder):
        base = engine.base_image(folder)
        command = ["docker", "build", "--network", "host", "--build-arg", f"BASE_IMAGE={base}"]
        built = subprocess.run(
            [*command, "-f", "kubeflow/Dockerfile", "-t", IMAGE, "."],
            cwd=ROOT,
            # BuildKit is a plugin of its own, which Debian does not have.
            env={**os.environ, "DOCKER_BUILDKIT": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert built.returncode == 0, (built.stdout + built.stderr)[-4000:]
        yield IMAGE


def test_every_component_runs_in_a_container(image: str, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    write_data(volume / "data")
    volume.chmod(0o777)  # the container's user is not this one
    values = yaml.safe_load(CONFIGURATION)
    values["kubeflow"] = {
        "image": image,
        "volumes": {"overtile": "/overtile"},
        "workspace": "/overtile/work",
        "data": "/overtile/data",
        "metadata": "sqlite",
    }
    compiled = compile_package(configuration.parse(values, tmp_path), tmp_path / "package.yaml")
    read = package.read(compiled.package)
    for task in read.tasks:
        variables = [
            word for name, value in task.environment.items() for word in ("-e", f"{name}={value}")
        ]
        container = ["docker", "run", "--rm", "--network", "none", "-v", f"{volume}:/overtile"]
        done = subprocess.run(
            [*container, *variables, image, *task.command, *task.filled(read.parameters, "run-1")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr[-2000:]
        assert f"{task.name}: done" in done.stdout
    (version,) = (volume / "work/serving/discs").iterdir()
    assert (version / "saved_model.pb").stat().st_uid == 1000
