from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from kubeflow import local
from kubeflow.package import Task

# Writes a mark each time it is started; what it then does is in its arguments.
SCRIPT = """
import os, signal, sys
marks, *deeds = sys.argv[1:]
with open(marks, "a") as file:
    file.write("x")
deed = deeds[min(os.path.getsize(marks), len(deeds)) - 1]
print("said", deed, os.environ["COLOUR"])
if deed == "kill":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(int(deed))
"""


def run(folder: Path, *deeds: str, retries: int = 2) -> tuple[str, int]:
    """Runs a task; returns what the screen shows and how often it was started."""
    screen, marks = io.StringIO(), folder / "marks"
    task = Task("Trainer", [sys.executable, "-c", SCRIPT], [], {}, {"COLOUR": "red"}, retries)
    try:
        local.run_task(task, [str(marks), *deeds], screen, log="")
    finally:
        starts = len(marks.read_text())
    return screen.getvalue(), starts


def test_a_node_that_is_killed_is_tried_again(tmp_path: Path) -> None:
    screen, starts = run(tmp_path, "kill", "0")
    assert starts == 2
    assert screen.splitlines() == [
        "said kill red",
        "Trainer was killed by SIGKILL. Where nobody did that, memory ran out.",
        "Trainer: trying again, 2 of 3",
        "said 0 red",
    ]


def test_not_more_often_than_the_package_says(tmp_path: Path) -> None:
    with pytest.raises(local.NodeError, match="said 1 red") as failed:
        run(tmp_path, "1", retries=2)
    assert failed.value.exit_code == 1
    assert len((tmp_path / "marks").read_text()) == 3


@pytest.mark.parametrize("code", [2, 130])
def test_bad_input_and_a_stop_are_final(tmp_path: Path, code: int) -> None:
    with pytest.raises(local.NodeError) as failed:
        run(tmp_path, str(code))
    assert failed.value.exit_code == code
    assert len((tmp_path / "marks").read_text()) == 1
