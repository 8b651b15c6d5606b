"""The embedded server in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from serving.announcement import Announcement
from serving.errors import Code, ServingError

_PAUSE = 0.05


@contextlib.contextmanager
def started(
    name: str,
    models: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
    patience: float = 300.0,
) -> Iterator[Announcement]:
    """Serves a model on free ports of this machine while the context lasts.

    Args:
      name: of the model.
      models: folder of its versions.
      options: further ones of `python -m serving`.
      environment: variables of its process; by default those of this one.
      log: file for what it says; by default nothing is kept.
      patience: seconds that it may take to load.

    Yields:
      Where it answers. It ends with this process too, should that be killed.

    Raises:
      ServingError: it did not start, and why.
    """
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        announce = Path(folder, "announce.json")
        arguments = [sys.executable, "-m", "serving", "--name", name, "--models", str(models)]
        arguments += ["--grpc-port", "0", "--rest-port", "0", "--announce", str(announce)]
        arguments += ["--parent", str(os.getpid()), *options]
        errors = Path(folder, "errors")
        with open(log or os.devnull, "ab") as out, errors.open("wb") as err:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
            )
        try:
            until = time.monotonic() + patience
            while not announce.exists():
                if process.poll() is not None:
                    told = errors.read_text(errors="replace")
                    raise ServingError(Code.UNAVAILABLE, _last_words(process.returncode, told))
                if time.monotonic() > until:
                    raise ServingError(
                        Code.DEADLINE_EXCEEDED,
                        f"The server of {models} did not answer in {patience:.0f} s.",
                    )
                time.sleep(_PAUSE)
            yield Announcement.read(announce)
        finally:
            _end(process)


def _last_words(code: int, told: str) -> str:
    """Why a server ended before it answered: its own sentence, unless something killed it."""
    if code < 0:
        return f"The server was killed by {signal.Signals(-code).name} while it loaded."
    said = [line for line in told.splitlines() if line.strip()]
    return said[-1] if said else "The server ended as it started."


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
