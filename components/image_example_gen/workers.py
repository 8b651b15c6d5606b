"""How images are spread over workers: options of ours among Beam's, and what follows of them."""

from __future__ import annotations

from typing import Any, Literal

from apache_beam.options.pipeline_options import PipelineOptions

# Formats whose labels are drawn from outlines, much of it in Python, which one thread at a time
# may run; files of masks are decoded outside of it.
DRAWN = frozenset(("coco", "labelme", "label_studio", "cvat"))
# Seconds of a processor, measured with 600 LabelMe images of 512 x 512 and 40 polygons each: all
# that an image takes, and of that what only one thread at a time can do; and what it takes until
# processes have started, each by itself.
_IMAGE, _DRAWING, _START = 0.022, 0.013, 5.5


class WorkerOptions(PipelineOptions):
    """`pipeline.engines` sets them."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument("--shared_folder", help="folder that this machine and workers see")
        parser.add_argument("--image_workers", type=int, help="on this machine")
        parser.add_argument("--image_mode", help="auto, threads or processes, on this machine")


def arrange(arguments: list[str], drawn: bool, images: int) -> tuple[list[str], int]:
    """Chooses between threads and processes of this machine.

    Args:
      arguments: Beam's, with ours among them.
      drawn: whether labels are drawn from outlines.
      images: how many there are.

    Returns:
      Beam's arguments, and how many threads share one worker; 0 where Beam has workers of its own.
    """
    options = PipelineOptions(arguments).view_as(WorkerOptions)
    if not options.image_workers:
        return arguments, 0
    mode = (
        options.image_mode
        if options.image_mode != "auto"
        else fastest(drawn, images, options.image_workers)
    )
    if mode == "threads":
        return arguments, options.image_workers
    return [
        *arguments,
        "--direct_running_mode=multi_processing",
        f"--direct_num_workers={options.image_workers}",
    ], 0


def fastest(drawn: bool, images: int, workers: int) -> Literal["threads", "processes"]:
    """The faster of the two, by what was measured.

    Args:
      drawn: whether labels are drawn from outlines; else threads hardly wait for each other.
      images: how many there are.
      workers: threads or processes, each with a core of its own.
    """
    threads = images * max(_DRAWING, _IMAGE / workers)
    processes = _START + images * _IMAGE / workers
    return "processes" if drawn and processes < threads else "threads"
