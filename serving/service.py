"""What both protocols answer, and how many requests at a time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
)

from serving.errors import Code, ServingError, invalid, missing
from serving.model import DEFAULT_SIGNATURE, Model
from serving.versions import Versions

# How many requests may wait; each holds its images in memory.
_MOST_WAITING = 64

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Service:
    """One model, behind a pool of a few threads that bounds what is in memory at a time."""

    def __init__(self, versions: Versions, workers: int) -> None:
        self.versions = versions
        self._pool = ThreadPoolExecutor(workers, "predict")
        self._waiting = 0

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Calls a function in the pool; the event loop goes on answering meanwhile.

        Raises:
          ServingError: what the function raises, or too many requests wait already.
        """
        if self._waiting >= _MOST_WAITING:
            raise ServingError(
                Code.UNAVAILABLE, f"{self._waiting} requests are waiting; try again in a while."
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, function, *arguments)
        except ServingError:
            raise
        except Exception as error:  # a fault of this server's: whoever asked gets no traceback
            logger.exception("a request failed")
            raise ServingError(
                Code.INTERNAL, f"The server failed on the request: {type(error).__name__}."
            ) from error
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Waits for the requests that are being answered."""
        self._pool.shutdown()

    @contextlib.contextmanager
    def use(self, spec: Any) -> Iterator[tuple[int, Model]]:
        """The loaded model that a ModelSpec names.

        Raises:
          ServingError: there is none.
        """
        self._check_name(spec)
        number = spec.version.value if spec.HasField("version") else None
        with self.versions.use(number) as used:
            yield used

    def status(self, spec: Any) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of each version that a ModelSpec names."""
        self._check_name(spec)
        number = spec.version.value if spec.HasField("version") else None
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in self.versions.status(number):
            told = response.model_version_status.add(version=version.number, state=version.state)
            if version.error:
                told.status.error_code = Code.FAILED_PRECONDITION.value[0]
                told.status.error_message = version.error
            else:
                told.status.SetInParent()  # OK, said in words by REST
        return response

    def signatures(self, spec: Any) -> tuple[model_pb2.ModelSpec, Any]:
        """The ModelSpec that answers, and its SignatureDefMap."""
        with self.use(spec) as (number, model):
            answers = get_model_metadata_pb2.SignatureDefMap()
            for name, signature in model.signatures.items():
                answers.signature_def[name].CopyFrom(signature)
            return self.spec(number), answers

    def spec(self, number: int, signature: str = "") -> model_pb2.ModelSpec:
        """Says which version and signature answered."""
        spec = model_pb2.ModelSpec(name=self.versions.name, signature_name=signature)
        spec.version.value = number
        return spec

    def _check_name(self, spec: Any) -> None:
        if not spec.name:
            raise invalid("The request names no model.")
        if spec.version_label:
            raise invalid(f"Versions have no labels here, so none is {spec.version_label!r}.")
        if spec.name != self.versions.name:
            raise missing(f"There is no model {spec.name!r}; {self.versions.name!r} is served.")


def signature_name(spec: Any) -> str:
    """The signature that a ModelSpec names."""
    return spec.signature_name or DEFAULT_SIGNATURE
