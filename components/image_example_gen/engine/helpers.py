"""Processes of this machine that write records beside the one that runs the pipeline.

Python runs one thread at a time, and threads that read images wait for each other: two of them
are 1.4 times as fast as one, two processes twice. A helper imports what it needs and nothing more,
so it works after some 0.7 seconds; Beam's own processes import Beam and TFX, which takes eight
times as long.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, Pipe

from components.image_example_gen import shards
from components.image_example_gen.engine.crew import Crew
from components.image_example_gen.engine.telling import one_more
from components.image_example_gen.shards import Settings, Shard
from components.places import is_remote, place, use

# It finds what its parent finds, and nothing that lies in the folder where someone called it.
_START = """
import sys
sys.path[:] = {path!r}
from components.image_example_gen.engine.helpers import serve
serve({descriptor})
"""
_DONE = "done"


class Helper:
    """A process that writes shards, one at a time."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        with theirs:
            start = _START.format(path=sys.path, descriptor=theirs.fileno())
            command = [sys.executable, "-I", "-c", start]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])

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
            while (said := self._pipe.recv()) is None:
                one_more()
        except (EOFError, OSError) as error:
            raise RuntimeError(
                f"a process that wrote records ended by itself (status {self._process.wait()}); "
                "where memory is short, set beam.workers lower"
            ) from error
        if isinstance(said, Exception):
            raise said

    def end(self, at_once: bool = False) -> None:
        """Ends the process, and waits for that; `at_once` even if it is at work."""
        if at_once:
            self._process.kill()
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
    done = False
    try:
        _ready.extend(Helper() for _ in range(others))
        yield
        done = True
    finally:
        while _ready:
            _ready.pop().end(at_once=not done)


def working(crew: Crew, settings: Settings) -> list[Callable[[Shard], None]]:
    """What writes shards, a worker each, all at once; this process is the first of them."""

    def here(shard: Shard) -> None:
        shards.write(shard, settings, one_more)

    if crew.mode == "threads":
        return [here] * crew.workers

    def by(helper: Helper) -> Callable[[Shard], None]:
        return lambda shard: helper.write(shard, settings, crew.options)

    return [here, *map(by, _ready)]


def serve(descriptor: int) -> None:
    """What a helper does until nobody is there who wants more.

    Args:
      descriptor: of its end of the pipe.
    """
    import cv2

    # Whoever interrupts the run interrupts all processes at once; the parent says so.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Each core has a worker already.
    cv2.setNumThreads(1)
    with Connection(descriptor) as parent:
        try:
            while True:
                shard, settings, options = parent.recv()
                if options:
                    use(options)  # which imports Beam
                parent.send(_outcome(shard, settings, parent))
        except (EOFError, BrokenPipeError, ConnectionResetError):
            os._exit(0)  # at once: there is nothing to tidy up


def _outcome(shard: Shard, settings: Settings, parent: Connection) -> Exception | str:
    try:
        shards.write(shard, settings, lambda: parent.send(None))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return error
    return _DONE
