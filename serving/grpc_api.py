"""TensorFlow Serving's gRPC API: PredictionService and ModelService."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving import tensors
from serving.errors import Code, ServingError, invalid
from serving.service import Service, signature_name

_METADATA = "signature_def"


def server(service: Service, address: str, limit: int) -> tuple[grpc.aio.Server, int]:
    """A server that is bound and not started; call it in its event loop.

    Args:
      service: answers.
      address: host and port; port 0 for any that is free.
      limit: bytes that a message may have.

    Returns:
      The server, and its port.

    Raises:
      ServingError: the port is taken.
    """
    options = [
        ("grpc.max_receive_message_length", limit),
        ("grpc.max_send_message_length", limit),
        ("grpc.so_reuseport", 0),  # or a second server would take half of the first one's requests
    ]
    made = grpc.aio.server(options=options)
    made.add_generic_rpc_handlers(_handlers(service))
    try:
        return made, made.add_insecure_port(address)
    except RuntimeError:
        raise ServingError(
            Code.UNAVAILABLE, f"{address} cannot be listened at: it is taken, or not of this host."
        ) from None


def _handlers(service: Service) -> list[grpc.GenericRpcHandler]:
    """Takes and returns bytes, so that messages are parsed in the pool and told of if broken."""

    def handler(message: Any, answer: Callable[[Service, Any], Any]) -> grpc.RpcMethodHandler:
        def work(request: bytes) -> bytes:
            try:
                parsed = message.FromString(request)
            except DecodeError:
                raise invalid(f"The request is no {message.DESCRIPTOR.name}.") from None
            return answer(service, parsed).SerializeToString()

        async def call(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
            try:
                # What only looks at states is answered at once, however busy the pool is.
                return work(request) if answer is _status else await service.run(work, request)
            except ServingError as error:
                await context.abort(error.code, error.message)
                raise  # not reached: abort raises

        return grpc.unary_unary_rpc_method_handler(call)

    return [
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.PredictionService",
            {
                "Predict": handler(predict_pb2.PredictRequest, _predict),
                "GetModelMetadata": handler(
                    get_model_metadata_pb2.GetModelMetadataRequest, _metadata
                ),
            },
        ),
        grpc.method_handlers_generic_handler(
            "tensorflow.serving.ModelService",
            {"GetModelStatus": handler(get_model_status_pb2.GetModelStatusRequest, _status)},
        ),
    ]


def _predict(service: Service, request: Any) -> predict_pb2.PredictResponse:
    with service.use(request.model_spec) as (number, model):
        outputs = model.answer(request)
    name = signature_name(request.model_spec)
    response = predict_pb2.PredictResponse(model_spec=service.spec(number, name))
    for output, array in outputs.items():
        tensors.fill(response.outputs[output], array)
    return response


def _metadata(service: Service, request: Any) -> get_model_metadata_pb2.GetModelMetadataResponse:
    if not request.metadata_field:
        raise invalid(f'The request must name a metadata_field: "{_METADATA}".')
    for field in request.metadata_field:
        if field != _METADATA:
            raise invalid(f'The metadata_field "{field}" is not supported; "{_METADATA}" is.')
    spec, signatures = service.signatures(request.model_spec)
    response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=spec)
    response.metadata[_METADATA].Pack(signatures)
    return response


def _status(service: Service, request: Any) -> get_model_status_pb2.GetModelStatusResponse:
    return service.status(request.model_spec)
