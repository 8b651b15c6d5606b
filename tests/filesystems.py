"""Beam filesystems of the tests' own, which hold their files in memory.

`mem://` is like an object store: names with slashes in them, no folders. `tree://` is like HDFS: it
has folders, and lists one level of them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, ClassVar

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem

CHANGED = 1_700_000_000.5
"""When every file was changed, seconds."""


class _Upload(io.BytesIO):
    """A file is there once it is closed, as on an object store."""

    def __init__(self, files: dict[str, bytes], path: str):
        super().__init__()
        self._files, self._path = files, path

    def close(self) -> None:
        if not self.closed:
            self._files[self._path] = self.getvalue()
        super().close()


class MemoryFileSystem(FileSystem):
    files: ClassVar[dict[str, bytes]] = {}

    @classmethod
    def scheme(cls) -> str:
        return "mem"

    def join(self, base: str, *paths: str) -> str:
        return "/".join([base.rstrip("/"), *paths])

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        pass

    def has_dirs(self) -> bool:
        return False

    def _list(self, prefix: str) -> Iterator[FileMetadata]:
        for path, content in sorted(self.files.items()):
            if path.startswith(prefix):
                yield FileMetadata(path, len(content), CHANGED)

    def create(self, path: str, mime_type: str = "", compression_type: Any = None) -> BinaryIO:
        assert compression_type == CompressionTypes.UNCOMPRESSED, "records are raw"
        return _Upload(self.files, path)

    def open(self, path: str, mime_type: str = "", compression_type: Any = None) -> BinaryIO:
        return io.BytesIO(self._content(path))

    def copy(self, sources: list[str], targets: list[str]) -> None:
        for source, target in zip(sources, targets):
            self.files[target] = self._content(source)

    def rename(self, sources: list[str], targets: list[str]) -> None:
        self.copy(sources, targets)
        self.delete(sources)

    def exists(self, path: str) -> bool:
        return path in self.files

    def size(self, path: str) -> int:
        return len(self._content(path))

    def last_updated(self, path: str) -> float:
        return CHANGED

    def checksum(self, path: str) -> str:
        return str(hash(self._content(path)))

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, self.size(path), CHANGED)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            self.files.pop(path)

    def _content(self, path: str) -> bytes:
        if path not in self.files:
            raise BeamIOError("no such file", {path: KeyError(path)})
        return self.files[path]


class TreeFileSystem(MemoryFileSystem):
    files: ClassVar[dict[str, bytes]] = {}

    @classmethod
    def scheme(cls) -> str:
        return "tree"

    def has_dirs(self) -> bool:
        return True

    def _url_dirname(self, path: str) -> str:
        return path if path.endswith("/") else self.split(path)[0]

    def exists(self, path: str) -> bool:
        return path in self.files or any(name.startswith(f"{path}/") for name in self.files)

    def _list(self, folder: str) -> Iterator[FileMetadata]:
        folder = folder.rstrip("/")
        if folder in self.files:
            raise BeamIOError("not a folder", {folder: NotADirectoryError(folder)})
        below = {
            name[len(folder) + 1 :].partition("/")[0]
            for name in self.files
            if name.startswith(f"{folder}/")
        }
        for name in sorted(below):
            path = f"{folder}/{name}"
            yield FileMetadata(path, len(self.files.get(path, b"")), CHANGED)
