"""What can go wrong between a client and a server, in gRPC's codes and in HTTP's."""

from __future__ import annotations

from grpc import StatusCode as Code

# As TensorFlow Serving maps them, but for requests that are too large: 413 says what 429 hides.
HTTP_STATUS = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.OUT_OF_RANGE: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 413,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INTERNAL: 500,
    Code.DATA_LOSS: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


class ServingError(Exception):
    """A request that cannot be answered, or a server that cannot be started or reached.

    Attributes:
      code: gRPC's code for it.
      message: one sentence for whoever asked.
    """

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """The request is at fault."""
    return ServingError(Code.INVALID_ARGUMENT, message)


def missing(message: str) -> ServingError:
    """What the request names is not there."""
    return ServingError(Code.NOT_FOUND, message)
