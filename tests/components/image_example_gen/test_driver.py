"""Which spans the driver has ingested; tests/e2e/test_spans.py runs it on ML Metadata."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from components.image_example_gen import spans
from components.image_example_gen.config import DataConfig, SpansConfig
from components.image_example_gen.driver import decide
from components.image_example_gen.spans import Request
from components.resolving import ledger
from tests.components.image_example_gen.conftest import data_of, make_pair
from tests.components.resolving.conftest import RECIPE, History


class Project:
    """A folder of spans, and what runs on it left."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "data").mkdir()
        self.history = History(root / "records")

    def data(self, **keys: Any) -> DataConfig:
        return data_of(self.root / "data", spans=SpansConfig(**keys))

    def arrives(self, number: int, whole: bool = True, seed: int = 0) -> None:
        folder = self.root / "data" / f"span-{number}"
        make_pair(folder, f"image{seed}", seed)
        if whole:
            (folder / "_COMPLETE").touch()

    def decide(self, **keys: Any) -> Request:
        examples = [one.mlmd_artifact for one in self.history.examples]
        blessings = [one.mlmd_artifact for one in self.history.blessings]
        return decide(self.data(**keys), ledger.of(examples, blessings, RECIPE))

    def run(self, request: Request, accepted: bool = True, judged: bool = True) -> None:
        """Leaves what a run that ingests this leaves."""
        run = f"run{len(self.history.examples)}"
        made = []
        if not request.frozen:
            first = request.spans[0]
            made.append(
                self.history.ingested(spans.EVALUATES, first.number, first.fingerprint, run=run)
            )
        for span in request.spans:
            made.append(
                self.history.ingested(
                    spans.TRAINS, span.number, span.fingerprint, request.frozen, run
                )
            )
        for one in made:
            one.set_string_custom_property(spans.REQUEST, request.to_json())
        if judged:
            self.history.judged(*made, accepted=accepted)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def numbers(request: Request) -> list[int]:
    return [span.number for span in request.spans]


def test_a_first_run_ingests_the_window_and_the_span_that_evaluates(project: Project) -> None:
    for number in (1, 2, 3, 4):
        project.arrives(number)
    request = project.decide(window=2)
    assert (numbers(request), request.frozen) == ([1, 3, 4], "")


def test_later_runs_ingest_what_is_new(project: Project) -> None:
    project.arrives(1)
    project.run(project.decide())
    project.arrives(2, whole=False)
    repeated = project.decide()
    assert numbers(repeated) == [1]  # the request of before, which the cache answers
    assert repeated.frozen == ""
    project.arrives(2)
    request = project.decide()
    assert numbers(request) == [2]
    assert request.frozen == project.history.examples[0].uri
    project.run(request)
    assert project.decide() == request


def test_a_span_whose_content_changed_is_ingested_anew(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        project.arrives(number)
    project.run(project.decide())
    project.arrives(2, seed=1)
    with caplog.at_level(logging.INFO, "overtile.progress"):
        assert numbers(project.decide()) == [2]
    assert "Changed since it was ingested, so ingested anew: span-2." in caplog.messages


def test_a_refused_span_is_not_ingested_again_unless_the_limit_falls(project: Project) -> None:
    project.arrives(1)
    first = project.decide()
    project.run(first)
    project.arrives(2)
    second = project.decide()
    project.run(second, accepted=False)
    assert project.decide() == second
    project.arrives(3)
    third = project.decide()
    assert numbers(third) == [3]
    project.run(third)
    assert numbers(project.decide(min_agreement=0.4)) == [2]


def test_what_a_killed_run_ingested_is_asked_for_again(project: Project) -> None:
    project.arrives(1)
    first = project.decide()
    project.run(first, judged=False)
    # The very same request, so that the cache answers if the records are whole.
    assert project.decide() == first
    project.run(first)
    project.arrives(2)
    project.run(project.decide(), judged=False)
    project.arrives(3)
    assert numbers(project.decide()) == [2, 3]


def test_a_span_that_was_removed_needs_no_reading(project: Project) -> None:
    import shutil

    for number in (1, 2):
        project.arrives(number)
    request = project.decide()
    project.run(request)
    shutil.rmtree(project.root / "data/span-1")
    shutil.rmtree(project.root / "data/span-2")
    assert project.decide() == request


def test_without_any_whole_span(project: Project) -> None:
    project.arrives(1, whole=False)
    with pytest.raises(InputError, match="span-1 waits for the file _COMPLETE"):
        project.decide()
