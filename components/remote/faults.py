"""What goes wrong on a remote filesystem, in one sentence."""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import os
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from components.errors import InputError
from components.remote import clients
from components.remote.stores import import_beam

if TYPE_CHECKING:
    from components.remote.path import RemotePath

# What reads the filesystems that Beam brings; azfs's part is not among our requirements.
_PACKAGES = {"gs": "apache-beam[gcp]", "s3": "boto3", "azfs": "apache-beam[azure]", "hdfs": "hdfs"}
_LOGIN = {
    "gs": "run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS",
    "s3": "run `aws configure`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "azfs": "run `az login`, or set AZURE_STORAGE_CONNECTION_STRING",
}
_REUSE = {"gs": clients.reuse_gs, "s3": clients.reuse_s3}


@contextlib.contextmanager
def explained(path: RemotePath) -> Iterator[None]:
    """Says in one sentence why a filesystem cannot be asked at all."""
    scheme = str(path).partition(":")[0]
    if scheme == "gs":
        _refuse_anonymous(path)
    try:
        import_beam()
        if scheme in _REUSE:
            _REUSE[scheme]()
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
    package = _PACKAGES[scheme]
    if package.startswith("apache-beam"):
        package += f"=={importlib.metadata.version('apache-beam')}"
    return InputError(
        f"{path}: what reads {scheme}:// is missing: install `{package}` where Overtile is."
    )


def refuse_what_no_file_can_mend(path: RemotePath, error: BaseException) -> None:
    """Raises InputError where the fault is the access, and not whether a file is there."""
    causes = list(_causes(error))
    words = " ".join(f"{type(cause).__name__} {cause}" for cause in causes)
    scheme, bucket = path.parts[0].split("://")
    first = _first_line(causes[-1])
    if re.search(r"boto3|NameError|No module named", words):
        raise _lacks_package(path) from error
    if re.search(r"NoSuchBucket|bucket does not exist|ContainerNotFound", words):
        raise InputError(f"{path}: there is no bucket {bucket}.") from error
    if re.search(r"[Cc]redential|Unauthorized|Forbidden|AccessDenied|\b40[13]\b", words):
        login = _LOGIN.get(scheme, "log in, or ask its owner")
        raise InputError(f"{path} may not be read ({first}): {login}.") from error
    if re.search(r"connect|timeout|timed out|resolve|unreachable", words, re.IGNORECASE):
        raise InputError(f"{path} cannot be reached: {first}.") from error


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "message", error)).split("\n")[0].rstrip(".")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error of Beam's, and those that it was made of."""
    yield error
    details = getattr(error, "exception_details", None) or {}
    for cause in details.values():
        if isinstance(cause, BaseException):
            yield from _causes(cause)


@contextlib.contextmanager
def as_os_error(path: RemotePath) -> Iterator[None]:
    """Beam's errors have no `strerror`, which is what people are told of a file."""
    try:
        yield
    except OSError as error:
        if error.strerror and error.errno != errno.ENOENT:
            raise
        refuse_what_no_file_can_mend(path, error)
        raise not_there(path) from error
    except Exception as error:
        # What Beam lets through of the clients of S3 and Google: no OSErrors, with HTTP's status.
        status = getattr(error, "code", None)
        if status is None:
            raise
        refuse_what_no_file_can_mend(path, error)
        if status == HTTPStatus.NOT_FOUND:
            raise not_there(path) from error
        raise OSError(errno.EIO, _first_line(error), str(path)) from error


def not_there(path: RemotePath) -> FileNotFoundError:
    """The error that pathlib would raise."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
