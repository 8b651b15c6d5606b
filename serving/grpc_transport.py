"""A connection by gRPC: PredictionService and ModelService."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np

from serving import messages, tensors
from serving.errors import Code, ServingError
from serving.transport import (
    METADATA,
    Signature,
    Target,
    Tensor,
    VersionStatus,
    is_here,
    tensor,
)

_STATES = {0: "UNKNOWN", 10: "START", 20: "LOADING", 30: "AVAILABLE", 40: "UNLOADING", 50: "END"}


class Grpc:
    """A Transport."""

    def __init__(self, host: str, address: str, limit: int) -> None:
        """Connects when it is first asked.

        Args:
          host: of the address.
          address: host and port.
          limit: bytes that a message may have.
        """
        self._address, self._limit = address, limit
        self._channel = grpc.insecure_channel(
            address,
            [
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", limit),
                # A server that starts is found soon; when to try again is the client's affair.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
                ("grpc.enable_http_proxy", 0 if is_here(host) else 1),
            ],
        )

    def predict(
        self,
        target: Target,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """See Transport."""
        request = messages.PredictRequest(output_filter=list(outputs))
        _fill_spec(request.model_spec, target, signature)
        for name, array in inputs.items():
            tensors.fill(request.inputs[name], array)
        response = self._call(
            "PredictionService/Predict", request, messages.PredictResponse, timeout
        )
        return {
            name: tensors.to_array(value, self._limit) for name, value in response.outputs.items()
        }

    def status(self, target: Target, timeout: float) -> list[VersionStatus]:
        """See Transport."""
        request = messages.GetModelStatusRequest()
        _fill_spec(request.model_spec, target)
        response = self._call(
            "ModelService/GetModelStatus", request, messages.GetModelStatusResponse, timeout
        )
        return [
            VersionStatus(
                told.version, _STATES.get(told.state, "UNKNOWN"), told.status.error_message
            )
            for told in response.model_version_status
        ]

    def signatures(self, target: Target, timeout: float) -> tuple[int, dict[str, Signature]]:
        """See Transport."""
        request = messages.GetModelMetadataRequest(metadata_field=[METADATA])
        _fill_spec(request.model_spec, target)
        response = self._call(
            "PredictionService/GetModelMetadata",
            request,
            messages.GetModelMetadataResponse,
            timeout,
        )
        found = messages.SignatureMap.FromString(response.metadata[METADATA].value)
        return response.model_spec.version.value, {
            name: Signature(_tensors(signature.inputs), _tensors(signature.outputs))
            for name, signature in found.signature_def.items()
        }

    def close(self) -> None:
        """See Transport."""
        self._channel.close()

    def _call(self, method: str, request: Any, response: Any, timeout: float) -> Any:
        call = self._channel.unary_unary(
            f"/tensorflow.serving.{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        try:
            return call(request, timeout=timeout)
        except grpc.RpcError as error:
            code, words = error.code(), " ".join(error.details().split())
            if code is Code.UNAVAILABLE and "connect" in words.lower():
                words = f"No gRPC server answers at {self._address}."
            elif code is Code.DEADLINE_EXCEEDED:
                words = f"{self._address} did not answer in {timeout:.3g} s."
            raise ServingError(code, words) from None


def _fill_spec(spec: Any, target: Target, signature: str = "") -> None:
    spec.name, spec.signature_name = target.name, signature
    if target.version is not None:
        spec.version.value = target.version


def _tensors(infos: Mapping[str, Any]) -> dict[str, Tensor]:
    return {
        name: tensor(
            tensors.name_of(info.dtype),
            None
            if info.tensor_shape.unknown_rank
            else [dimension.size for dimension in info.tensor_shape.dim],
        )
        for name, info in infos.items()
    }
