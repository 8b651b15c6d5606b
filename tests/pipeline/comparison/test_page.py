from __future__ import annotations

from pathlib import Path

import pytest

from components.errors import InputError
from pipeline.comparison import page
from tests.components.run_report.parsing import Page
from tests.pipeline.comparison.conftest import Make


@pytest.fixture(scope="module")
def text(make_comparison: Make) -> str:
    return page.render(make_comparison())


def test_numbers_are_those_of_the_comparison(text: str, make_comparison: Make) -> None:
    told, found = make_comparison(), Page(text)
    cells = found.all("data", class_="iou")
    assert [cell.attributes["data-model"] for cell in cells] == [
        entry.name for entry in told.entries
    ]
    assert [float(cell.attributes["value"]) for cell in cells] == pytest.approx(
        [entry.mean_iou for entry in told.entries]
    )
    of_classes = [
        float(cell.attributes["value"]) for cell in found.all("data", data_metric="iou/cell")
    ]
    assert of_classes == pytest.approx([e.measurement.metrics["iou/cell"] for e in told.entries])
    rows = [" ".join(row.text.split()) for row in found.all("tr")]
    assert any(row.startswith("unet") and "7 768 962 48.3 G" in row for row in rows), rows[:3]


def test_each_picture_is_there_once(text: str) -> None:
    found = Page(text)
    # Five images of which four are shown: a label and three predictions each; and 12 channels of
    # two models.
    assert len(found.all("article")) == 4
    assert len(found.all("img")) == 4 * 4 + 2 * 12
    assert text.count("--photograph:url") == 4


def test_it_needs_nothing_else(text: str) -> None:
    found = Page(text)
    for tag in ("script", "iframe", "object", "embed"):
        assert not found.all(tag)
    assert "http" not in text.replace("http-equiv", "")
    assert len(text) < 8_000_000


def test_names_are_escaped(make_comparison: Make) -> None:
    told = make_comparison(
        shifts={"<b>bold</b>": [1, 1], "a&b": [2, 2]}, data="<script>x</script>", command=["'<i>"]
    )
    text = page.render(told)
    assert "<b>bold" not in text
    assert "<script" not in text
    assert "<i>" not in text.split("<main>")[1].split('class="wrap">')[1].split("</pre>")[0]


def test_a_single_model_beside_a_classical_one(make_comparison: Make) -> None:
    found = Page(page.render(make_comparison(shifts={"net": [1]}, settings=[])))
    assert found.text("h1") == "net"
    assert not found.all("section", id="settings")


def test_it_is_written_whole_or_not_at_all(make_comparison: Make, tmp_path: Path) -> None:
    told = make_comparison(classical=False)
    page.write(told, tmp_path / "new" / "page.html")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        page.write(told, tmp_path / "file" / "page.html")
