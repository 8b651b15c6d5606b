from __future__ import annotations

import json
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline import runs
from pipeline.cli import app
from pipeline.outcome import Outcome, take_report
from pipeline.runs import Result


class Artifact:
    """As much of a TFX artifact as is looked at."""

    def __init__(self, uri: Path, run: str):
        self.uri, self.run = str(uri), run

    def get_string_custom_property(self, name: str) -> str:
        return {"run": self.run}[name]


def outcome(state: Any, folder: Path, run: str) -> Outcome:
    return Outcome(state, {"report": [Artifact(folder, run)]})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    folder = tmp_path / "artifacts"
    folder.mkdir()
    (folder / "report.html").write_text("the page")
    return folder


def test_a_report_is_kept_under_its_run(written: Path, tmp_path: Path) -> None:
    result = Result("b", "now")
    take_report(result, outcome("done", written, "b"), tmp_path)
    assert result.report == str(tmp_path / "reports" / "b.html")
    # It stays when the artifacts are cleared away.
    (written / "report.html").unlink()
    assert Path(result.report).read_text() == "the page"


def test_from_the_cache_it_is_the_earlier_runs(written: Path, tmp_path: Path) -> None:
    take_report(Result("a", "then"), outcome("done", written, "a"), tmp_path)
    again = Result("b", "now")
    take_report(again, outcome("cached", written, "a"), tmp_path)
    assert again.report == str(tmp_path / "reports" / "a.html")
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["a.html"]
    # Deleted by somebody, it comes back from the artifact, and is missed where that is gone too.
    Path(again.report).unlink()
    take_report(again, outcome("cached", written, "a"), tmp_path)
    assert Path(again.report).is_file()
    Path(again.report).unlink()
    (written / "report.html").unlink()
    take_report(again, outcome("cached", written, "a"), tmp_path)
    assert again.report is None


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs a and b with reports, c that failed, and d whose report somebody deleted."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overtile.yaml").write_text("workspace: work\n")
    reports = tmp_path / "work" / "reports"
    reports.mkdir(parents=True)
    for place, name in enumerate("abcd"):
        status: Any = "failed" if name == "c" else "pushed"
        result = Result(name, f"2026-01-0{place + 1}T00:00:00+0000", status=status)
        if name != "c":
            result.report = str(reports / f"{name}.html")
        if name in "ab":
            (reports / f"{name}.html").write_text(name)
        runs.save(result, tmp_path / "work")
    return reports


def overtile(*arguments: str) -> SimpleNamespace:
    done = CliRunner().invoke(app, ["report", *arguments])
    return SimpleNamespace(code=done.exit_code, text=" ".join(done.output.split()))


def test_the_newest_report_is_opened(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or True)
    assert overtile().text == "Opened work/reports/b.html"
    assert opened == [(project / "b.html").as_uri()]
    assert overtile("--run", "a").text == "Opened work/reports/a.html"


def test_without_a_browser_one_is_told_where_it_is(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del project
    monkeypatch.setattr(webbrowser, "open", lambda url: False)
    done = overtile()
    assert (done.code, done.text) == (
        0,
        "No browser was found; the report is work/reports/b.html",
    )


def test_scripts_get_the_path_alone(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda url: pytest.fail("nothing is to be opened"))
    assert overtile("--no-open", "--run", "a").text == str(project / "a.html")
    told = json.loads(overtile("--json").text)
    assert told == {"run": "b", "report": str(project / "b.html")}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("c", "Run c (failed) left no report."),
        ("d", "The report of run d is gone"),
        ("e", "There is no run e"),
    ],
)
def test_what_is_not_there(project: Path, run: str, words: str) -> None:
    del project
    done = overtile("--no-open", "--run", run)
    assert done.code == 2
    assert words in done.text


def test_no_run_has_a_report_yet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "overtile.yaml").write_text("workspace: work\n")
    done = overtile("--no-open")
    assert done.code == 2
    assert "has a report yet; `overtile run` writes one." in done.text
