"""A path on one of Beam's filesystems."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple, cast

from components.remote.faults import as_os_error, explained
from components.remote.stores import filesystems

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)


class Status(NamedTuple):
    """What is known of a remote file: bytes, and when it changed, nanoseconds since 1970."""

    st_size: int
    st_mtime_ns: int


class RemotePath:
    """A file or folder on one of Beam's filesystems; pathlib says what the methods mean.

    A folder is what has files below it, as on an object store, so one without any is not there. The
    text is taken as it is, but for `.` and `..`, which an object store would take for names.
    """

    __slots__ = ("_known", "_pure", "_scheme")

    def __init__(self, scheme: str, rest: str, known: Status | None = None):
        # An absolute path of hdfs:/// keeps its slash; `..` never leads out of the bucket.
        bucket, _, below = rest.partition("/")
        self._scheme = scheme
        self._pure = PurePosixPath(f"{bucket}{os.path.normpath('/' + below.lstrip('/'))}")
        self._known = known

    def __str__(self) -> str:
        return f"{self._scheme}://{'' if self._pure.name == '' else self._pure}"

    def __repr__(self) -> str:
        return f"RemotePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: RemotePath) -> bool:
        return str(self) < str(other)

    def __reduce__(self) -> tuple[Any, ...]:
        return RemotePath, (self._scheme, str(self._pure), self._known)

    def __truediv__(self, other: str | PurePosixPath | RemotePath) -> RemotePath:
        whole = parse(str(other))
        if whole.is_absolute():
            return cast(RemotePath, whole)
        return self._of(self._pure / str(other))

    @property
    def scheme(self) -> str:
        """What stands before the colon, such as gs."""
        return self._scheme

    @property
    def name(self) -> str:
        """The last part."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """The name's ending, with its dot."""
        return self._pure.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """The scheme with the bucket, and each name below."""
        first, *others = self._pure.parts or ("",)
        return (f"{self._scheme}://{first}", *others)

    @property
    def parent(self) -> RemotePath:
        """The folder that holds it; of a bucket the bucket itself."""
        return self._of(self._pure.parent) if len(self._pure.parts) > 1 else self

    @property
    def parents(self) -> tuple[RemotePath, ...]:
        """Every folder above, the nearest first."""
        return tuple(self._of(pure) for pure in self._pure.parents if pure.parts)

    def with_suffix(self, suffix: str) -> RemotePath:
        """The same with another ending."""
        return self._of(self._pure.with_suffix(suffix))

    def with_name(self, name: str) -> RemotePath:
        """The same with another last part."""
        return self._of(self._pure.with_name(name))

    def relative_to(self, other: RemotePath) -> PurePosixPath:
        """The way from a folder above; ValueError where `other` is none."""
        if not isinstance(other, RemotePath) or other._scheme != self._scheme:
            raise ValueError(f"{self} is not below {other}")
        return self._pure.relative_to(other._pure)

    def is_relative_to(self, other: object) -> bool:
        """Whether it is `other` or lies below."""
        return (
            isinstance(other, RemotePath)
            and other._scheme == self._scheme
            and self._pure.is_relative_to(other._pure)
        )

    def as_posix(self) -> str:
        """The URL."""
        return str(self)

    def absolute(self) -> RemotePath:
        """Itself, as is `resolve`."""
        return self

    resolve = expanduser = absolute

    def is_absolute(self) -> bool:
        """Always."""
        return True

    def exists(self) -> bool:
        """Whether there is a file, or a folder with files."""
        return self.is_file() or self.is_dir()

    def is_dir(self) -> bool:
        """Whether there is something below."""
        if self._known and self._known.st_size:
            return False  # what was listed with a size is a file
        try:
            return bool(self._match("/**", limit=1))
        except FileNotFoundError:
            return False

    def is_file(self) -> bool:
        """Whether there is a file of this very name."""
        if self._known:
            return True
        if len(self._pure.parts) < 2:
            return False
        with explained(self):
            system = filesystems().get_filesystem(str(self))
            try:
                with as_os_error(self):
                    there = system.exists(str(self))
            except FileNotFoundError:
                return False
        # Where folders are entries of their own they exist as well.
        return there and not (system.has_dirs() and self.is_dir())

    def iterdir(self) -> Iterator[RemotePath]:
        """What lies directly below; on an object store this lists everything below."""
        seen = set()
        for file in self._match("/**"):
            name = file.relative_to(self).parts[0]
            if name not in seen:
                seen.add(name)
                child = self / name
                yield file if child == file else child

    def walk(self) -> Iterator[RemotePath]:
        """Every file below, at any depth."""
        with explained(self):
            has_folders = filesystems().get_filesystem(str(self)).has_dirs()
        for entry in self._match("/**"):
            # Filesystems with folders list one level, and give their folders no size.
            if has_folders and not entry.stat().st_size and entry.is_dir():
                yield from entry.walk()
            else:
                yield entry

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Every file below whose name matches."""
        return (file for file in self.walk() if PurePosixPath(file.name).match(pattern))

    def stat(self) -> Status:
        """Size and time of change, from the listing that it came from if that is so.

        Raises:
          FileNotFoundError: there is no such file.
        """
        if self._known:
            return self._known
        with explained(self), as_os_error(self):
            found = filesystems().get_filesystem(str(self)).metadata(str(self))
            return _status(found)

    def open(self, mode: str = "rb", encoding: str = "utf-8") -> Any:
        """The file's stream.

        Args:
          mode: "r", "rb", "w" or "wb"; a file is there once it is closed.
          encoding: of text.

        Raises:
          OSError: it cannot be opened.
        """
        with explained(self), as_os_error(self):
            from apache_beam.io.filesystem import CompressionTypes

            files = filesystems()
            way = files.create if "w" in mode else files.open
            stream: BinaryIO = way(str(self), compression_type=CompressionTypes.UNCOMPRESSED)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding=encoding)

    def read_bytes(self) -> bytes:
        """All of the file."""
        with self.open("rb") as file, as_os_error(self):
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """All of the file."""
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> None:
        """Makes the file, or puts it in the place of one."""
        with as_os_error(self), self.open("wb") as file:
            file.write(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """As `write_bytes`."""
        self.write_bytes(text.encode(encoding))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes the folder, where the filesystem has such."""
        with explained(self):
            system = filesystems().get_filesystem(str(self))
            if system.has_dirs():
                # Beam minds a folder that is there already, whoever made it.
                with contextlib.suppress(OSError):
                    system.mkdirs(str(self))

    def unlink(self) -> None:
        """Removes the file."""
        with explained(self), as_os_error(self):
            filesystems().delete([str(self)])

    def replace(self, target: RemotePath) -> RemotePath:
        """Renames the file; an object store copies it, and shows the copy when it is whole."""
        with explained(self), as_os_error(self):
            filesystems().rename([str(self)], [str(target)])
        return target

    def _of(self, pure: PurePosixPath) -> RemotePath:
        return RemotePath(self._scheme, str(pure))

    def _match(self, below: str, limit: int | None = None) -> list[RemotePath]:
        # A bracket in a name would be taken for a pattern.
        literal = re.sub(r"([\[*?])", r"[\1]", str(self))
        with explained(self), as_os_error(self):
            (found,) = filesystems().match([f"{literal}{below}"], [limit])
        return [
            RemotePath(self._scheme, entry.path.partition("://")[2], _status(entry))
            for entry in found.metadata_list
            if not entry.path.endswith("/")  # what consoles make for an empty folder
        ]


def parse(text: str) -> Path | RemotePath:
    """The path that a text means; file:// is this machine's."""
    match = _URL.fullmatch(text) if "://" in text else None
    if match is None:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    return Path(rest) if scheme == "file" else RemotePath(scheme, rest)


def _status(metadata: Any) -> Status:
    return Status(metadata.size_in_bytes, int(metadata.last_updated_in_seconds * 1e9))
