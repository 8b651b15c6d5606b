"""`overtile run` as a person uses it. The tests share one project and go from top to bottom."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import pytest
import yaml

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
    assert [trial["status"] for trial in first_run["trials"]] == ["completed", "completed"]
    assert again["trials"] == first_run["trials"]


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
        "train.steps=300",
    ]
    checkpoints = project.folder / "work/checkpoints"
    before = project.versions()

    def second_epoch_is_saved() -> bool:
        return any(checkpoints.glob("*/epoch-000002"))

    project.kill("run", *other, when=second_epoch_is_saved)
    assert project.versions() == before
    listed = project.json("runs")["runs"]
    assert "killed" in [run["status"] for run in listed]
    # Whether the second model is better than the first is luck: no model is too bad to be pushed.
    done = project.json("run", *other, "--set", "evaluate.max_drop=1.0")
    assert done["resumed_from_step"] >= 40
    assert done["resumed_from_step"] % 20 == 0
    assert not list(checkpoints.iterdir())


def test_models_of_two_runs_are_compared(project: Project, first_run: dict[str, Any]) -> None:
    """A configuration whose run is known, and the run that the test above killed and ended."""
    before = project.json("runs")["runs"]
    second = next(run for run in reversed(before) if run["resumed_from_step"])
    told = project.json("compare", "overtile.yaml", second["run"], "--baselines")
    # The configuration has a run with this data, so nothing is trained.
    assert len(project.json("runs")["runs"]) == len(before)
    models = told["models"][:2]
    assert models[0]["parameters"] == models[1]["parameters"]
    for model, run in zip(models, (first_run, second)):
        for name, value in run["metrics"].items():
            assert model["metrics"][name] == pytest.approx(value, abs=1e-6)
        low, high = model["intervals"]["mean_iou"]
        assert low <= model["metrics"]["mean_iou"] <= high
        assert model["seconds"] > 0
    assert [model["kind"] for model in told["models"]] == ["model"] * 2 + ["classical"] * 6
    # Bright discs on a dark ground are what a threshold is for.
    otsu = next(model for model in told["models"] if model["name"] == "Otsu threshold")
    assert otsu["metrics"]["mean_iou"] > 0.8
    page = Path(told["page"])
    assert page.parent == project.folder / "work/reports"
    assert page.read_text().count("data:image/webp") >= 4 + 2 * 8
    same = project.json("compare", first_run["run"], "overtile.yaml", code=2)
    assert "one and the same model" in same["error"]
    odd = project.json("compare", "overtile.yaml", second["run"], "--layer", "nothing", code=2)
    assert "--layer nothing: no model has such a layer" in odd["error"]


def test_a_configuration_without_a_run_is_run_to_be_compared(
    project: Project, first_run: dict[str, Any]
) -> None:
    """Narrower, of few steps; a model that the gate refuses can be compared all the same."""
    text = (project.folder / "overtile.yaml").read_text()
    values = yaml.safe_load(text)
    values["model"] = {"name": "unet", "options": {"width": 4, "depth": 2}}
    values["train"] = {**values.get("train", {}), "steps": 20}
    values["tune"] = {"trials": 0}
    values["evaluate"] = {"min_mean_iou": 0.9999}
    (project.folder / "narrow.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    versions, before = project.versions(), len(project.json("runs")["runs"])

    told = project.json("compare", first_run["run"], "narrow.yaml")

    runs = project.json("runs")["runs"]
    assert len(runs) == before + 1
    assert project.versions() == versions
    assert [model["run"] for model in told["models"]] == [first_run["run"], runs[-1]["run"]]
    wide, narrow = told["models"]
    assert narrow["parameters"] < wide["parameters"]
    assert 0 <= narrow["metrics"]["mean_iou"] <= 1


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
