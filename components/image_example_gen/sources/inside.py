"""Keeps a data set within its folder: what its files name, and where its links lead.

A data set comes from elsewhere. A manifest or an annotation that names `/etc/passwd`, or a link to
it, must not make Overtile read that file. What the configuration itself names is its writer's.
"""

from __future__ import annotations

import dataclasses
import os
import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from components.errors import BadFileError, SetAside
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources.contract import Listing, Reference, Sample
from components.places import is_remote, place

_ABSOLUTE = re.compile(r"/|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://|~")


def checked(name: object) -> str:
    """A file's name as a manifest or an annotation gives it, with forward slashes.

    Raises:
      BadFileError: it is no name, is absolute or leads upwards.
    """
    if not isinstance(name, str) or not name.strip() or "\0" in name or len(name) > _LONGEST_NAME:
        raise BadFileError(f"{str(name)[:_SHOWN]!r} is no name of a file")
    text = name.strip().replace("\\", "/")
    if _ABSOLUTE.match(text):
        raise BadFileError(
            f"{name[:_SHOWN]!r} is absolute; name files by their path below the data set's folder"
        )
    if ".." in text.split("/"):
        raise BadFileError(
            f"{name[:_SHOWN]!r} leads upwards; name files by their path below the data set's folder"
        )
    text = posixpath.normpath(text)
    if text == ".":
        raise BadFileError(f"{name[:_SHOWN]!r} is no name of a file")
    return text


_LONGEST_NAME = 4096
_SHOWN = 200


def beside(root: Path, file: Path, name: object) -> Path:
    """The file that another one names relative to itself; it may lie in a folder beside it.

    Args:
      root: the data set's folder.
      file: below it.
      name: with `..` where the named file lies elsewhere below `root`, as LabelMe writes it.

    Raises:
      BadFileError: it is no name, is absolute or leads out of `root`.
    """
    text = name.strip().replace("\\", "/") if isinstance(name, str) else name
    if isinstance(text, str) and text and not _ABSOLUTE.match(text):
        folder = file.parent.relative_to(root).as_posix()
        text = posixpath.normpath(posixpath.join(folder, text))
    try:
        return root / checked(text)
    except BadFileError:
        if isinstance(text, str) and text.startswith(".."):
            raise BadFileError(
                f"{str(name)[:_SHOWN]!r} leads out of the data set's folder; "
                "move the file into it and name it there"
            ) from None
        raise


IS_A_LINK = "is a link that leads out of the data set's folder; put the file itself there"


def own(file: Path, *tops: Path) -> bool:
    """Whether a file is one of these folders' own: no link of theirs leads out of them."""
    return is_remote(file) or not _leads_out(file, [top.resolve() for top in tops])


def _leads_out(path: Path, tops: Iterable[Path]) -> bool:
    try:
        real = path.resolve()
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return True
    return not any(real.is_relative_to(top) for top in tops)


class Fence:
    """Tells which files' links lead out of a data set's folder. Remembers the folders it met."""

    def __init__(self, data: DataConfig):
        assert data.path is not None, "only a data set that is somewhere has links"
        self._remote = is_remote(data.path)
        self._tops: list[Path] = [] if self._remote else _tops(data, data.path)
        self._folders: dict[str, bool] = {}

    def why_out(self, name: str) -> str:
        """Why a file of this name must not be read; empty where it may."""
        if self._remote:
            return ""
        if "://" in name:
            if is_remote(place(name)):
                return ""
            name = str(place(name))
        parent = os.path.dirname(name)
        if parent not in self._folders:
            self._folders[parent] = _leads_out(Path(parent), self._tops)
        if self._folders[parent]:
            return "lies behind a link that leads out of the data set's folder; copy the files"
        return IS_A_LINK if os.path.islink(name) and _leads_out(Path(name), self._tops) else ""

    def sorted_out(self, files: Iterable[Path], root: Path) -> tuple[list[Path], list[SetAside]]:
        """The files that may be read, and the others with the reason."""
        kept, out = [], []
        for file in files:
            reason = self.why_out(str(file))
            if reason:
                out.append(SetAside(Reference(str(file)).name(root), reason))
            else:
                kept.append(file)
        return kept, out


def _tops(data: DataConfig, root: Path) -> list[Path]:
    """The folders, with links followed, that files may lie in."""
    tops = [root.resolve()]
    for name in (data.images, data.masks, data.regions):
        if _ABSOLUTE.match(name) or ".." in name.split("/"):
            fixed = re.split(r"[^/]*[{*]", name)[0]
            tops.append((root / fixed).resolve())
    return tops


def fenced(listing: Listing, data: DataConfig) -> Listing:
    """A listing without the samples whose files lie out of the data set's folder."""
    assert data.path is not None, "as for Fence"
    fence = Fence(data)
    samples, out = [], []
    for sample in listing.samples:
        reason = ""
        for reference in _references(sample):
            reason = fence.why_out(reference.path)
            if reason:
                out.append(SetAside(reference.name(data.path), reason))
                break
        if not reason:
            samples.append(sample)
    if not out:
        return listing
    return dataclasses.replace(
        listing, samples=tuple(samples), lone_images=(*listing.lone_images, *out)
    )


def _references(sample: Sample) -> Iterable[Reference]:
    yield sample.image
    if sample.mask.path != sample.image.path:
        yield sample.mask
    yield from sample.further
    if sample.region:
        yield sample.region
