import os
from pathlib import Path

import pytest

from components.errors import InputError
from pipeline import runs


def test_a_record_comes_back_as_it_was(tmp_path: Path) -> None:
    result = runs.new(tmp_path, tmp_path / "overtile.yaml")
    result.status = result.verdict = "pushed"
    result.metrics = {"mean_iou": 0.9}
    result.pushed = {"path": "/serving/7", "version": "7"}
    runs.save(result, tmp_path)
    assert runs.past(tmp_path) == [result]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [f"{result.run}.json"]


def test_ids_differ_within_a_second(tmp_path: Path) -> None:
    names = []
    for _ in range(3):
        result = runs.new(tmp_path, None)
        runs.save(result, tmp_path)
        names.append(result.run)
    assert len(set(names)) == 3
    assert [result.run for result in runs.past(tmp_path)] == names


def test_a_run_that_ended_without_a_word_was_killed(tmp_path: Path) -> None:
    result = runs.new(tmp_path, None)
    with runs.lock(tmp_path):
        runs.save(result, tmp_path)
        assert runs.past(tmp_path)[0].status == "running"
    # The record is as it was, but nobody holds the workspace any more.
    assert runs.past(tmp_path)[0].status == "killed"
    with runs.lock(tmp_path):
        runs.save(runs.new(tmp_path, None), tmp_path)
        assert [run.status for run in runs.past(tmp_path)] == ["killed", "running"]


def test_damaged_records_do_not_hide_the_others(tmp_path: Path) -> None:
    result = runs.new(tmp_path, None)
    runs.save(result, tmp_path)
    for name, text in (("half", '{"run": "x"'), ("list", "[]"), ("other", '{"a": 1}')):
        (tmp_path / "runs" / f"{name}.json").write_text(text)
    assert [run.run for run in runs.past(tmp_path)] == [result.run]


def test_two_runs_at_once(tmp_path: Path) -> None:
    with (
        runs.lock(tmp_path),
        pytest.raises(InputError, match=rf"process {os.getpid()}\) is at work"),
        runs.lock(tmp_path),
    ):
        pass
    with runs.lock(tmp_path):  # free again
        pass


def test_a_workspace_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="Nothing can be written to"), runs.lock(tmp_path / "file"):
        pass
