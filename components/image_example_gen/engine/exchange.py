"""Where Beam's workers write, if that is not where the records shall be.

A cluster's workers do not see this machine's disk. They write to a folder that all see (on an
object store, a network disk), and when they are done its files are brought here.
"""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from apache_beam.options.pipeline_options import PipelineOptions

from components.image_example_gen.engine.options import WorkerOptions
from components.places import files_below, is_remote, place


@contextlib.contextmanager
def exchange(options: PipelineOptions, uris: Sequence[str]) -> Iterator[dict[str, str]]:
    """Gives the folders that workers write to, and at the end brings what is in them.

    Args:
      options: of the Beam pipeline.
      uris: the folders where it shall be.

    Yields:
      The folder to write to in place of each; without a shared folder they are the same.
    """
    shared = options.view_as(WorkerOptions).shared_folder
    if not shared:
        yield {uri: uri for uri in uris}
        return
    top = place(shared) / f"overtile-{uuid.uuid4().hex}"
    folders = {uri: top / str(number) for number, uri in enumerate(uris)}
    try:
        yield {uri: str(folder) for uri, folder in folders.items()}
        for uri, folder in folders.items():
            for file in files_below(folder):
                _copy(file, place(uri) / file.relative_to(folder).as_posix())
    finally:
        # Also of a run that failed; what cannot be removed must not hide why.
        with contextlib.suppress(OSError):
            _remove(top)


def _copy(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with file.open("rb") as source, target.open("wb") as copy:
        shutil.copyfileobj(source, copy, _BLOCK)


_BLOCK = 1 << 20


def _remove(folder: Path) -> None:
    if not is_remote(folder):
        shutil.rmtree(folder, ignore_errors=True)
        return
    for file in files_below(folder):
        file.unlink()
