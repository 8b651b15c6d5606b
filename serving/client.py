"""A client of TensorFlow Serving, and of the embedded server; it needs no TensorFlow.

with Client("grpc://127.0.0.1:8500", "cells") as client:
    mask = client.mask("image.png")  # uint8 [H, W], class ids
"""

from __future__ import annotations

import time
import urllib.parse
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, TypeVar

import numpy as np

from serving import images
from serving.errors import Code, ServingError, invalid
from serving.grpc_transport import Grpc
from serving.rest_transport import Rest
from serving.transport import Signature, Target, Transport, VersionStatus

DEFAULT_SIGNATURE = "serving_default"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0

T = TypeVar("T")


class Client:
    """Asks one model of one server; for use by one thread."""

    def __init__(
        self,
        server: str,
        name: str,
        *,
        version: int | None = None,
        timeout: float = 60.0,
        retries: int = 5,
        limit: int = 256 * 2**20,
    ) -> None:
        """Connects when it is first asked.

        Args:
          server: `grpc://host:port`, `http://host:port` or `https://host`.
          name: of the model.
          version: of the model; None for the newest.
          timeout: seconds that an answer may take, retries included.
          retries: how often a server that cannot be reached is asked again, after 0.1, 0.2, 0.4 ...
            seconds. A request that the server refuses is not sent again.
          limit: bytes that a message may have. gRPC's own limit is 4 MiB.

        Raises:
          ServingError: `server` is no such address.
        """
        self._target = Target(name, version)
        self._timeout, self._retries = timeout, retries
        self._transport = _transport(server, limit)
        self._signatures: dict[str, Signature] = {}

    def mask(self, image: Any) -> np.ndarray:
        """The class ids of an image, uint8 [H, W].

        Args:
          image: a path; the bytes of a file; an array, [H, W] or [H, W, C]; or an image of
            Pillow's. PNG and JPEG files are sent as they are, others as PNG.

        Raises:
          ServingError: the image cannot be read, or the server does not answer it.
        """
        if self._takes_files():
            return images.decode_png(self.mask_png(image))
        pixels = images.to_array(image)[np.newaxis]
        return self.predict({"image": pixels})["mask"][0]

    def mask_png(self, image: Any) -> bytes:
        """As `mask`, and the answer is a PNG file."""
        if not self._takes_files():
            return images.encode_png(self.mask(image))
        file = np.empty(1, object)
        file[0] = images.to_file(image)
        return bytes(self.predict({"image_bytes": file})["mask_bytes"][0])

    def predict(
        self, inputs: Mapping[str, np.ndarray], signature: str = DEFAULT_SIGNATURE
    ) -> dict[str, np.ndarray]:
        """The outputs of any signature.

        Args:
          inputs: arrays by name; bytes as arrays of objects.
          signature: its name.

        Raises:
          ServingError: the server does not answer.
        """
        outputs = self._signature(signature).outputs
        return self._ask(
            lambda seconds: self._transport.predict(
                self._target, signature, inputs, outputs, seconds
            )
        )

    def status(self) -> list[VersionStatus]:
        """The versions that the server knows, and their states."""
        return self._ask(lambda seconds: self._transport.status(self._target, seconds))

    def metadata(self) -> tuple[int, dict[str, Signature]]:
        """The version that would answer, and its signatures by name."""
        return self._ask(lambda seconds: self._transport.signatures(self._target, seconds))

    def close(self) -> None:
        """Lets the connection go."""
        self._transport.close()

    def __enter__(self) -> Client:
        """Closes itself when the context ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _takes_files(self) -> bool:
        return "image_bytes" in self._signature(DEFAULT_SIGNATURE).inputs

    def _signature(self, name: str) -> Signature:
        if name not in self._signatures:
            self._signatures = self.metadata()[1]
        if name not in self._signatures:
            known = ", ".join(sorted(self._signatures))
            raise invalid(f'The model has no signature "{name}"; it has {known}.')
        return self._signatures[name]

    def _ask(self, call: Callable[[float], T]) -> T:
        """Calls with the seconds that are left; again while no server answers."""
        until, pause = time.monotonic() + self._timeout, _FIRST_PAUSE
        for attempt in range(self._retries + 1):
            try:
                return call(max(until - time.monotonic(), 0.001))
            except ServingError as error:
                last = attempt == self._retries or time.monotonic() + pause > until
                if error.code is not Code.UNAVAILABLE or last:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("the last attempt returns or raises")


def _transport(server: str, limit: int) -> Transport:
    parts = urllib.parse.urlsplit(server)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme == "grpc" and parts.hostname and port and parts.path in ("", "/"):
        return Grpc(parts.hostname, parts.netloc, limit)
    if parts.scheme in ("http", "https") and parts.hostname:
        return Rest(parts.hostname, server, limit)
    raise invalid(f"{server} is no server: write grpc://host:8500 or http://host:8501.")
