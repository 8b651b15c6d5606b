"""A model whose export is broken on its way from the Trainer to the Pusher."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.conftest import CONFIGURATION, Project, write_data

pytestmark = pytest.mark.slow


def test_a_model_whose_export_is_broken_is_refused(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "overtile.yaml").write_text(CONFIGURATION)
    project = Project(tmp_path)
    quick = [
        "--set",
        "tune.trials=0",
        "--set",
        "train.steps=20",
        "--set",
        "evaluate.min_mean_iou=0",
    ]
    assert project.json("run", *quick)["verdict"] == "pushed"
    before = project.versions()

    (weights,) = tmp_path.glob(
        "work/artifacts/Trainer/model/*/Format-Serving/variables/variables.data-*"
    )
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    # What the Trainer and the Evaluator say of it comes from the cache; another number of images
    # to ask for makes the serving validator look again.
    refused = project.json("run", *quick, "--set", "push.validation.images=2", code=3)
    assert refused["verdict"] == "refused"
    assert {"Trainer", "Evaluator"} <= set(refused["cached"])
    (failed,) = [check for check in refused["validation"] if not check["passed"]]
    assert "load" in failed["name"]
    assert project.versions() == before
