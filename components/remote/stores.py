"""Beam's filesystems, made ready for this process."""

from __future__ import annotations

import functools
import warnings
from typing import Any


@functools.cache
def import_beam() -> None:
    """Imports Beam, in silence."""
    # Late: the command line must answer at once, and few data sets are remote.
    with warnings.catch_warnings():
        # Google's libraries say of each other and of Python how long they will go together.
        warnings.simplefilter("ignore", FutureWarning)
        import apache_beam  # noqa: F401 - its modules import each other in a circle


def filesystems() -> Any:
    """The class whose methods take URLs."""
    import_beam()
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    # A worker has the pipeline's by now; without any, some filesystems cannot be made.
    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))
    return FileSystems
