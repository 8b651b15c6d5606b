"""New labels, span by span, on frames of a real film; the tests go from top to bottom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.e2e.conftest import Project

pytestmark = pytest.mark.slow

CONFIGURATION = """
name: discs
workspace: work
data:
  path: data
  channels: 1
  dtype: uint8
  classes: {background: [65535], cell: [0]}
  split: {train: ["000..011"], eval: ["012..015"]}
  spans: {window: 2}
ingest: {tile: 192}
model: {options: {width: 8, depth: 3}}
train: {steps: 80, steps_per_epoch: 40, batch_size: 4, crop: 96, learning_rate: 0.01}
evaluate: {min_mean_iou: 0.3, max_drop: 0.1}
push: {validation: {by: none}}
"""


def write_span(film: Path, folder: Path, frames: range, mixed_up: bool = False) -> None:
    """A block of the film, a part of each frame; mixed up, each has the mask of another frame."""
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    part = slice(100, 292), slice(100, 292)
    for place, frame in enumerate(frames):
        labelled = frames[(place + len(frames) // 2) % len(frames)] if mixed_up else frame
        image = cv2.imread(str(film / f"images/{frame:03d}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(film / f"labels/{labelled:03d}.png"), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(folder / f"images/{frame:03d}.png"), image[part])
        cv2.imwrite(str(folder / f"masks/{frame:03d}.png"), mask[part])
    (folder / "_COMPLETE").touch()


@pytest.fixture(scope="module")
def film(shared_data: Path) -> Path:
    return shared_data / "dic_hela"


@pytest.fixture(scope="module")
def project(film: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("spans")
    (folder / "overtile.yaml").write_text(CONFIGURATION)
    write_span(film, folder / "data/span-1", range(16))
    return Project(folder)


@pytest.fixture(scope="module")
def first_run(project: Project) -> dict[str, Any]:
    return project.json("run")


def training(result: dict[str, Any]) -> dict[str, Any]:
    run = Path(result["spans"]["model"].replace("/model/", "/model_run/"))
    return json.loads((run / "training.json").read_text())


def test_the_first_span_makes_model_and_evaluation_set(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert first_run["verdict"] == "pushed"
    assert first_run["counts"]["used"] == {"train": 12, "eval": 4}
    told = first_run["spans"]
    assert (told["new"], told["window"], told["evaluation"]) == (["span-1"], ["span-1"], "span-1")
    assert told["warm_start"] is None
    assert project.versions() == [first_run["pushed"]["version"]]


def test_a_good_span_is_trained_on_from_the_last_model(
    project: Project, film: Path, first_run: dict[str, Any]
) -> None:
    write_span(film, project.folder / "data/span-2", range(20, 32))
    (project.folder / "data/span-1").rename(project.folder / "gone")  # it is not read again
    second = project.json("run")
    assert second["verdict"] == "pushed"
    assert second["counts"]["used"] == {"train": 12, "eval": 0}
    told = second["spans"]
    assert (told["new"], told["window"]) == (["span-2"], ["span-1", "span-2"])
    assert (told["evaluation"], told["refused"]) == ("span-1", [])
    assert told["warm_start"]["version"] == first_run["pushed"]["version"]
    assert training(second)["warm_start_from"].startswith(first_run["spans"]["model"])
    # The gate compared both on the one frozen set.
    assert second["baseline"] == pytest.approx(first_run["metrics"])
    assert len(project.versions()) == 2


def test_a_span_of_mixed_up_masks_is_refused_and_nothing_else_changes(
    project: Project, film: Path, first_run: dict[str, Any]
) -> None:
    del first_run
    before = project.versions()
    write_span(film, project.folder / "data/span-3", range(36, 48), mixed_up=True)
    refused = project.json("run", code=3)
    assert refused["verdict"] == "refused"
    (one,) = refused["spans"]["refused"]
    assert one["span"] == "span-3"
    assert one["match"] < 0.75
    assert (
        "span-3 is refused and will not train: its labels seem to be mixed up" in (refused["error"])
    )
    assert refused["spans"]["window"] == ["span-1", "span-2"]
    assert {"Transform", "Trainer", "Evaluator", "Pusher"} <= set(refused["cached"])
    assert project.versions() == before


def test_without_new_data_nothing_is_trained_and_nothing_pushed(
    project: Project, first_run: dict[str, Any]
) -> None:
    del first_run
    before = project.versions()
    again = project.json("run")
    assert again["verdict"] == "unchanged"
    components = {"ImageExampleGen", "StatisticsGen", "SpanValidator", "Transform", "Trainer"}
    assert components | {"Evaluator", "Pusher"} <= set(again["cached"])
    assert again["spans"]["window"] == ["span-1", "span-2"]
    assert project.versions() == before


def test_watch_finds_nothing_new(project: Project, first_run: dict[str, Any]) -> None:
    del first_run
    done = project.overtile("watch", "--once", "--json")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["waiting"]
