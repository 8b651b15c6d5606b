"""The report of a whole run says what its JSON says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import config as configuration
from tests.components.run_report.parsing import Page
from tests.e2e.conftest import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(first_run: dict[str, Any]) -> Page:
    return Page(Path(first_run["report"]).read_text())


def test_numbers_are_those_of_the_result(page: Page, first_run: dict[str, Any]) -> None:
    assert page.text("h1") == f"Pushed as version {first_run['pushed']['version']}"
    found = {
        one.attributes["data-metric"]: float(one.attributes["value"])
        for one in page.all("data", class_="iou")
    }
    expected = {name: first_run["metrics"][name] for name in found}
    assert set(found) == {"iou/ground", "iou/disc", "mean_iou"}
    assert found == pytest.approx(expected, abs=1e-12)
    told = [float(one.attributes["value"]) for one in page.all("data") if "value" in one.attributes]
    for rule in first_run["gate"]:
        assert rule["value"] in told
        assert rule["limit"] in told
    rows = {
        row.text.split()[0]: row.text.split()[1:]
        for row in page.all("tr")
        if row.text.split()[:1] in (["images"], ["tiles"])
    }
    counts = first_run["counts"]
    assert rows["images"] == [str(counts["used"][split]) for split in ("train", "eval")]
    assert rows["tiles"] == [str(counts["records"][split]) for split in ("train", "eval")]


def test_the_matrix_gives_the_metrics(page: Page, first_run: dict[str, Any]) -> None:
    """Counted by the report itself, from the exported model and the records."""
    pixels = {}
    for cell in page.all("td"):
        words = cell.attributes.get("title", "").replace("\u202f", "").split()
        if words[1:3] == ["pixels", "of"]:
            pixels[words[3], words[6]] = int(words[0])
    hits = pixels["disc", "disc"]
    union = hits + pixels["disc", "ground"] + pixels["ground", "disc"]
    assert hits / union == pytest.approx(first_run["metrics"]["iou/disc"], abs=1e-6)
    # Four images of 32 x 32 pixels, of which 16 are ignored.
    assert sum(pixels.values()) == 4 * (32 * 32 - 16)


def test_every_bad_file_is_named(page: Page, first_run: dict[str, Any]) -> None:
    rows = [row.text for row in page.all("tr")]
    for bad in first_run["set_aside"]:
        assert any(bad["file"] in row and bad["reason"] in row for row in rows)


def test_the_configuration_is_whole(page: Page, project: Project) -> None:
    values = yaml.safe_load(page.all("pre", id="configuration")[0].text)
    again = configuration.parse(values, base=Path("/"))
    assert again == configuration.load(project.folder / "overtile.yaml")


def test_the_command_finds_it(project: Project, first_run: dict[str, Any]) -> None:
    told = project.json("report", "--run", first_run["run"])
    assert told == {"run": first_run["run"], "report": first_run["report"]}
    assert first_run["report"] == str(project.folder / f"work/reports/{first_run['run']}.html")


def test_another_colour_is_another_report_and_nothing_else(
    project: Project, first_run: dict[str, Any]
) -> None:
    again = project.json("run", "--set", 'data.colours={disc: "#aa3377"}')
    assert again["verdict"] == "unchanged"
    assert set(again["seconds"]) - set(again["cached"]) == {"Start", "Baseline", "RunReport"}
    assert again["report"] != first_run["report"]
    assert "--c:#aa3377" in Path(again["report"]).read_text()
    assert "--c:#aa3377" not in Path(first_run["report"]).read_text()


def test_a_report_that_cannot_be_written_changes_no_verdict(
    project: Project, first_run: dict[str, Any]
) -> None:
    del first_run
    folder = project.folder / "work/artifacts/RunReport"
    aside = folder.rename(folder.with_name("aside"))
    folder.write_text("no folder can be made here")
    try:
        done = project.overtile("run", "--set", 'data.colours={disc: "#332288"}')
    finally:
        folder.unlink()
        aside.rename(folder)
    assert done.returncode == 0
    assert "the report could not be written; the log says why" in done.stderr
    assert "Report:" not in done.stdout
    newest = project.json("runs")["runs"][-1]
    assert (newest["verdict"], newest["report"]) == ("unchanged", None)
