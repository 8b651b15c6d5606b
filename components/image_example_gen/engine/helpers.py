"""Processes of this machine that write records beside the one that runs the pipeline.

Python runs one thread at a time, and threads that read images wait for each other: two of them
are 1.2 times as fast as one, two processes twice. A helper imports what it needs and nothing more,
so it works after some 0.5 seconds; Beam's own processes import Beam and TFX, which takes ten
times as long.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe
from typing import NamedTuple

from components.image_example_gen import shards
from components.image_example_gen.engine.crew import Crew
from components.image_example_gen.engine.telling import more
from components.image_example_gen.shards import Settings, Shard
from components.places import is_remote, place, use

# Whoever interrupts the run interrupts all processes at once, and the parent says so. A helper
# finds what its parent finds, and nothing that lies in the folder where someone called it.
_START = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = {path!r}
from components.image_example_gen.engine.helpers import serve
serve({descriptor}, {parent})
"""
# Each core has a worker already.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
_DONE = "done"
# More are started only once it is known that there are as many files to write.
_AT_FIRST = 15


class _Failed(NamedTuple):
    """What went wrong in a helper.

    Attributes:
      error: it.
      at: where, as a traceback says it.
    """

    error: Exception
    at: str


class _ThereError(Exception):
    """The traceback of a helper, as the cause of the error that its parent raises."""


class Helper:
    """A process that writes shards, one at a time."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            start = _START.format(path=sys.path, descriptor=theirs.fileno(), parent=os.getpid())
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", start],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ONE_THREAD},
            )

    def write(self, shard: Shard, settings: Settings, options: Sequence[str]) -> None:
        """As `shards.write`, in the process; counts images as they are done.

        Args:
          shard: as there.
          settings: as there.
          options: Beam's, for files that are elsewhere.

        Raises:
          RuntimeError: the process ended.
          Exception: as `shards.write`.
        """
        elsewhere = is_remote(place(shard.path)) or is_remote(place(settings.data.path or ""))
        try:
            self._pipe.send((shard, settings, options if elsewhere else ()))
            while isinstance(said := self._pipe.recv(), int):
                more(said)
        except (EOFError, OSError) as error:
            status = self._process.wait()
            hint = "; where memory is short, set beam.workers lower" if status == -9 else ""
            raise RuntimeError(
                f"a process that wrote records ended by itself (status {status}){hint}"
            ) from error
        if isinstance(said, _Failed):
            raise said.error from _ThereError(f"in a process that wrote records:\n{said.at}")

    def kill(self) -> None:
        """Ends the process even if it is at work."""
        self._process.kill()

    def end(self) -> None:
        """Ends the process, and waits for that."""
        self._pipe.close()
        self._process.wait()


_ready: list[Helper] = []


@contextlib.contextmanager
def standing_by(crew: Crew | None) -> Iterator[None]:
    """Starts a crew's processes, since they may as well start while there is other work.

    Args:
      crew: that `working` is called with within the block, at whose end the processes end.
    """
    others = crew.workers - 1 if crew and crew.mode == "processes" else 0
    try:
        _ready.extend(Helper() for _ in range(min(others, _AT_FIRST)))
        yield
    except BaseException:
        for helper in _ready:
            helper.kill()
        raise
    finally:
        while _ready:
            _ready.pop().end()


def working(crew: Crew, settings: Settings, files: int) -> list[Callable[[Shard], None]]:
    """What writes shards, a worker each, all at once; this process is the first of them.

    Args:
      crew: of the block that it is called in, `standing_by`.
      settings: how shards are written.
      files: how many shards there are; no worker is without one.
    """

    def here(shard: Shard) -> None:
        shards.write(shard, settings, more)

    workers = max(1, min(crew.workers, files))
    if crew.mode == "threads":
        return [here] * workers

    def by(helper: Helper) -> Callable[[Shard], None]:
        return lambda shard: helper.write(shard, settings, crew.options)

    _ready.extend(Helper() for _ in range(workers - 1 - len(_ready)))
    return [here, *map(by, _ready[: workers - 1])]


def serve(descriptor: int, parent: int) -> None:
    """What a helper does until nobody is there who wants more.

    Args:
      descriptor: of its end of the pipe.
      parent: the process that started it.
    """
    # The system ends it with its parent, since it would notice by itself only after an image.
    ctypes.CDLL(None).prctl(_SIGNAL_OF_PARENTS_DEATH, signal.SIGKILL)
    if os.getppid() != parent:
        return
    import cv2

    cv2.setNumThreads(1)
    used: Sequence[str] = ()
    with Connection(descriptor) as pipe:
        while True:
            try:
                shard, settings, options = pipe.recv()
            except (EOFError, OSError):
                os._exit(0)  # at once: there is nothing to tidy up
            if options and options != used:  # clients last as long as the options
                use(options)  # which imports Beam
                used = options
            pipe.send(_outcome(shard, settings, pipe))


_SIGNAL_OF_PARENTS_DEATH = 1  # PR_SET_PDEATHSIG of linux/prctl.h


def _outcome(shard: Shard, settings: Settings, pipe: Connection) -> _Failed | str:
    untold, told_at = 0, time.monotonic()

    def tell() -> None:
        nonlocal untold, told_at
        untold += 1
        # Each time wakes the parent, which is at work itself.
        if time.monotonic() - told_at > _TELL_SECONDS:
            pipe.send(untold)
            untold, told_at = 0, time.monotonic()

    try:
        shards.write(shard, settings, tell)
    except Exception as error:
        return _Failed(_sendable(error), traceback.format_exc())
    pipe.send(untold)
    return _DONE


_TELL_SECONDS = 0.3


def _sendable(error: Exception) -> Exception:
    """The error, or one that says the same where another process could not make it anew."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
