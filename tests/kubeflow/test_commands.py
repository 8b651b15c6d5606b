"""`overtile kubeflow` as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.kubeflow.conftest import VALUES
from tests.kubeflow.test_schedule import Api, serve


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an overtile.yaml that names no endpoint."""
    (tmp_path / "overtile.yaml").write_text(yaml.safe_dump(VALUES))
    return tmp_path


def overtile(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("overtile")), "kubeflow", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_submit_prints_one_json_object(folder: Path, package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        given = ["--package", str(package_file), "-p", "train_steps=7", "--json"]
        done = overtile(folder, "submit", "--set", f"kubeflow.endpoint={endpoint}", *given)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "run": "id-2",
        "experiment": "two_discs",
        "url": f"{endpoint}/#/runs/details/id-2",
    }
    assert api.runs[0]["runtime_config"]["parameters"] == {"train_steps": 7}


def test_schedule_says_when(folder: Path, package_file: Path) -> None:
    api = Api()
    with serve(api) as endpoint:
        given = ["--package", str(package_file), "--cron", "30 3 * * *"]
        done = overtile(folder, "schedule", "--set", f"kubeflow.endpoint={endpoint}", *given)
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "Scheduled two_discs at '0 30 3 * * *' (seconds first): "
        f"{endpoint}/#/recurringrun/details/id-2\n"
    )
    assert len(api.recurringruns) == 1


def test_what_is_wrong_is_said_before_a_minute_of_compiling(folder: Path) -> None:
    done = overtile(folder, "schedule", "--cron", "now and then")
    assert done.returncode == 2
    assert "write five fields" in done.stderr
    done = overtile(folder, "submit", "-p", "steps=3")
    assert done.returncode == 2
    assert "data_path, train_steps" in done.stderr
    done = overtile(folder, "submit")
    assert done.returncode == 2
    assert "kubeflow.endpoint is not set" in done.stderr
    done = overtile(folder, "run-local", "overtile.yaml")
    assert done.returncode == 2
    assert "is it the configuration?" in done.stderr
