from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.errors import InputError
from components.image_example_gen import spans
from components.image_example_gen.config import DataConfig, SpansConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.spans import Request, Span
from tests.components.image_example_gen.conftest import data_of, make_pair


def of_spans(root: Path, **keys: Any) -> DataConfig:
    return data_of(root, spans=SpansConfig(**keys))


def make_span(root: Path, name: str, whole: bool = True) -> None:
    make_pair(root / name, "a", seed=len(name))
    if whole:
        (root / name / "_COMPLETE").touch()


def test_only_whole_spans_are_found_and_by_number(tmp_path: Path) -> None:
    for name in ("span-10", "span-2", "span-003"):
        make_span(tmp_path, name)
    make_span(tmp_path, "span-11", whole=False)
    make_span(tmp_path, "span-x")
    (tmp_path / "span-12").write_text("a file, not a folder")
    found = spans.find(of_spans(tmp_path))
    assert [(span.number, span.name) for span in found.whole] == [
        (2, "span-2"),
        (3, "span-003"),
        (10, "span-10"),
    ]
    assert found.waiting == ["span-11"]


def test_names_and_marker_can_be_chosen(tmp_path: Path) -> None:
    make_span(tmp_path, "2024w07.export", whole=False)
    data = of_spans(tmp_path, pattern="2024w{SPAN}.export", marker="done.txt")
    assert spans.find(data).waiting == ["2024w07.export"]
    (tmp_path / "2024w07.export/done.txt").touch()
    assert spans.first(data) == Span(7, "2024w07.export")


def test_two_spans_of_one_number(tmp_path: Path) -> None:
    make_span(tmp_path, "span-1")
    make_span(tmp_path, "span-01")
    with pytest.raises(InputError, match="two spans of number 1, span-01 and span-1"):
        spans.find(of_spans(tmp_path))


def test_no_whole_span(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"has no folder span-\{SPAN\}"):
        spans.first(of_spans(tmp_path))
    make_span(tmp_path, "span-1", whole=False)
    with pytest.raises(InputError, match="span-1 waits for the file _COMPLETE"):
        spans.first(of_spans(tmp_path))


@pytest.mark.parametrize("pattern", ["span", "{SPAN}-{SPAN}", "spans/{SPAN}"])
def test_a_pattern_has_one_number(pattern: str) -> None:
    with pytest.raises(ValidationError, match="once"):
        SpansConfig(pattern=pattern)


def test_what_a_run_has_to_know() -> None:
    whole = [Span(number, f"span-{number}") for number in (1, 2, 3, 4)]
    # Without an evaluation set the first is needed too, though it is older than the window.
    assert [one.number for one in spans.needed(whole, 2, frozen=False)] == [1, 3, 4]
    assert [one.number for one in spans.needed(whole, 2, frozen=True)] == [3, 4]
    assert [one.number for one in spans.needed(whole, 9, frozen=False)] == [1, 2, 3, 4]
    assert spans.needed([], 2, frozen=False) == []


def test_what_is_new_or_changed_is_pending() -> None:
    looked_at = [Span(1, "span-1", "a"), Span(2, "span-2", "b"), Span(3, "span-3", "c")]
    assert spans.pending(looked_at, {1: "a", 2: "other"}) == looked_at[1:]


def test_the_state_changes_with_content_and_not_with_the_marker(tmp_path: Path) -> None:
    make_span(tmp_path, "span-1")
    data = of_spans(tmp_path)
    before = spans.state(data)
    assert list(before) == ["span-1"]
    marker = tmp_path / "span-1/_COMPLETE"
    os.utime(marker, ns=(0, 0))
    assert spans.state(data) == before
    make_pair(tmp_path / "span-1", "b", seed=7)
    assert spans.state(data) != before


def test_a_span_without_images_is_named(tmp_path: Path) -> None:
    (tmp_path / "span-1").mkdir()
    (tmp_path / "span-1/_COMPLETE").touch()
    data = of_spans(tmp_path)
    with pytest.raises(InputError, match=r"^span-1: data\.images: there is no folder"):
        spans.look(data, spans.first(data))
    assert "no folder" in spans.state(data)["span-1"]


def test_a_request_survives_json() -> None:
    request = Request((Span(1, "span-1", "a"),), "/records/1/span-1-evaluate")
    assert Request.from_json(request.to_json()) == request


def test_the_recipe_knows_what_decides_the_records(tmp_path: Path) -> None:
    data, ingest = of_spans(tmp_path), IngestConfig()
    same = [
        spans.recipe(data, ingest),
        spans.recipe(of_spans(tmp_path, window=2, min_agreement=0.6), ingest),
        spans.recipe(data.model_copy(update={"colours": {"cell": "#ff0000"}}), ingest),
        spans.recipe(data, IngestConfig(bad_input_limit=0.5)),
    ]
    assert len(set(same)) == 1
    assert spans.recipe(data, IngestConfig(tile=64)) != same[0]
    assert spans.recipe(data_of(tmp_path, ignore=(7,)), ingest) != same[0]


def listed(root: Path, number: int, seeds: range, whole: bool = True) -> None:
    """Writes a manifest of images below `root`, and what says that it is whole."""
    rows = []
    for seed in seeds:
        make_pair(root, f"{seed}", seed)
        rows.append(f"images/{seed}.png,masks/{seed}.png\n")
    (root / f"span-{number}.csv").write_text("image,mask\n" + "".join(rows))
    if whole:
        (root / f"span-{number}.csv_COMPLETE").touch()


def test_a_span_may_be_a_manifest(tmp_path: Path) -> None:
    listed(tmp_path, 1, range(4))
    listed(tmp_path, 2, range(4, 6))
    listed(tmp_path, 3, range(6, 7), whole=False)
    section = spans.recognise(tmp_path)
    assert section == SpansConfig(pattern="span-{SPAN}.csv")
    data = data_of(tmp_path, spans=section)
    found = spans.find(data)
    assert found.whole == [
        spans.Span(1, "span-1", manifest="span-1.csv"),
        spans.Span(2, "span-2", manifest="span-2.csv"),
    ]
    assert found.waiting == ["span-3.csv"]
    one = spans.within(data, found.whole[1])
    assert (one.path, one.format, one.manifest) == (tmp_path, "manifest", "span-2.csv")
    # A later manifest is no change of an earlier one; another image of its own is.
    before = spans.state(data)
    listed(tmp_path, 3, range(6, 7))
    assert spans.state(data).items() > before.items()
    make_pair(tmp_path, "4", 99, size=(50, 60))
    assert spans.state(data)["span-1"] == before["span-1"]
    assert spans.state(data)["span-2"] != before["span-2"]


def test_a_manifest_that_nobody_has_finished_is_waited_for(tmp_path: Path) -> None:
    listed(tmp_path, 4, range(1), whole=False)
    data = data_of(tmp_path, spans=SpansConfig(pattern="span-{SPAN}.csv"))
    with pytest.raises(InputError, match=r"span-4\.csv waits for the file span-4\.csv_COMPLETE"):
        spans.first(data)
    (tmp_path / "span-4.csv").unlink()
    with pytest.raises(InputError, match=r"list the first labelled images in span-1\.csv and make"):
        spans.first(data)
