"""Servers that speak the protocols of S3 and of Google Cloud Storage, and keep all in memory."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

BUCKET = "bucket"


class Store(NamedTuple):
    """A server that runs.

    Attributes:
      scheme: of its URLs.
      environment: variables by which clients find it.
    """

    scheme: str
    environment: dict[str, str]


@contextlib.contextmanager
def serve(scheme: str, log: Path) -> Iterator[Store]:
    """Runs a server with one empty bucket.

    Args:
      scheme: "s3" or "gs".
      log: gets what the server prints.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    url = f"http://127.0.0.1:{port}"
    folder = Path(sys.executable).parent
    if scheme == "s3":
        command = [str(folder / "moto_server"), "-H", "127.0.0.1", "-p", port]
        keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
            **dict.fromkeys(keys, "any"),
        }
        asked = f"{url}/{BUCKET}"
        make = urllib.request.Request(asked, method="PUT")
    else:
        program = str(folder / "gcp-storage-emulator")
        command = [program, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
        environment = {"STORAGE_EMULATOR_HOST": url}
        asked = f"{url}/storage/v1/b"
        body = b'{"name": "%s"}' % BUCKET.encode()
        make = urllib.request.Request(asked, body, {"Content-Type": "application/json"})
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _until_it_answers(make, server, log)
        yield Store(scheme, environment)
    finally:
        server.terminate()
        server.wait(30)


def _until_it_answers(
    request: urllib.request.Request, server: subprocess.Popen[bytes], log: Path
) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(request, timeout=10).close()
            return
        except urllib.error.HTTPError:
            raise
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text()) from None
            time.sleep(0.2)
