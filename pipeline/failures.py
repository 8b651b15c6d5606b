"""Exceptions -> one sentence that says what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from components.errors import InputError, SetAside

STOPPED = 130  # what shells give for Ctrl-C

# What SQLite, TensorFlow and the C library say of a full disk; not all of them say it by errno.
_DISK_FULL = ("no space left on device", "disk is full", "disk quota exceeded")
_MOST_WORDS = 300


class Failure(NamedTuple):
    """What is told of an exception."""

    sentence: str
    exit_code: int
    set_aside: list[SetAside]


def explain(error: BaseException, component: str, workspace: Path, log: str) -> Failure:
    """What a person is told.

    Args:
      error: what ended the run; its causes are looked at too, since Beam and TFX wrap.
      component: that was running.
      workspace: of the run.
      log: the file with the whole story.
    """
    causes = list(_chain(error))
    if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
        return Failure("Stopped; run again to go on.", STOPPED, [])
    for cause in causes:
        if isinstance(cause, InputError):
            return Failure(sentence(str(cause)), 2, cause.set_aside)
    if any(map(_is_disk_full, causes)):
        free = shutil.disk_usage(workspace).free
        return Failure(
            f"The disk is full ({format_bytes(free)} left in {workspace}): free some space and "
            "run again to go on.",
            1,
            [],
        )
    if any(map(_is_out_of_memory, causes)):
        return Failure(
            f"{component} ran out of memory: lower train.batch_size, train.crop or ingest.tile; "
            f"the log is {log}.",
            1,
            [],
        )
    return Failure(f"{component} failed: {describe(error)}; the log is {log}.", 1, [])


def describe(error: BaseException) -> str:
    """The words of an exception that tell most, without a full stop."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    # TensorFlow begins with "Graph execution error:" and a stack, and says what is wrong last.
    words = (lines[-1] if lines[0].endswith(":") else lines[0]).rstrip(".")
    if len(words) > _MOST_WORDS:
        words = words[: _MOST_WORDS - 3] + "..."
    if isinstance(error, KeyError | AssertionError | NotImplementedError):
        words = f"{type(error).__name__} {words}"
    return words


def sentence(text: str) -> str:
    """With a capital and a full stop."""
    text = text.strip()
    # A name of the configuration or of a file keeps its small letter.
    first = text.split(" ", 1)[0]
    if first.isalpha() and first.islower():
        text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def format_bytes(count: float) -> str:
    """Bytes for people, as disks are labelled.

    >>> format_bytes(700), format_bytes(12_300_000), format_bytes(4.2e9)
    ('700 B', '12 MB', '4.2 GB')
    """
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 0), ("GB", 1)):
        if count < 999.5:
            return f"{count:.{digits}f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(words in str(error).lower() for words in _DISK_FULL)


def _is_out_of_memory(error: BaseException) -> bool:
    # TensorFlow's error by name: its class would have to be imported.
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
