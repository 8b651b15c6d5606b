from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from pipeline import runs, watching
from pipeline.comparison import subjects
from pipeline.runs import Result
from tests.pipeline.comparison.conftest import Make


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two configurations with a workspace each; the first has two runs and one that failed."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(
            f"workspace: work-{name}\ndata: {{path: data, classes: {{ground: [0], cell: [1]}}}}\n"
        )
    states: list[tuple[str, Any]] = [("1", "pushed"), ("2", "refused"), ("3", "failed")]
    for run, status in states:
        result = Result(run, f"2026-01-0{run}T00:00:00+0000", status=status, verdict=status)
        runs.save(result, tmp_path / "work-a")
    return tmp_path


def test_what_can_be_named(project: Path) -> None:
    found = subjects.parse(
        ["a.yaml", "1", "work-a", "work-a/runs/3.json", "b.yaml"], None, ["train.steps=7"]
    )
    named = [one.result.run if one.result else one.config.train.steps for one in found]  # type: ignore[union-attr]
    # Of a workspace the newest run that came to a verdict.
    assert named == [7, "1", "2", "3", 7]
    assert [one.workspace.name for one in found] == [*["work-a"] * 4, "work-b"]


def test_ids_are_looked_up_in_the_default_configuration(project: Path) -> None:
    with pytest.raises(InputError, match="there is no configuration whose runs to look in"):
        subjects.parse(["1", "2"], None, [])
    (project / "overtile.yaml").write_text("workspace: work-a\n")
    assert [one.argument for one in subjects.parse(["1", "2"], None, [])] == ["1", "2"]
    assert subjects.parse(["2"], project / "a.yaml", [])[0].result is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.yaml", "9"], "9 is neither a configuration"),
        (["a.yaml", "a.yaml"], "a.yaml is named twice"),
        (["a.yaml", "1", "work-a/runs/1.json"], "1 is named twice"),
        (["c.yaml"], "There is no c.yaml"),
        (["work-a/logs"], "is no workspace with a run"),
    ],
)
def test_what_cannot(project: Path, arguments: list[str], words: str) -> None:
    (project / "work-a/logs").mkdir()
    with pytest.raises(InputError, match=words):
        subjects.parse(arguments, None, [])


def test_names_are_told_apart(project: Path, make_run: Make) -> None:
    found = subjects.parse(["a.yaml", "1", "2"], None, [])
    made = [
        make_run(file=str(project / "a.yaml")),
        make_run(file=str(project / "overtile.yaml"), run="1"),
        make_run(file=None, run="2"),
    ]
    assert subjects.names(found, made) == ["a", "unet", "2"]
    assert subjects.names(found[1:], [made[1], made[1]]) == ["unet 1", "unet 1"]


def test_a_configuration_without_runs_has_none(project: Path) -> None:
    (one,) = subjects.parse(["b.yaml"], None, [])
    assert subjects.recorded(one) is None


def answers(monkeypatch: pytest.MonkeyPatch, code: int, told: Any) -> list[list[str]]:
    called: list[list[str]] = []

    def run(command: list[str], *options: Any) -> tuple[int, str]:
        called.append(command)
        return code, told

    monkeypatch.setattr(watching, "run_to_its_end", run)
    return called


def test_a_run_is_that_of_the_command(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (one,) = subjects.parse(["a.yaml"], None, [])
    # The run that it names, though others in the same workspace are newer.
    called = answers(monkeypatch, 0, '{"run": "1"}')
    done = subjects.train(one, ["train.steps=7"])
    assert called[0][-6:] == ["run", "--json", "-c", "a.yaml", "--set", "train.steps=7"]
    assert done.result is not None
    assert (done.result.run, done.file, done.argument) == ("1", one.file, "a.yaml")
    # A model that the gate refuses is as good to compare.
    answers(monkeypatch, 3, '{"run": "2"}')
    refused = subjects.train(one, []).result
    assert refused is not None
    assert refused.status == "refused"


def test_a_run_that_fails_ends_the_comparison(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (one,) = subjects.parse(["b.yaml"], None, [])
    bad = [{"file": "x.png", "reason": "empty file"}]
    answers(monkeypatch, 2, json.dumps({"error": "There is no data.", "set_aside": bad}))
    with pytest.raises(InputError, match=r"b.yaml: There is no data\.") as raised:
        subjects.train(one, [])
    assert raised.value.set_aside[0].file == "x.png"
    answers(monkeypatch, 1, json.dumps({"error": "Trainer failed."}))
    with pytest.raises(RuntimeError, match=r"b.yaml: Trainer failed$"):
        subjects.train(one, [])
    answers(monkeypatch, -9, "")
    with pytest.raises(RuntimeError, match="ended without a word"):
        subjects.train(one, [])
    answers(monkeypatch, 130, "")
    with pytest.raises(KeyboardInterrupt):
        subjects.train(one, [])


def test_what_makes_a_run_that_of_a_configuration(project: Path) -> None:
    config = subjects.parse(["a.yaml"], None, [])[0].config
    assert config is not None
    told = config.model_dump(mode="json", exclude={"beam", "kubeflow"})
    assert subjects._same(config, told)
    # Neither the gate nor a colour changes what is trained.
    assert subjects._same(config, {**told, "evaluate": {"min_mean_iou": 0.9}})
    told["data"]["colours"] = {"cell": "#ffffff"}
    assert subjects._same(config, told)
    assert not subjects._same(config, {**told, "train": {**told["train"], "steps": 7}})
    assert not subjects._same(config, {**told, "gone": {}})
