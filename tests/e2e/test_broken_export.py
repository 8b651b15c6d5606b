"""A model whose export is broken on its way from the Trainer to the Pusher."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.conftest import Project

pytestmark = pytest.mark.slow


def test_a_model_whose_export_is_broken_is_refused(
    project: Project, first_run: dict[str, Any]
) -> None:
    assert first_run["verdict"] == "pushed"
    before = project.versions()
    models = (project.folder / "work/artifacts/Trainer/model").iterdir()
    first = min(models, key=lambda model: int(model.name))
    (weights,) = first.glob("Format-Serving/variables/variables.data-*")
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    try:
        # What the Trainer and the Evaluator say of it comes from the cache; another number of
        # images to ask for makes the serving validator look again.
        refused = project.json("run", "--set", "push.validation.images=2", code=3)
    finally:
        weights.write_bytes(whole)
    assert refused["verdict"] == "refused"
    assert {"Trainer", "Evaluator"} <= set(refused["cached"])
    (failed,) = [check for check in refused["validation"] if not check["passed"]]
    assert "load" in failed["name"]
    assert project.versions() == before
