"""Who writes records on this machine: threads, or processes, whichever is faster."""

from __future__ import annotations

from typing import Literal, NamedTuple

# Formats whose labels are drawn from outlines, much of it in Python.
DRAWN = frozenset(("coco", "labelme", "label_studio", "cvat"))


class Cost(NamedTuple):
    """Seconds that an image takes.

    Attributes:
      alone: of a processor.
      shared: at the least, however many threads take turns.
    """

    alone: float
    shared: float


# Measured on two cores: with 512 x 512 JPEG images and their masks; and with 600 LabelMe images of
# that size and 40 polygons each.
_MASKS, _OUTLINES = Cost(0.0045, 0.0038), Cost(0.022, 0.013)
# Of a processor, until a process has started; the first of a crew runs already.
_START = 0.5


class Crew(NamedTuple):
    """Who writes records on this machine.

    Attributes:
      workers: how many.
      mode: threads of one process, or processes.
      options: Beam's, for files that are elsewhere.
    """

    workers: int
    mode: Literal["threads", "processes"]
    options: tuple[str, ...] = ()


ALONE = Crew(1, "threads")


def fastest(drawn: bool, images: int, workers: int) -> Crew:
    """The fastest crew, by what was measured.

    Args:
      drawn: whether labels are drawn from outlines.
      images: how many there are.
      workers: how many there may be, each with a core of its own.
    """
    cost = _OUTLINES if drawn else _MASKS
    # No more processes than have as much to do as starting one takes.
    enough = min(workers, 1 + int(images * cost.alone / _START))
    threads = images * max(cost.shared, cost.alone / workers)
    processes = (_START * (enough - 1) + images * cost.alone) / enough
    return Crew(enough, "processes") if processes < threads else Crew(workers, "threads")
