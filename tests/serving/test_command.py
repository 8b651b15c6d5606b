"""`overtile serve`, and `overtile predict --server`, as a person runs them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from pipeline.commands import serving
from serving.announcement import Announcement
from tests.serving.conftest import CLASSES, NAME, picture

OVERTILE = str(Path(sys.executable).with_name("overtile"))
ENVIRONMENT = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "COLUMNS": "100"}

CONFIGURATION = f"""
name: {NAME}
workspace: work
data:
  path: data
  channels: 1
  dtype: uint8
  classes: {{{CLASSES[0]}: [0], {CLASSES[1]}: [1]}}
  colours: {{{CLASSES[1]}: "#c80000"}}
"""


@pytest.fixture(scope="module")
def project(grey_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "overtile.yaml").write_text(CONFIGURATION)
    for name in ("images", "masks"):
        (folder / "data" / name).mkdir(parents=True)
        cv2.imwrite(str(folder / "data" / name / "first.png"), picture((40, 30)))
    shutil.copytree(grey_model, folder / "work" / "serving" / NAME / "1700000000")
    return folder


def overtile(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OVERTILE, *arguments],
        cwd=project,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def sentence(project: Path, *arguments: str) -> str:
    done = overtile(project, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.slow
def test_serve_and_what_it_shows(project: Path) -> None:
    process = subprocess.Popen(
        [OVERTILE, "serve", "--grpc-port", "0", "--rest-port", "0"],
        cwd=project,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    shown = ""
    while "Ctrl-C" not in shown:
        line = process.stdout.readline()
        assert line, f"it ended: {shown}"
        shown += line
    try:
        assert shown.lstrip().startswith(f"Serving {NAME}, version 1700000000, of work/serving")
        pasted = re.search(r"  \(printf.*?mask\.png\n", shown, re.DOTALL)
        assert pasted is not None
        subprocess.run(["bash", "-c", pasted.group()], cwd=project, check=True, timeout=60)
        mask = cv2.imread(str(project / "mask.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == (40, 30)

        command = re.search(r"  overtile (predict .*)", shown)
        assert command is not None
        assert overtile(project, *command.group(1).split()).returncode == 0
        written = cv2.imread(str(project / "masks/first_mask.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(written, mask)
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0
    assert rest == ""


@pytest.mark.slow
def test_serve_for_machines(project: Path, tmp_path: Path) -> None:
    model = project / "work" / "serving" / NAME / "1700000000"
    options = ["--model", str(model), "--json", "--grpc-port", "0", "--rest-port", "0"]
    file = tmp_path / "out"
    with file.open("w") as out:
        process = subprocess.Popen(
            [OVERTILE, "serve", *options],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
    while not file.read_text():
        assert process.poll() is None
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 0
    told = json.loads(file.read_text())
    assert set(told) == {"pid", "grpc", "rest", "version"}
    assert (told["pid"], told["version"]) == (process.pid, 1700000000)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of several kinds and sizes; one is broken."""
    folder = tmp_path_factory.mktemp("images")
    cv2.imwrite(str(folder / "grey.png"), picture((33, 20)))
    cv2.imwrite(str(folder / "colour.jpg"), picture((20, 30), 3))
    cv2.imwrite(str(folder / "more.tif"), picture((21, 22)))
    (folder / "broken.png").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def here(project: Path, images: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `overtile predict` says without a server, and where it writes."""
    out = tmp_path_factory.mktemp("here")
    done = overtile(project, "predict", str(images), "-o", str(out), "--json")
    return {**json.loads(done.stdout), "out": out}


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_predict_writes_the_same_files_by_a_server(
    project: Path,
    server: Announcement,
    images: Path,
    here: dict[str, Any],
    tmp_path: Path,
    protocol: str,
) -> None:
    address = f"grpc://{server.grpc}" if protocol == "grpc" else server.rest
    options = ["-o", str(tmp_path / "there"), "--server", address, "--json"]
    done = overtile(project, "predict", str(images), *options)
    assert done.returncode == 2, done.stderr  # one image is broken
    there = json.loads(done.stdout)
    assert there["model"] == f"{address} {NAME}"
    assert there["classes"] == here["classes"] == list(CLASSES)
    assert there["set_aside"] == here["set_aside"]
    assert len(there["set_aside"]) == 1
    files = sorted(path.name for path in here["out"].iterdir())
    assert files == sorted(path.name for path in (tmp_path / "there").iterdir())
    assert len(files) == 6
    for name in files:
        assert (here["out"] / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_a_server_without_a_configuration(
    server: Announcement, images: Path, tmp_path: Path
) -> None:
    address = f"grpc://{server.grpc}"
    options = ["--server", address, "-o", str(tmp_path / "elsewhere")]
    words = sentence(tmp_path, "predict", str(images), *options)
    assert words == "Name the served model by --name, or its configuration by -c."
    done = overtile(tmp_path, "predict", str(images), *options, "--name", NAME, "--json")
    assert json.loads(done.stdout)["classes"] == ["class 0", "class 1"]


def test_what_can_be_wrong(project: Path, server: Announcement, tmp_path: Path) -> None:
    image = str(project / "data" / "images" / "first.png")

    def predict(*options: str) -> str:
        return sentence(project, "predict", image, "-o", str(tmp_path / "out"), *options)

    assert predict("--server", server.rest, "--name", "other") == (
        "There is no model 'other'; 'cells' is served."
    )
    assert predict("--server", server.rest, "--model", "x") == (
        "--server asks a served model, --model loads one here: give one of them."
    )
    assert predict("--server", server.grpc).endswith(
        "is no server: write grpc://host:8500 or http://host:8501."
    )
    assert sentence(project, "serve", "--model", str(tmp_path)) == (
        f"{tmp_path} holds no model: no saved_model.pb and no version."
    )
    port = server.grpc.rpartition(":")[2]
    assert sentence(project, "serve", "--grpc-port", port).startswith(f"127.0.0.1:{port} is taken")


def test_the_line_of_the_demo() -> None:
    same = {"version": 7, "pixels": 10_000, "differing": {"grpc": 0, "rest": 0}}
    assert serving.describe(same, Path("demo/overtile.yaml")) == (
        "Served: version 7 gives the same mask by gRPC and by REST; "
        "`overtile serve -c demo/overtile.yaml` serves it to you."
    )
    other = {**same, "differing": {"grpc": 0, "rest": 1200}}
    assert "a mask that differs in 1,200 of 10,000 pixels" in serving.describe(other, Path("x"))
