"""TensorFlow Serving's REST API: https://www.tensorflow.org/tfx/serving/api_rest ."""

from __future__ import annotations

import json
from typing import Any

from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from tensorflow_serving.apis import model_pb2

from serving import json_tensors
from serving.errors import HTTP_STATUS, Code, ServingError
from serving.service import Service, signature_name

_MODEL = "/v1/models/{name}"
_VERSION = _MODEL + "/versions/{version:int}"
_LARGEST_VERSION = 2**63 - 1


def app(service: Service, limit: int) -> Starlette:
    """The application.

    Args:
      service: answers.
      limit: bytes that a body may have, and an answer.
    """

    async def status(request: Request) -> Response:
        return _respond(_to_dict(service.status(_spec(request))))

    async def metadata(request: Request) -> Response:
        spec, signatures = await service.run(service.signatures, _spec(request))
        told = {"model_spec": _to_dict(spec), "metadata": {"signature_def": _to_dict(signatures)}}
        return _respond(told)

    async def predict(request: Request) -> Response:
        body = await _body(request, limit)
        answer = await service.run(_predict, service, _spec(request), body)
        if len(answer) > limit:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED,
                f"The answer has {len(answer):,} bytes; at most {limit:,} are sent.",
            )
        return Response(answer, media_type="application/json")

    routes = []
    for path in (_MODEL, _VERSION):
        # The longer first: a name may hold a colon.
        routes.append(Route(path + ":predict", predict, methods=["POST"]))
        routes.append(Route(path + "/metadata", metadata, methods=["GET"]))
        routes.append(Route(path, status, methods=["GET"]))
    handlers: Any = {ServingError: _refuse, HTTPException: _malformed}
    return Starlette(routes=routes, exception_handlers=handlers)


def _predict(service: Service, spec: Any, body: bytes) -> bytes:
    request = json_tensors.parse(body)
    spec.signature_name = request.signature
    with service.use(spec) as (_, model):
        name = signature_name(spec)
        inputs = json_tensors.to_inputs(request, model.signature(name).inputs)
        return json_tensors.to_body(model.predict(name, inputs), request.rows)


def _spec(request: Request) -> model_pb2.ModelSpec:
    """The ModelSpec that a path names."""
    name = request.path_params["name"]
    if ":" in name:
        raise HTTPException(400)  # what follows a colon is asked by POST
    spec = model_pb2.ModelSpec(name=name)
    version = request.path_params.get("version")
    if version is not None:
        spec.version.value = min(version, _LARGEST_VERSION)
    return spec


async def _body(request: Request, limit: int) -> bytes:
    """The body, read to its end even if it is too long: a client reads no answer before that."""
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            chunks.append(chunk)
        else:
            chunks.clear()
    if size > limit:
        raise ServingError(
            Code.RESOURCE_EXHAUSTED,
            f"The request has {size:,} bytes; at most {limit:,} are taken.",
        )
    return b"".join(chunks)


def _to_dict(message: Any) -> Any:
    return MessageToDict(
        message, including_default_value_fields=True, preserving_proto_field_name=True
    )


def _respond(content: Any, status: int = 200) -> Response:
    return Response(json.dumps(content, indent=1) + "\n", status, media_type="application/json")


async def _refuse(request: Request, error: ServingError) -> Response:
    return _respond({"error": error.message}, HTTP_STATUS[error.code])


async def _malformed(request: Request, error: HTTPException) -> Response:
    """No route: as in TensorFlow Serving, below /v1/ the request is malformed."""
    code = 400 if request.url.path.startswith("/v1/") else 404
    return _respond({"error": f"Malformed request: {request.method} {request.url.path}"}, code)
