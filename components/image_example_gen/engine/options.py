"""Options of ours among Beam's, and what follows of them."""

from __future__ import annotations

from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from components.image_example_gen.engine.crew import Crew, fastest


class WorkerOptions(PipelineOptions):
    """`pipeline.engines` sets them."""

    @classmethod
    def _add_argparse_args(cls, parser: Any) -> None:
        parser.add_argument("--shared_folder", help="folder that this machine and workers see")
        parser.add_argument("--image_workers", type=int, help="on this machine")
        parser.add_argument("--image_mode", help="auto, threads or processes, on this machine")


def crew(arguments: list[str], drawn: bool, images: int) -> Crew | None:
    """Chooses between threads and processes of this machine.

    Args:
      arguments: Beam's, with ours among them.
      drawn: whether labels are drawn from outlines.
      images: how many there are.

    Returns:
      None where Beam has workers of its own.
    """
    options = PipelineOptions(arguments).view_as(WorkerOptions)
    if not options.image_workers:
        return None
    if options.image_mode == "auto":
        chosen = fastest(drawn, images, options.image_workers)
    else:
        chosen = Crew(max(1, min(options.image_workers, images)), options.image_mode)
    return chosen._replace(options=tuple(arguments))
