"""`overtile run` as a person uses it. The tests share one project and go from top to bottom."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from tests.e2e.conftest import BAD_FILES, Project, overlap

pytestmark = pytest.mark.slow


def test_a_good_model_is_pushed_and_bad_input_named(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert first_run["verdict"] == "pushed"
    assert first_run["metrics"]["mean_iou"] >= 0.6
    assert project.versions() == [first_run["pushed"]["version"]]
    assert [rule["passed"] for rule in first_run["gate"]] == [True]
    reasons = {entry["file"]: entry["reason"] for entry in first_run["set_aside"]}
    for file, words in BAD_FILES.items():
        match = [reason for name, reason in reasons.items() if Path(name).stem == Path(file).stem]
        assert match, f"{file} is not among {sorted(reasons)}"
        assert words in match[0]
    counts = first_run["counts"]
    # 16 good pairs and six bad images; the seventh bad file is a mask without an image.
    assert counts["images"] == 22
    assert counts["used"] == {"train": 12, "eval": 4}
    assert len(reasons) == 7


def test_the_same_again_is_answered_from_the_cache(
    project: Project, first_run: dict[str, Any]
) -> None:
    again = project.json("run")
    assert again["verdict"] == "unchanged"
    assert project.versions() == [first_run["pushed"]["version"]]
    assert {"ImageExampleGen", "Transform", "Tuner", "Trainer", "Evaluator", "Pusher"} <= set(
        again["cached"]
    )
    assert again["metrics"] == first_run["metrics"]


def test_predict_writes_masks_and_overlays(project: Project, first_run: dict[str, Any]) -> None:
    del first_run
    done = project.overtile(
        "predict", "data/images/100.png", "data/images/bad_text.png", "-o", "out"
    )
    assert (
        done.returncode == 2
    )  # one of the two is not an image, and the other is done all the same
    assert "bad_text.png" in done.stdout + done.stderr
    mask = cv2.imread(str(project.folder / "out/100_mask.png"), cv2.IMREAD_UNCHANGED)
    truth = cv2.imread(str(project.folder / "data/masks/100.png"), cv2.IMREAD_UNCHANGED)
    assert mask.shape == truth.shape
    assert overlap(mask, truth) > 0.5
    assert (project.folder / "out/100_overlay.png").is_file()


def test_evaluate_agrees_with_the_run(project: Project, first_run: dict[str, Any]) -> None:
    found = project.json("evaluate")
    for name, value in first_run["metrics"].items():
        assert found["metrics"][name] == pytest.approx(value, abs=1e-6)


def test_a_killed_training_goes_on_from_its_checkpoint(
    project: Project, first_run: dict[str, Any]
) -> None:
    del first_run
    other = [
        "--set",
        "tune.trials=0",
        "--set",
        "train.seed=1",
        "--set",
        "train.steps=2000",
        "--set",
        "train.early_stopping=3",
    ]
    checkpoints = project.folder / "work/checkpoints"
    before = project.versions()

    def second_epoch_is_saved() -> bool:
        return any(checkpoints.glob("*/ckpt-2.index"))

    project.kill("run", *other, when=second_epoch_is_saved)
    assert project.versions() == before
    listed = project.json("runs")["runs"]
    assert "killed" in [run["status"] for run in listed]
    # Whether the second model is better than the first is luck: no model is too bad to be pushed.
    done = project.json("run", *other, "--set", "evaluate.max_drop=1.0")
    assert done["resumed_from_step"] >= 40
    assert done["resumed_from_step"] % 20 == 0
    assert not list(checkpoints.iterdir())


def test_a_model_below_the_gate_is_refused(project: Project, first_run: dict[str, Any]) -> None:
    del first_run
    before = project.versions()
    refused = project.overtile("run", "--set", "evaluate.min_mean_iou=0.9999")
    assert refused.returncode == 3
    told = refused.stdout + refused.stderr
    assert "is below 0.9999 (evaluate.min_mean_iou)" in told.replace("\n", " ")
    assert project.versions() == before


def test_too_much_bad_input_stops_the_run_with_the_list(project: Project) -> None:
    stopped = project.json("run", "--set", "ingest.bad_input_limit=0.01", code=2)
    assert stopped["verdict"] == "failed"
    assert len(stopped["set_aside"]) == 7
    assert "bad_input_limit" in stopped["error"]


def test_two_runs_at_once(project: Project, first_run: dict[str, Any]) -> None:
    del first_run
    # Of the two models that were pushed the first comes back, and may be the worse one.
    first = subprocess.Popen(
        [*project.command, "run", "--set", "evaluate.max_drop=1.0"],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(2)
        second = project.overtile("run")
        assert second.returncode == 2
        assert str(first.pid) in second.stdout + second.stderr
    finally:
        assert first.wait(timeout=300) == 0
