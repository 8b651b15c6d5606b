"""Sends what libraries say to a file, so that the terminal shows only what is ours."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO


class Terminal(NamedTuple):
    """The streams that standard output and standard error were before."""

    out: TextIO
    err: TextIO


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[Terminal]:
    """Sends file descriptors 1 and 2 to a file; TensorFlow's C++ code knows no other streams.

    Import noisy libraries inside: they choose their streams and levels when they are imported.

    Args:
      log: appended to; its folder is made if it is missing.

    Yields:
      The way to the terminal.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Of C++ only warnings; Python's own warnings and logging come on standard error.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(log.open("ab", buffering=0))
        streams = []
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            saved = os.dup(number)
            stack.callback(_restore, saved, number, stream)
            os.dup2(file.fileno(), number)
            encoding = stream.encoding or "utf-8"
            streams.append(
                stack.enter_context(
                    open(os.dup(saved), "w", encoding=encoding, errors="replace", buffering=1)
                )
            )
        yield Terminal(*streams)


def _restore(saved: int, number: int, stream: TextIO) -> None:
    with contextlib.suppress(OSError):  # the log's disk may be full
        stream.flush()
    # C's own buffers too, or their text would come out on the terminal at the end.
    ctypes.CDLL(None).fflush(None)
    os.dup2(saved, number)
    os.close(saved)
