"""Beam's clients of S3 and Google Cloud Storage, mended where they wait or fail without need.

One client serves many calls, of which each makes its own in Beam: a new boto3 client costs a fifth
of a second of a processor, since it reads the description of all of S3, and a new one of Google's
shakes hands with the server again. Ingestion opens every file once.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

_lock = threading.Lock()


@functools.cache
def reuse_s3() -> None:
    """Makes Beam's S3 filesystem share one boto3 client, which threads may use together.

    Raises:
      ImportError: Beam's part for it is not installed.
    """
    from apache_beam.io.aws import s3io
    from apache_beam.utils.retry import PermanentException

    class Unanswered(PermanentException):
        """Not for Beam to try again, which takes it nine minutes: boto3 has tried five times."""

        def __init__(self, error: s3io.messages.S3ClientError):
            super().__init__(error.message)
            self.code = error.code or HTTPStatus.SERVICE_UNAVAILABLE

    def asked(ask: Callable[[Any], Any], request: Any) -> Any:
        try:
            return ask(request)
        except s3io.messages.S3ClientError as error:
            # Beam takes a bucket that is missing for an empty one.
            if error.code is None or "NoSuchBucket" in error.message:
                raise Unanswered(error) from error
            raise

    whole = s3io.boto3_client.Client
    create = functools.lru_cache(maxsize=8)(whole)

    class Client(whole):  # type: ignore[misc,valid-type]
        """Beam's, around the shared one; it holds the place in a download, so each has its own."""

        def __init__(self, options: Any):
            with _lock:
                self.__dict__.update(create(options).__dict__)

        def list(self, request: Any) -> Any:
            """A page of the objects whose names begin as asked."""
            return asked(super().list, request)

        def get_object_metadata(self, request: Any) -> Any:
            """What is known of one object."""
            return asked(super().get_object_metadata, request)

        def complete_multipart_upload(self, request: Any) -> None:
            """Beam uploads in parts; of an empty file there is none, which S3 refuses."""
            if request.parts:
                super().complete_multipart_upload(request)
                return
            target = {"Bucket": request.bucket, "Key": request.object}
            self.client.abort_multipart_upload(**target, UploadId=request.upload_id)
            self.client.put_object(**target, Body=b"")

    s3io.boto3_client.Client = Client


@functools.cache
def reuse_gs() -> None:
    """Makes Beam's filesystem for Google Cloud Storage keep one client for each thread.

    Raises:
      ImportError: Google's or Beam's part for it is not installed.
    """
    from apache_beam.io.gcp import gcsio

    create, kept = gcsio.create_storage_client, threading.local()

    def client(options: Any, use_credentials: bool = True) -> Any:
        # An emulator wants none; Beam would look for them for twenty seconds.
        use_credentials = use_credentials and not os.environ.get("STORAGE_EMULATOR_HOST")
        if not hasattr(kept, "create"):
            # Its connections are those of requests, of which nobody says that threads may share it.
            kept.create = functools.lru_cache(maxsize=8)(create)
        return kept.create(options, use_credentials)

    gcsio.create_storage_client = client
