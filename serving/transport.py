"""What a client needs of a connection, however it is made."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import NamedTuple, Protocol

import numpy as np

METADATA = "signature_def"
"""The one field of metadata that TensorFlow Serving has."""


class VersionStatus(NamedTuple):
    """A version of the model, as a server sees it.

    Attributes:
      version: its number.
      state: START, LOADING, AVAILABLE, UNLOADING or END.
      error: why it does not serve; empty if nothing is wrong.
    """

    version: int
    state: str
    error: str


class Tensor(NamedTuple):
    """What a signature takes or gives.

    Attributes:
      dtype: NumPy's name for it; of strings `object`.
      shape: -1 where any size goes; None where any shape does.
    """

    dtype: str
    shape: tuple[int, ...] | None


class Signature(NamedTuple):
    """A function of the model: tensors by name."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Target(NamedTuple):
    """The model that is asked: its name, and its version, None for the newest."""

    name: str
    version: int | None


class Transport(Protocol):
    """What a client needs of either."""

    def predict(
        self,
        target: Target,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """The outputs that are named; strings are objects that are bytes."""

    def status(self, target: Target, timeout: float) -> list[VersionStatus]:
        """The versions that the server knows."""

    def signatures(self, target: Target, timeout: float) -> tuple[int, dict[str, Signature]]:
        """The version that would answer, and its signatures by name."""

    def close(self) -> None:
        """Lets the connection go."""


def tensor(name: str, shape: list[int] | None) -> Tensor:
    """Of TensorFlow's name for a type."""
    return Tensor("object" if name == "string" else name, None if shape is None else tuple(shape))


def is_here(host: str) -> bool:
    """Whether a host is this machine, which no proxy leads to."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
