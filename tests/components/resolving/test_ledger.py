from __future__ import annotations

import shutil

from components.image_example_gen import spans
from components.image_example_gen.spans import Request
from components.resolving import ledger
from components.resolving.ledger import Ledger
from tests.components.resolving.conftest import RECIPE, History


def known(history: History, recipe: str = RECIPE) -> Ledger:
    return ledger.of(
        [one.mlmd_artifact for one in history.examples],
        [one.mlmd_artifact for one in history.blessings],
        recipe,
    )


def window(history: History, size: int) -> list[int]:
    return [one.properties["span"].int_value for one in known(history).window(size)]


def test_the_window_is_the_newest_spans(history: History) -> None:
    for number in (2, 3, 4):
        history.later(number)
    assert window(history, 3) == [2, 3, 4]
    assert window(history, 9) == [1, 2, 3, 4]


def test_a_refused_span_does_not_train_and_takes_no_place(history: History) -> None:
    history.later(2)
    history.later(3, accepted=False)
    assert window(history, 2) == [1, 2]


def test_a_mended_span_replaces_its_first_version(history: History) -> None:
    history.later(2)
    history.later(3, accepted=False)
    mended = history.later(3, fingerprint="mended")
    changed = history.later(2, fingerprint="changed")
    found = known(history)
    assert [one.id for one in found.window(2)] == [changed.id, mended.id]
    assert found.fingerprints == {1: "f", 2: "changed", 3: "mended"}


def test_a_refused_new_version_leaves_the_old_one(history: History) -> None:
    old = history.later(2)
    history.later(2, accepted=False, fingerprint="spoilt")
    assert [one.id for one in known(history).window(1)] == [old.id]


def test_spans_that_arrive_late_are_ordered_by_number(history: History) -> None:
    history.later(5)
    history.later(4)
    assert window(history, 1) == [5]


def test_what_was_judged_is_settled(history: History) -> None:
    history.later(2)
    history.later(3, accepted=False)
    frozen = history.examples[0].uri
    history.ingested(spans.TRAINS, 4, frozen=frozen, run="killed")
    found = known(history)
    # Span 4 was ingested by a run that ended before it was judged: asked for again.
    assert found.settled(0.5) == {1: "f", 2: "f", 3: "f"}
    # Under a lower limit span 3 gets another chance, under a higher one it has none.
    assert found.settled(0.4) == {1: "f", 2: "f"}
    assert found.settled(0.6) == {1: "f", 2: "f", 3: "f"}
    # What is repeated when nothing is new is the last that was judged, not the killed one.
    assert Request.from_json(found.last_request).spans[0].number == 3


def test_an_unjudged_first_run_counts_for_nothing(tmp_path) -> None:
    history = History(tmp_path)
    history.ingested(spans.EVALUATES, 1)
    history.ingested(spans.TRAINS, 1)
    found = known(history)
    assert (found.evaluation, found.settled(0), found.last_request) == (None, {}, "")


def test_records_of_other_settings_are_left_out(history: History) -> None:
    assert known(history, "another").evaluation is None


def test_records_that_are_gone_are_ingested_again(history: History) -> None:
    second = history.later(2)
    shutil.rmtree(second.uri)
    assert known(history).settled(0) == {1: "f"}


def test_without_its_evaluation_set_no_record_counts(history: History) -> None:
    # Records that were filtered by one evaluation set may hold images of another.
    history.later(2)
    shutil.rmtree(history.examples[0].uri)
    found = known(history)
    assert found.ingested == ()
    anew = [history.ingested(kind, 1, run="new") for kind in (spans.EVALUATES, spans.TRAINS)]
    history.judged(*anew)
    assert [one.id for one in known(history).window(9)] == [anew[1].id]


def test_a_span_is_held_against_the_accepted_one_before_it(history: History) -> None:
    third = history.later(3)
    history.later(4, accepted=False)
    found = known(history)
    assert found.before(5) == third.uri
    assert found.before(3) == history.examples[1].uri  # of span 1, the records that train
    assert found.before(1) == ""
