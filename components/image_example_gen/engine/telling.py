"""Says how many images are done, wherever the workers are that read them."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from components.places import is_remote, place

if TYPE_CHECKING:
    from components.image_example_gen.shards import Shard

_progress = logging.getLogger("overtile.progress")
_EVERY_SECONDS = 1.0
# A look at files elsewhere is a request.
_EVERY_SECONDS_REMOTE = 10.0

_lock = threading.Lock()
_done = 0


def more(images: int = 1) -> None:
    """Counts images; of use in the process that tells, which helpers tell of theirs."""
    global _done
    with _lock:
        _done += images


@contextlib.contextmanager
def telling(shards: Sequence[Shard]) -> Iterator[None]:
    """Tells once a second of the images of these shards, until they are done.

    Workers of Beam's, and other machines, cannot be heard: of theirs the files are counted that are
    there.

    Args:
      shards: that are being written.
    """
    global _done
    with _lock:
        _done = 0
    total = sum(len(shard.samples) for shard in shards)
    remote = bool(shards) and is_remote(place(shards[0].path))
    ended = threading.Event()

    def tell() -> None:
        waiting = list(shards)
        last = 0
        while not ended.wait(_EVERY_SECONDS_REMOTE if remote else _EVERY_SECONDS):
            # A filesystem that does not answer now is the workers' to complain of.
            with contextlib.suppress(Exception):
                waiting = [shard for shard in waiting if not place(shard.path).is_file()]
            written = total - sum(len(shard.samples) for shard in waiting)
            if max(_done, written) > last:
                last = max(_done, written)
                _tell(last, total)

    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
        _tell(total, total)
    finally:
        ended.set()
        thread.join()


def _tell(done: int, total: int) -> None:
    _progress.info("", extra={"done": done, "total": total, "what": "image"})
