"""Where files are: on this machine, or on any filesystem that Apache Beam knows.

A place of this machine is a `pathlib.Path`. One elsewhere (`gs://bucket/folder`) is a `RemotePath`,
which has those of pathlib's methods that ingestion uses, under the same names; that is why both
are annotated as `Path` everywhere else. pathlib has no type for what the two share.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, BinaryIO, NamedTuple, cast

from pydantic import PlainSerializer, PlainValidator

from components.errors import InputError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)

# What reads the filesystems that Beam brings; s3's and azfs's parts are not among our requirements.
_PACKAGES = {
    "gs": "apache-beam[gcp]",
    "s3": "apache-beam[aws]",
    "azfs": "apache-beam[azure]",
    "hdfs": "hdfs",
}
_LOGIN = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "azfs": "run `az login`, or set AZURE_STORAGE_CONNECTION_STRING",
}


def place(text: str | os.PathLike[str] | RemotePath) -> Path:
    """The file or folder of this name: a path, or a URL such as gs://bucket/folder."""
    if isinstance(text, RemotePath):
        return cast(Path, text)
    match = _URL.fullmatch(os.fspath(text))
    if match is None:
        return Path(text)
    scheme, rest = match[1].lower(), match[2]
    return Path(rest) if scheme == "file" else cast(Path, RemotePath(scheme, rest))


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
    from apache_beam.options.pipeline_options import PipelineOptions

    _filesystems().set_options(PipelineOptions(list(options)))


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
        whole = place(str(other))
        if is_remote(whole) or whole.is_absolute():
            return cast(RemotePath, whole)
        return self._of(self._pure / str(other))

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
        try:
            return bool(self._match("/**", limit=1))
        except OSError:
            return False

    def is_file(self) -> bool:
        """Whether there is a file of this very name."""
        if self._known:
            return True
        with _explained(self):
            system = _filesystems().get_filesystem(str(self))
            try:
                there = len(self._pure.parts) > 1 and system.exists(str(self))
            except OSError as error:
                _refuse_what_no_file_can_mend(self, error)
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
        with _explained(self):
            has_folders = _filesystems().get_filesystem(str(self)).has_dirs()
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
        with _explained(self), _as_os_error(self):
            found = _filesystems().get_filesystem(str(self)).metadata(str(self))
            return _status(found)

    def open(self, mode: str = "rb", encoding: str = "utf-8") -> Any:
        """The file's stream.

        Args:
          mode: "r", "rb", "w" or "wb"; a file is there once it is closed.
          encoding: of text.

        Raises:
          OSError: it cannot be opened.
        """
        from apache_beam.io.filesystem import CompressionTypes

        plain = CompressionTypes.UNCOMPRESSED
        with _explained(self), _as_os_error(self):
            files = _filesystems()
            way = files.create if "w" in mode else files.open
            stream: BinaryIO = way(str(self), compression_type=plain)
        return stream if "b" in mode else io.TextIOWrapper(stream, encoding=encoding)

    def read_bytes(self) -> bytes:
        """All of the file."""
        with self.open("rb") as file, _as_os_error(self):
            return bytes(file.read())

    def read_text(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """All of the file."""
        return self.read_bytes().decode(encoding, errors)

    def write_bytes(self, data: bytes) -> None:
        """Makes the file, or puts it in the place of one."""
        with self.open("wb") as file:
            file.write(data)

    def write_text(self, text: str, encoding: str = "utf-8") -> None:
        """As `write_bytes`."""
        self.write_bytes(text.encode(encoding))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes the folder, where the filesystem has such."""
        with _explained(self):
            system = _filesystems().get_filesystem(str(self))
            if system.has_dirs():
                # Beam minds a folder that is there already, whoever made it.
                with contextlib.suppress(OSError):
                    system.mkdirs(str(self))

    def unlink(self) -> None:
        """Removes the file."""
        with _explained(self), _as_os_error(self):
            _filesystems().delete([str(self)])

    def replace(self, target: RemotePath) -> RemotePath:
        """Renames the file; an object store copies it, and shows the copy when it is whole."""
        with _explained(self), _as_os_error(self):
            _filesystems().rename([str(self)], [str(target)])
        return target

    def _of(self, pure: PurePosixPath) -> RemotePath:
        return RemotePath(self._scheme, str(pure))

    def _match(self, below: str, limit: int | None = None) -> list[RemotePath]:
        # A bracket in a name would be taken for a pattern.
        literal = re.sub(r"([\[*?])", r"[\1]", str(self))
        with _explained(self):
            try:
                (found,) = _filesystems().match([f"{literal}{below}"], [limit])
            except OSError as error:
                _refuse_what_no_file_can_mend(self, error)
                raise _not_there(self) from error
        return [
            RemotePath(self._scheme, entry.path.partition("://")[2], _status(entry))
            for entry in found.metadata_list
            if not entry.path.endswith("/")  # what consoles make for an empty folder
        ]


def _status(metadata: Any) -> Status:
    return Status(metadata.size_in_bytes, int(metadata.last_updated_in_seconds * 1e9))


def _filesystems() -> Any:
    # Late: the command line must answer at once, and few data sets are remote.
    import apache_beam  # noqa: F401 - its modules import each other in a circle
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions

    # A worker has the pipeline's by now; without any, some filesystems cannot be made.
    if FileSystems._pipeline_options is None:
        FileSystems.set_options(PipelineOptions([]))
    return FileSystems


@contextlib.contextmanager
def _explained(path: RemotePath) -> Iterator[None]:
    """Says in one sentence why a filesystem cannot be asked at all."""
    scheme = str(path).partition(":")[0]
    if scheme == "gs":
        _refuse_anonymous(path)
    try:
        yield
    except (AssertionError, ImportError, NameError) as error:  # as Beam's modules tell of it
        raise _lacks_package(path) from error
    except ValueError as error:
        if "filesystem" in str(error) and scheme not in _PACKAGES:
            known = ", ".join(f"{name}://" for name in _PACKAGES)
            raise InputError(f"{path}: there is no filesystem {scheme}://, but {known}.") from error
        if "hdfs_" in str(error):
            raise InputError(
                f"{path}: hdfs:// needs beam.options with --hdfs_host, --hdfs_port and --hdfs_user."
            ) from error
        if "filesystem" in str(error):
            raise _lacks_package(path) from error
        raise InputError(f"{path} cannot be read: {error}.") from error


def _refuse_anonymous(path: RemotePath) -> None:
    """Beam would look for credentials for half a minute, and then ask as nobody."""
    import google.auth
    from google.auth.exceptions import DefaultCredentialsError

    global _has_google_credentials
    if _has_google_credentials or os.environ.get("STORAGE_EMULATOR_HOST"):
        return
    try:
        google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_write"])
    except DefaultCredentialsError as error:
        raise InputError(f"{path} needs credentials: {_LOGIN['gs']}.") from error
    _has_google_credentials = True


_has_google_credentials = False


def _lacks_package(path: RemotePath) -> InputError:
    scheme = str(path).partition(":")[0]
    return InputError(
        f"{path}: the package that reads {scheme}:// is missing: install `{_PACKAGES[scheme]}`, "
        "of the version of apache-beam that is here."
    )


def _refuse_what_no_file_can_mend(path: RemotePath, error: BaseException) -> None:
    """Raises InputError where the fault is the access, and not whether a file is there."""
    causes = list(_causes(error))
    words = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)
    scheme, bucket = path.parts[0].split("://")
    first = str(causes[-1]).split("\n")[0].rstrip(".")
    if re.search(r"boto3|NameError|No module named", words):
        raise _lacks_package(path) from error
    if re.search(r"NoSuchBucket|bucket does not exist|ContainerNotFound", words):
        raise InputError(f"{path}: there is no bucket {bucket}.") from error
    if re.search(r"Credential|Unauthorized|Forbidden|AccessDenied|\b40[13]\b", words):
        login = _LOGIN.get(scheme, "log in, or ask its owner")
        raise InputError(f"{path} may not be read ({first}): {login}.") from error
    if re.search(r"Connection|Timeout|timed out|resolve|Unreachable", words, re.IGNORECASE):
        raise InputError(f"{path} cannot be reached: {first}.") from error


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error of Beam's, and those that it was made of."""
    yield error
    details = getattr(error, "exception_details", None) or {}
    for cause in details.values():
        if isinstance(cause, BaseException):
            yield from _causes(cause)


@contextlib.contextmanager
def _as_os_error(path: RemotePath) -> Iterator[None]:
    """Beam's errors have no `strerror`, which is what people are told of a file."""
    try:
        yield
    except OSError as error:
        if error.strerror:
            raise
        _refuse_what_no_file_can_mend(path, error)
        raise _not_there(path) from error


def _not_there(path: RemotePath) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
