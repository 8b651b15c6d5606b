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
_ACCESS = (
    r"[Cc]redential|Unauthorized|Forbidden|AccessDenied|Expired|expired|InvalidToken|SSO|profile"
    r"|RefreshError|\b40[13]\b"
)
# How Beam's modules tell that a package is missing.
_LACKS = (AssertionError, ImportError, NameError)
_REUSE = {"gs": clients.reuse_gs, "s3": clients.reuse_s3}


@contextlib.contextmanager
def explained(path: RemotePath) -> Iterator[None]:
    """Says in one sentence why a filesystem cannot be asked at all."""
    scheme = path.scheme
    if scheme == "gs":
        _refuse_anonymous(path)
    try:
        import_beam()
        if scheme in _REUSE:
            _REUSE[scheme]()
        yield
    except _LACKS as error:
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
    package = _PACKAGES[path.scheme]
    if package.startswith("apache-beam"):
        package += f"=={importlib.metadata.version('apache-beam')}"
    return InputError(
        f"{path}: what reads {path.scheme}:// is missing: install `{package}` where Overtile is."
    )


def fault(path: RemotePath, error: BaseException) -> InputError | FileNotFoundError:
    """What an error of a filesystem means: the file is not there, or nothing can be read at all.

    The latter stops a run. Were it an OSError, each file would be set aside as a bad one, though
    its only fault is that a token has expired.
    """
    bucket = path.parts[0].partition("://")[2]
    *_, cause = _causes(error)
    status, said = getattr(cause, "code", None), _first_line(cause)
    # Not the path: a folder may be called `timeout`.
    words = f"{type(cause).__name__} {said.replace(str(path), '')}"
    if re.search(r"NoSuchBucket|bucket does not exist|ContainerNotFound", words):
        return InputError(f"{path}: there is no bucket {bucket}.")
    if status == HTTPStatus.NOT_FOUND or isinstance(cause, FileNotFoundError):
        return not_there(path)
    if re.search(r"boto3' is not|NameError|No module named", words):
        return _lacks_package(path)
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) or re.search(_ACCESS, words):
        login = _LOGIN.get(path.scheme, "log in, or ask its owner")
        return InputError(f"{path} may not be read ({said}): {login}.")
    if re.search(r"connect|timeout|timed out|resolve|unreachable", words, re.IGNORECASE):
        return InputError(f"{path} cannot be reached: {said}.")
    if path.scheme in _REUSE:  # whose clients say 404 of a file that is not there
        return InputError(f"{path} cannot be read: {said}.")
    return not_there(path)


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
    except (InputError, *_LACKS):
        raise
    except OSError as error:
        if error.strerror and error.errno != errno.ENOENT:
            raise
        raise fault(path, error) from error
    except Exception as error:
        # Beam lets some errors of the clients of S3 and Google through, which are no OSErrors.
        if path.scheme not in _REUSE:
            raise
        raise fault(path, error) from error


def not_there(path: RemotePath) -> FileNotFoundError:
    """The error that pathlib would raise."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
