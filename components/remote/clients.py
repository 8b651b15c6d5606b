"""Beam's clients of S3 and Google Cloud Storage, mended where they wait or fail without need.

One client serves many calls, of which each makes its own in Beam: a new boto3 client costs a fifth
of a second of a processor, since it reads the description of all of S3, and a new one of Google's
shakes hands with the server again. Ingestion opens every file once.
"""

from __future__ import annotations

import contextlib
import functools
import os
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

# Reentrant, since a client may be made while another thread waits to make its own.
_lock = threading.RLock()
# Credentials are read when a client is made, and those that others renew in a file grow old.
_SECONDS = 300
_MENDED = "_overtile"


def reuse_s3() -> None:
    """Makes Beam's S3 filesystem share a boto3 client, which threads may use together.

    Raises:
      ImportError: Beam's part for it is not installed.
    """
    from apache_beam.io.aws import s3io

    with _lock:
        if not hasattr(s3io.boto3_client.Client, _MENDED):
            s3io.boto3_client.Client = _mended(s3io)


def reuse_gs() -> None:
    """Makes Beam's filesystem for Google Cloud Storage keep one client for each thread.

    Raises:
      ImportError: Google's or Beam's part for it is not installed.
    """
    from apache_beam.io.gcp import gcsio

    with _lock:
        if hasattr(gcsio.create_storage_client, _MENDED):
            return
        create, kept = gcsio.create_storage_client, threading.local()

        def client(options: Any, use_credentials: bool = True) -> Any:
            # An emulator wants none; Beam would look for them for twenty seconds.
            use_credentials = use_credentials and not os.environ.get("STORAGE_EMULATOR_HOST")
            if not hasattr(kept, "create"):
                # Its connections are those of requests, of which nobody says that threads may
                # share them.
                kept.create = _kept(create)
            return kept.create(options, use_credentials)

        setattr(client, _MENDED, True)
        gcsio.create_storage_client = client


def _kept(create: Callable[..., Any]) -> Callable[..., Any]:
    """The same client for the same options and variables of the environment, for some minutes."""

    @functools.lru_cache(maxsize=8)
    def made(key: tuple[Any, ...], *given: Any) -> Any:
        return create(*given)

    def client(*given: Any) -> Any:
        named = ("AWS_", "GOOGLE_", "STORAGE_")
        environment = sorted(pair for pair in os.environ.items() if pair[0].startswith(named))
        return made((int(time.monotonic() / _SECONDS), *environment), *given)

    return client


def _mended(s3io: Any) -> Any:
    """A class for that of Beam's S3 client, given Beam's module that uses it."""
    from apache_beam.utils import retry

    # The error has the status of HTTP as its code, or None where there was no answer.
    whole, failed = s3io.boto3_client.Client, s3io.messages.S3ClientError
    create = _kept(whole)

    class Unanswered(retry.PermanentException):
        """Not for Beam to try again, which takes it nine minutes: boto3 has tried already."""

        def __init__(self, error: Any):
            super().__init__(error.message)
            self.code = error.code or HTTPStatus.SERVICE_UNAVAILABLE

    def asked(ask: Callable[..., Any], *given: Any) -> Any:
        try:
            return ask(*given)
        except failed as error:
            # Beam takes a bucket that is missing for an empty one.
            if error.code is None or "NoSuchBucket" in error.message:
                raise Unanswered(error) from error
            raise

    class Client(whole):  # type: ignore[misc,valid-type]
        """Beam's, around the shared one; it holds the place in a download, so each has its own."""

        def __init__(self, options: Any):
            with _lock:
                self.__dict__.update(create(options).__dict__)

        def get_range(self, request: Any, start: int, end: int) -> Any:
            """Bytes of an object, for a stream, whose reader knows nothing of S3's errors."""
            try:
                return self._get_range(request, start, end)
            except (failed, Unanswered) as error:
                from components.remote import faults, path  # they know this module

                file = path.RemotePath("s3", f"{request.bucket}/{request.object}")
                raise faults.fault(file, error) from error

        @retry.with_exponential_backoff()
        def _get_range(self, *given: Any) -> Any:
            return asked(functools.partial(whole.get_range.__wrapped__, self), *given)

        def complete_multipart_upload(self, request: Any) -> None:
            """Beam uploads in parts; of an empty file there is none, which S3 refuses."""
            if request.parts:
                asked(super().complete_multipart_upload, request)
                return
            target = {"Bucket": request.bucket, "Key": request.object}
            try:
                self.client.put_object(**target, Body=b"")
            except Exception as error:
                status = s3io.boto3_client.get_http_error_code(error)
                raise Unanswered(failed(str(error), status)) from error
            with contextlib.suppress(Exception):  # not everyone may; it holds nothing
                self.client.abort_multipart_upload(**target, UploadId=request.upload_id)

    def through(name: str) -> Callable[..., Any]:
        ask = getattr(whole, name)
        return functools.wraps(ask)(
            lambda self, *given: asked(functools.partial(ask, self), *given)
        )

    for name in (
        "list",
        "get_object_metadata",
        "create_multipart_upload",
        "upload_part",
        "copy",
        "delete",
        "delete_batch",
    ):
        setattr(Client, name, through(name))
    setattr(Client, _MENDED, True)
    return Client
