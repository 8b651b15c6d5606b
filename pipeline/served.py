"""Models behind a server: what they take, and how they are asked."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError
from components.records import Layout
from serving import images, process
from serving.client import Client
from serving.errors import Code, ServingError
from serving.transport import Signature

# The image is at fault, not the server: others may still be answered.
_OF_THE_IMAGE = (Code.INVALID_ARGUMENT, Code.RESOURCE_EXHAUSTED)


class Served:
    """A served model, called as `pipeline.pushed.Model` is.

    Attributes:
      path: the server's address and the model's name.
      layout: of the images that it takes.
    """

    def __init__(self, server: str, name: str, classes: Sequence[str]) -> None:
        """Asks the server what the model is.

        Args:
          server: its address, `grpc://host:port` or `http://host:port`.
          name: of the model.
          classes: their names, where they are known: a server does not tell them.

        Raises:
          InputError: no server answers, or the model is not one that Overtile exported.
        """
        self.path = f"{server.rstrip('/')} {name}"
        try:
            self._client = Client(server, name)
            _, signatures = self._client.metadata()
        except ServingError as error:
            raise InputError(error.message) from error
        try:
            channels, dtype, count = _describe(signatures)
        except (KeyError, TypeError, IndexError):
            raise InputError(
                f"{name} at {server} is not a model that Overtile exported: it has other "
                f"signatures ({', '.join(sorted(signatures))})."
            ) from None
        known = classes if len(classes) == count else [f"class {place}" for place in range(count)]
        self.layout = Layout(channels, dtype, tuple(known))  # type: ignore[arg-type]

    def mask(self, image: np.ndarray) -> np.ndarray:
        """Class ids, uint8 [H, W], of an image [H, W, channels] of the layout's dtype.

        Raises:
          BadFileError: the server refuses the image.
          InputError: the server does not answer.
        """
        try:
            return self._client.mask(image)
        except ServingError as error:
            if error.code in _OF_THE_IMAGE:
                raise BadFileError(error.message.rstrip(".")) from error
            raise InputError(error.message) from error

    def close(self) -> None:
        """Lets the connection go."""
        self._client.close()


def compare(models: Path, name: str, image: Path, mask: Path, log: Path) -> dict[str, Any]:
    """Serves a model in a process of its own and asks for a mask as clients do.

    Args:
      models: folder of its versions.
      name: of the model.
      image: PNG or JPEG.
      mask: the PNG of class ids that the server should answer.
      log: file for what the server says.

    Returns:
      version; pixels: of the mask; differing: of these, how many each protocol gives otherwise.

    Raises:
      InputError: the server does not start or does not answer.
    """
    expected = images.decode_png(mask.read_bytes())
    # This process may hold the memory of every GPU.
    environment: Mapping[str, str] = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    differing = {}
    try:
        with process.started(name, models, environment=environment, log=log) as server:
            for protocol, address in (("grpc", f"grpc://{server.grpc}"), ("rest", server.rest)):
                with Client(address, name) as client:
                    differing[protocol] = int((client.mask(image) != expected).sum())
    except ServingError as error:
        raise InputError(f"The pushed model cannot be served: {error.message}") from error
    return {"version": server.version, "pixels": expected.size, "differing": differing}


def _describe(signatures: Mapping[str, Signature]) -> tuple[int, str, int]:
    """Channels and dtype of the images, and the number of classes."""
    image = signatures["tensor"].inputs["image"]
    counts = signatures["evaluate"].outputs["confusion"]
    return image.shape[3], image.dtype, math.isqrt(counts.shape[1])  # type: ignore[index]
