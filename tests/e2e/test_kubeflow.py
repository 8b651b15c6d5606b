"""The compiled package, run on this machine: it ends as `overtile run` does, whatever is killed."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.conftest import Project

# Each of some two dozen processes loads TensorFlow and TFX anew.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# In the middle of their work; the others while they start, since each costs its start once more.
MIDDLE: dict[str, Callable[[Path], bool]] = {
    "ImageExampleGen": lambda work: any(work.glob("artifacts/ImageExampleGen/examples/*/*")),
    # A checkpoint has this name once it is whole.
    "Trainer": lambda work: any(work.glob("checkpoints/*/epoch-*")),
}


def records(work: Path) -> dict[str, bytes]:
    """The files of the first run's records, by split and name."""
    entries = (work / "artifacts/ImageExampleGen/examples").iterdir()
    # A run that was refused leaves a file beside the folders.
    first = min((path for path in entries if path.is_dir()), key=lambda path: int(path.name))
    return {
        str(path.relative_to(first)): path.read_bytes() for path in sorted(first.glob("Split-*/*"))
    }


def killing_each_once(process: subprocess.Popen[str], work: Path) -> dict[str, bool]:
    """Sends SIGKILL to each node's first process; whether each was in the middle of its work."""
    killed: dict[str, bool] = {}
    runner = psutil.Process(process.pid)
    while process.poll() is None:
        for child in runner.children():
            try:
                words = child.cmdline()
                node = words[words.index("--node") + 1] if "--node" in words else None
                if node is None or node in killed:
                    continue
                if node not in MIDDLE or MIDDLE[node](work):
                    child.kill()
                    killed[node] = node in MIDDLE
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        time.sleep(0.02)
    return killed


def test_run_local_ends_as_overtile_run_though_each_node_is_killed_once(
    project: Project, first_run: dict[str, Any]
) -> None:
    work = project.folder / "cluster"
    settings = {
        "kubeflow.image": "overtile:test",
        "kubeflow.metadata": "sqlite",
        "kubeflow.workspace": str(work),
        # TensorFlow's threads, as many as `overtile run` had: sums depend on their number.
        "kubeflow.default.cpu": str(os.cpu_count()),
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    compiled = project.json("kubeflow", "compile", "-o", "package.yaml", *words)
    assert not work.exists()

    with (project.folder / "run-local.log").open("w") as log:
        process = subprocess.Popen(
            [*project.command, "kubeflow", "run-local", "package.yaml", "--json"],
            cwd=project.folder,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            killed = killing_each_once(process, work)
            told = json.loads(process.communicate()[0])
        finally:
            process.terminate()  # which ends its node too
            process.wait()

    assert process.returncode == 0
    assert set(killed) == set(compiled["components"])
    assert {node for node, middle in killed.items() if middle} == set(MIDDLE)
    screen = (project.folder / "run-local.log").read_text()
    for node in killed:
        assert f"{node} was killed by SIGKILL" in screen

    assert told["verdict"] == first_run["verdict"] == "pushed"
    assert told["metrics"].keys() == first_run["metrics"].keys()
    for name, value in first_run["metrics"].items():
        assert told["metrics"][name] == pytest.approx(value, abs=1e-6), name
    assert told["resumed_from_step"] >= 20
    assert told["counts"] == first_run["counts"]
    assert told["set_aside"] == first_run["set_aside"]
    assert told["gate"] == first_run["gate"]
    assert records(work) == records(project.folder / "work")
    version = Path(told["pushed"]["path"])
    assert version.parent == work / "serving/discs"
    assert (version / "saved_model.pb").is_file()
