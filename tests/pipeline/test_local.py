import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from components.errors import InputError, SetAside
from pipeline import config, local, runs
from pipeline.progress import Display
from pipeline.runs import Result


def settings(folder: Path) -> config.PipelineConfig:
    return config.parse({"data": {"path": "data"}}, base=folder)


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, components: Callable[[Result, Display], None]
) -> tuple[Result, dict[str, Any]]:
    """A run whose components are replaced; its result, and the record that it left."""

    def replaced(_: config.PipelineConfig, result: Result, display: Display) -> None:
        record = folder / "overtile-work" / "runs" / f"{result.run}.json"
        assert json.loads(record.read_text())["status"] == "running"
        components(result, display)

    monkeypatch.setattr(local, "_run", replaced)
    result = local.run(settings(folder), folder / "overtile.yaml")
    (record,) = (folder / "overtile-work" / "runs").glob("*.json")
    return result, json.loads(record.read_text())


def failing(error: BaseException) -> Callable[[Result, Display], None]:
    def components(_: Result, display: Display) -> None:
        display.begin("Trainer")
        raise error

    return components


def test_a_run_leaves_its_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def components(result: Result, _: Display) -> None:
        result.status = result.verdict = "pushed"

    result, record = run(tmp_path, monkeypatch, components)
    assert record == result.to_json()
    assert record["verdict"] == "pushed"
    assert record["config"] == str(tmp_path / "overtile.yaml")


def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = InputError("2 bad files among 9 images", [SetAside("a.png", "empty file")])
    result, record = run(tmp_path, monkeypatch, failing(error))
    assert (result.verdict, result.exit_code) == ("failed", 2)
    assert record["error"] == "2 bad files among 9 images."
    assert record["set_aside"] == [{"file": "a.png", "reason": "empty file"}]


def test_a_failing_component_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, record = run(tmp_path, monkeypatch, failing(ValueError("shapes do not match")))
    assert (result.status, result.exit_code) == ("failed", 1)
    assert record["error"] == f"Trainer failed: shapes do not match; the log is {result.log}."
    assert "Trainer" in record["seconds"]


def test_stopped_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, record = run(tmp_path, monkeypatch, failing(KeyboardInterrupt()))
    assert (record["status"], result.exit_code) == ("stopped", 130)


def test_a_second_run_at_once_leaves_no_record(tmp_path: Path) -> None:
    work = settings(tmp_path).workspace
    with runs.lock(work), pytest.raises(InputError, match="Another run"):
        local.run(settings(tmp_path), None)
    assert not (work / "runs").exists()


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_too_little_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = 0
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tif").write_bytes(bytes(1000))
    made = settings(tmp_path)
    made.workspace.mkdir()
    # Half a gigabyte for the model, and the data's own size while there are no records yet.
    free = 500_000_999
    with pytest.raises(InputError, match=r"has 500 MB left, and a run on this data needs"):
        local.refuse_full_disk(made)
    free = 500_001_000
    local.refuse_full_disk(made)
    (made.workspace / "artifacts").mkdir()
    free = 500_000_000
    local.refuse_full_disk(made)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    model = {"name": "fcn8s", "options": {"weights": "mobilenet.h5"}}
    made = config.parse({"model": model, "train": {"start_from": "state"}}, base=tmp_path)
    missing = f"^model.options.weights: there is no file {tmp_path}/mobilenet.h5.$"
    with pytest.raises(InputError, match=missing):
        local.refuse_missing_weights(made)
    (tmp_path / "mobilenet.h5").touch()
    with pytest.raises(InputError, match=f"^train.start_from: there is no file {tmp_path}/state.$"):
        local.refuse_missing_weights(made)
    (tmp_path / "state.index").touch()
    local.refuse_missing_weights(made)
