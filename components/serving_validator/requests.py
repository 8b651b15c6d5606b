"""Asks a server by TensorFlow Serving's own stubs, over both protocols."""

from __future__ import annotations

import base64
import time
from typing import Any, NamedTuple

import grpc
import numpy as np
import requests
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

_DEADLINE = 120.0  # seconds; how long an answer may take is not for the deadline to say
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class Answer(NamedTuple):
    """What a server answered, by output name, how long it took, and how much it sent."""

    outputs: dict[str, np.ndarray]
    seconds: float
    octets: int


class Server:
    """A model behind TensorFlow Serving's API.

    Args:
      name: of the model.
      grpc_address: host and port.
      rest_url: without a path.
    """

    def __init__(self, name: str, grpc_address: str, rest_url: str) -> None:
        self._name = name
        self._channel = grpc.insecure_channel(grpc_address, options=_UNLIMITED)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._url = f"{rest_url}/v1/models/{name}:predict"

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self._channel.close()

    def signatures(self) -> set[str]:
        """The names of the model's signatures."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        request.model_spec.name = self._name
        answer = self._stub.GetModelMetadata(request, timeout=_DEADLINE)
        found = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        # TensorFlow adds one to say how a model is restored.
        return {name for name in found.signature_def if not name.startswith("__")}

    def grpc(self, signature: str, **inputs: Any) -> Answer:
        """Predict over gRPC; inputs are arrays or lists of bytes."""
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._name
        request.model_spec.signature_name = signature
        for key, value in inputs.items():
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
        start = time.perf_counter()
        answer = self._stub.Predict(request, timeout=_DEADLINE)
        seconds = time.perf_counter() - start
        outputs = {key: tf.make_ndarray(value) for key, value in answer.outputs.items()}
        return Answer(outputs, seconds, answer.ByteSize())

    def rest_mask(self, encoded: bytes) -> Answer:
        """Predict over REST, of one encoded image, by `serving_default`."""
        instance = {"image_bytes": {"b64": base64.b64encode(encoded).decode()}}
        start = time.perf_counter()
        answer = requests.post(self._url, json={"instances": [instance]}, timeout=_DEADLINE)
        seconds = time.perf_counter() - start
        values = answer.json()
        if answer.status_code != requests.codes.ok:
            raise RuntimeError(values.get("error", f"status {answer.status_code}"))
        mask = base64.b64decode(values["predictions"][0]["b64"])
        return Answer({"mask_bytes": np.array([mask], object)}, seconds, len(answer.content))
