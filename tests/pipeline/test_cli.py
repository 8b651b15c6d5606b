import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from pipeline import runs
from pipeline.cli import app

HEAVY = ("numpy", "pydantic", "yaml", "cv2", "tensorflow", "tfx", "apache_beam", "rich.console")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def overtile(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def told(result: Result) -> dict[str, Any]:
    """The one JSON object on standard output."""
    return json.loads(result.stdout)


def write_data(folder: Path) -> None:
    for name, value in (("images", 100), ("masks", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(6):
            pixels = np.full((16, 16), value + number * (name == "images"), np.uint8)
            pixels[:8] += 1
            cv2.imwrite(str(folder / name / f"{number}.png"), pixels)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from pipeline.cli import main\n"
        "sys.argv = ['overtile', '--help']\n"
        "try:\n    main()\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    for command in ("demo", "init", "run", "predict", "evaluate", "runs", "doctor"):
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run"], "There is no overtile.yaml; `overtile init DATA` writes one."),
        (["run", "-c", "other.yaml"], "There is no other.yaml"),
        (["run", "--set", "train.steps"], "write it as --set train.steps=100"),
        (["run", "--set", "train.steps=[", "--data", "."], "is not a YAML value"),
        (["run", "--set", "train.stps=3", "--data", "."], "unknown key train.stps"),
        (["run", "--set", "train.steps=-3", "--data", "."], "train.steps: -3 is not allowed"),
        (["run", "--nonsense"], "No such option: --nonsense"),
        (["run", "--data", "nowhere"], "nowhere does not exist"),
        (["init", "nowhere"], "nowhere does not exist"),
        (["runs"], "There is no overtile.yaml"),
        (["predict", "a.png", "-o", "out"], "There is no overtile.yaml"),
        (["predict", "a.png", "-o", "out", "--model", "."], "holds no model"),
        (["evaluate", "--model", "."], "There is no configuration"),
    ],
)
def test_bad_usage_is_one_sentence_and_exit_code_2(arguments: list[str], words: str) -> None:
    result = overtile(*arguments)
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [["run"], ["runs"], ["evaluate"], ["init", "nowhere"]])
def test_errors_are_one_object_for_machines(command: list[str]) -> None:
    result = overtile(*command, "--json")
    assert result.exit_code == 2
    assert told(result)["verdict"] == "failed"
    assert told(result)["error"].endswith(".")


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in overtile("run", "--debug").output


def test_init_writes_a_configuration_that_loads_and_is_not_overwritten(here: Path) -> None:
    write_data(here / "data")
    result = overtile("init", "data", "--json")
    assert result.exit_code == 0
    assert told(result)["pairs"] == 6
    assert told(result)["config"] == "overtile.yaml"
    assert overtile("runs").exit_code == 0
    again = overtile("init", "data")
    assert again.exit_code == 2
    assert "--force replaces it" in again.output
    forced = overtile("init", "data", "--force")
    assert forced.exit_code == 0
    assert "then `overtile run`" in forced.output


def test_nothing_was_pushed_yet(here: Path) -> None:
    (here / "overtile.yaml").write_text("data: {path: data}")
    result = overtile("predict", "a.png", "-o", "out")
    assert result.exit_code == 2
    assert "No model was pushed" in result.output


def test_past_runs(here: Path) -> None:
    (here / "overtile.yaml").write_text("data: {path: data}")
    assert "No run in" in overtile("runs").output
    record = runs.new(here / "overtile-work", here / "overtile.yaml")
    runs.save(record, here / "overtile-work")
    # It says that it is running, but nobody holds the workspace.
    (run,) = told(overtile("runs", "--json"))["runs"]
    assert (run["run"], run["status"]) == (record.run, "killed")
    assert "killed" in overtile("runs").output


def test_the_doctor_fails_where_something_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline import doctor

    monkeypatch.setattr(doctor, "_IMPORTS", ("no_such_module",))
    result = overtile("doctor", "--json")
    assert result.exit_code == 1
    assert told(result)["ok"] is False
    assert "✗ import no_such_module" in overtile("doctor").output
