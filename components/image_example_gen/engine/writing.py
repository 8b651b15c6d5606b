"""What Beam runs: one element is files, so pixels never pass between stages.

Beam keeps what passes between two stages in memory (FnApiRunner) or ships it over the network.
"""

from __future__ import annotations

import pickle
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import apache_beam as beam

from components.image_example_gen.engine.crew import ALONE, Crew
from components.image_example_gen.engine.helpers import working
from components.image_example_gen.shards import Settings, Shard


def packed(work: Sequence[Shard]) -> bytes:
    """Files as an element of `WriteShards`; Beam itself would pack them in ten times as long."""
    return zlib.compress(pickle.dumps(list(work)), 1)


class WriteShards(beam.DoFn):
    """Writes shards, as `shards.write` does."""

    def __init__(self, settings: Settings, crew: Crew = ALONE):
        self._settings, self._crew = settings, crew

    def process(self, element: bytes) -> list[None]:
        """Writes the files that `packed` took; Beam calls it on a worker, and wants a list."""
        left: deque[Shard] = deque(pickle.loads(zlib.decompress(element)))
        writers = working(self._crew, self._settings, len(left))
        with ThreadPoolExecutor(len(writers)) as pool:
            try:
                for task in [pool.submit(_write_all, left, write) for write in writers]:
                    task.result()
            finally:
                # Whoever interrupts waits for the files that are begun, and for no more.
                left.clear()
        return []


def _write_all(left: deque[Shard], write: Callable[[Shard], None]) -> None:
    """Takes one file after another, until none is left."""
    while True:
        try:
            shard = left.popleft()
        except IndexError:
            return
        try:
            write(shard)
        except BaseException:
            # The files that are not begun would be written for nothing.
            left.clear()
            raise
