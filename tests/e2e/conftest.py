"""A small data set with every kind of bad file, and `overtile` run on it as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.trainer.conftest import blobs

# What is wrong with each, in words that its reason must hold.
BAD_FILES = {
    "images/bad_truncated.png": "truncated",
    "masks/bad_size.png": "30x30",
    "images/bad_lonely.png": "mask",
    "masks/bad_orphan.png": "image",
    "masks/bad_value.png": "77",
    "images/bad_empty.png": "empty",
    "images/bad_text.png": "text",
}

CONFIGURATION = """
name: discs
workspace: work
data:
  path: data
  channels: 1
  dtype: uint8
  classes: {ground: [0], disc: [1]}
  ignore: [255]
  split: {train: ["0*", "bad*"], eval: ["1*"]}
ingest: {tile: 32, bad_input_limit: 0.5}
model: {options: {width: 8, depth: 2}}
train: {steps: 60, steps_per_epoch: 20, batch_size: 4, learning_rate: 0.01}
tune: {trials: 2, steps: 4}
evaluate: {min_mean_iou: 0.6}
"""


def write_data(folder: Path) -> None:
    """Twelve good pairs to train, four to evaluate, and the seven bad files."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for number in [*range(12), *range(100, 104)]:
        image, mask = blobs(number)
        cv2.imwrite(str(folder / f"images/{number:03d}.png"), image)
        cv2.imwrite(str(folder / f"masks/{number:03d}.png"), mask)
    image, mask = blobs(50)
    for name in ("truncated", "size", "lonely", "value", "empty", "text"):
        cv2.imwrite(str(folder / f"images/bad_{name}.png"), image + len(name))
        cv2.imwrite(str(folder / f"masks/bad_{name}.png"), mask)
    truncated = folder / "images/bad_truncated.png"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    cv2.imwrite(str(folder / "masks/bad_size.png"), mask[:30, :30])
    (folder / "masks/bad_lonely.png").rename(folder / "masks/bad_orphan.png")
    mask[5, 5:9] = 77
    cv2.imwrite(str(folder / "masks/bad_value.png"), mask)
    (folder / "images/bad_empty.png").write_bytes(b"")
    (folder / "images/bad_text.png").write_text("not an image\n" * 9)


class Project:
    """A folder with overtile.yaml and data, in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "COLUMNS": "100"}
        self.command = [str(Path(sys.executable).with_name("overtile"))]

    def overtile(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def json(self, *arguments: str, code: int = 0) -> dict[str, Any]:
        """Runs a command with --json and reads the one object that it prints."""
        done = self.overtile(*arguments, "--json")
        assert done.returncode == code, done.stdout + done.stderr
        return json.loads(done.stdout)

    def kill(self, *arguments: str, when: Callable[[], bool]) -> None:
        """Starts a command and sends it SIGKILL as soon as `when` is true."""
        process = subprocess.Popen(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 300
        while not when():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < until, "it did not get there in five minutes"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def versions(self) -> list[str]:
        """What a server that watches the serving folder would see."""
        return sorted(path.name for path in (self.folder / "work/serving/discs").glob("*"))


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("project")
    write_data(folder / "data")
    (folder / "overtile.yaml").write_text(CONFIGURATION)
    return Project(folder)


@pytest.fixture(scope="session")
def first_run(project: Project) -> dict[str, Any]:
    """The result of the first `overtile run`."""
    return project.json("run")


def overlap(mask: np.ndarray, truth: np.ndarray) -> float:
    """IoU of class 1 where the truth is not ignored."""
    counted = truth != 255
    a, b = (mask == 1) & counted, (truth == 1) & counted
    return float((a & b).sum() / (a | b).sum())
