"""Where files are: on this machine, or on any filesystem that Apache Beam knows.

A place of this machine is a `pathlib.Path`. One elsewhere (`gs://bucket/folder`) is a `RemotePath`,
which has those of pathlib's methods that ingestion uses, under the same names; that is why both
are annotated as `Path` everywhere else. pathlib has no type for what the two share.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, cast

from pydantic import PlainSerializer, PlainValidator

from components.remote.path import RemotePath, parse
from components.remote.stores import filesystems


def place(text: str | os.PathLike[str] | RemotePath) -> Path:
    """The file or folder of this name: a path, or a URL such as gs://bucket/folder."""
    if isinstance(text, RemotePath):
        return cast(Path, text)
    return cast(Path, parse(os.fspath(text)))


def opened(name: str) -> BinaryIO:
    """A file to be read in large pieces, by its name as for `place`.

    pathlib, and a buffer that is filled first, take as long as reading a small file does.
    """
    if "://" in name:
        return cast(BinaryIO, place(name).open("rb"))
    return cast(BinaryIO, open(name, "rb", buffering=0))


def is_remote(path: Path) -> bool:
    """Whether a place is not on a filesystem of this machine."""
    return isinstance(path, RemotePath)


def absolute(path: Path, base: Path) -> Path:
    """A place with nothing relative in it; a relative one starts at `base`."""
    return path if is_remote(path) else (base / path.expanduser()).resolve()


def _validate(value: Any) -> Path:
    if isinstance(value, str | os.PathLike | RemotePath):
        return place(value)
    raise ValueError("write a path, or a URL such as gs://bucket/folder")


Place = Annotated[Path, PlainValidator(_validate), PlainSerializer(str, when_used="json")]
"""A place as a field of a configuration: given as text, and written as it."""


def use(options: Sequence[str]) -> None:
    """Gives Beam's filesystems their options, such as `--hdfs_host`; for this process."""
    files = filesystems()
    from apache_beam.options.pipeline_options import PipelineOptions

    files.set_options(PipelineOptions(list(options)))


def files_below(top: Path, without: Path | None = None) -> list[Path]:
    """Every file under a folder; hidden ones and what lies in hidden folders are left out.

    Args:
      top: a folder.
      without: a folder below it to leave out, if any.
    """
    if isinstance(top, RemotePath):
        found = [file for file in top.walk() if without is None or without not in file.parents]
        return [
            cast(Path, file)
            for file in found
            if not any(part[0] == "." for part in file.relative_to(top).parts)
        ]
    files = []
    for parent, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name[0] != "." and Path(parent, name) != without]
        files += [Path(parent, name) for name in names if name[0] != "."]
    return files
