import errno
from pathlib import Path

import pytest

from components.errors import InputError, SetAside
from pipeline import failures


def explain(error: BaseException) -> failures.Failure:
    return failures.explain(error, "Trainer", Path("/"), "/w/a.log")


def wrapped(cause: BaseException) -> BaseException:
    """As TFX and Beam wrap: the cause is somewhere in the chain."""
    try:
        try:
            raise cause
        except BaseException as inner:
            raise RuntimeError("execution 7 failed") from inner
    except RuntimeError as outer:
        return outer


def test_bad_input_is_found_however_deep() -> None:
    bad = [SetAside("a.png", "empty file")]
    failure = explain(wrapped(InputError("no images are left to train on", bad)))
    assert failure == failures.Failure("No images are left to train on.", 2, bad)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device", "/w/x"),
        OSError(errno.EDQUOT, "Disk quota exceeded", "/w/x"),
        RuntimeError("/w/ckpt-1.tempstate; No space left on device [Op:SaveV2]"),
        RuntimeError("database or disk is full"),
    ],
)
def test_a_full_disk_is_told_as_one(error: Exception) -> None:
    failure = explain(wrapped(error))
    assert failure.sentence.startswith("The disk is full (")
    assert failure.exit_code == 1


def test_out_of_memory_says_what_to_lower() -> None:
    assert "lower train.batch_size" in explain(MemoryError()).sentence


def test_stopped_by_hand() -> None:
    assert explain(KeyboardInterrupt()).exit_code == 130


def test_anything_else_names_component_cause_and_log() -> None:
    error = ValueError("Graph execution error:\n\nDetected at node 'x'\n\nshapes do not match.\n")
    assert explain(error) == failures.Failure(
        "Trainer failed: shapes do not match; the log is /w/a.log.", 1, []
    )


def test_words_of_an_exception() -> None:
    assert failures.describe(KeyError("mask")) == "KeyError 'mask'"
    assert failures.describe(ValueError()) == "ValueError"
    assert failures.describe(PermissionError(13, "Permission denied", "/x")) == (
        "Permission denied: /x"
    )
    assert len(failures.describe(ValueError("a" * 1000))) == 300


def test_sentences_keep_names_small() -> None:
    assert failures.sentence("data.path: /x is absent") == "data.path: /x is absent."
    assert failures.sentence("none is left!") == "None is left!"
