"""The client's own messages have the bytes of the official ones."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    predict_pb2,
)

from serving import messages, tensors
from tests.serving.test_tensors import DTYPES


def same(ours, official) -> None:
    """Both write the same bytes, and each reads the other's."""
    content = official.SerializeToString(deterministic=True)
    assert content
    assert ours.SerializeToString(deterministic=True) == content
    assert type(ours).FromString(content) == ours
    assert type(official).FromString(ours.SerializeToString()) == official


def test_predict_request() -> None:
    pair = (messages.PredictRequest(), predict_pb2.PredictRequest())
    for request in pair:
        request.model_spec.name = "cells"
        request.model_spec.version.value = 12
        request.model_spec.signature_name = "tensor"
        request.output_filter.append("mask")
        tensors.fill(request.inputs["image"], np.arange(6, dtype=np.uint8).reshape(1, 2, 3, 1))
        tensors.fill(request.inputs["image_bytes"], np.array([b"a\0", b""], object))
    same(*pair)


def test_every_list_of_values() -> None:
    """A tensor that lists values, as TensorFlow Serving answers; each type has a field."""
    for dtype in DTYPES:
        official = predict_pb2.PredictResponse()
        official.outputs["x"].CopyFrom(tf.make_tensor_proto(np.ones([], dtype), shape=[3]))
        assert not official.outputs["x"].tensor_content
        ours = messages.PredictResponse.FromString(official.SerializeToString())
        same(ours, official)
        assert np.array_equal(tensors.to_array(ours.outputs["x"], 99), np.ones(3, dtype))


def test_predict_response() -> None:
    pair = (messages.PredictResponse(), predict_pb2.PredictResponse())
    for response in pair:
        response.model_spec.name = "cells"
        response.model_spec.version.value = 2**62
        tensors.fill(response.outputs["mask"], np.zeros((1, 2, 2), np.float32))
    same(*pair)


def test_status() -> None:
    pair = (
        messages.GetModelStatusResponse(),
        get_model_status_pb2.GetModelStatusResponse(),
    )
    for response in pair:
        told = response.model_version_status.add(version=7, state=50)
        told.status.error_code = 9
        told.status.error_message = "it does not load"
    same(*pair)
    pair = (messages.GetModelStatusRequest(), get_model_status_pb2.GetModelStatusRequest())
    for request in pair:
        request.model_spec.name = "cells"
    same(*pair)


def test_metadata() -> None:
    pair = (messages.SignatureMap(), get_model_metadata_pb2.SignatureDefMap())
    for signatures in pair:
        info = signatures.signature_def["tensor"].inputs["image"]
        info.name, info.dtype = "image:0", 4
        info.tensor_shape.dim.add().size = -1
        signatures.signature_def["tensor"].outputs["mask"].tensor_shape.unknown_rank = True
        signatures.signature_def["tensor"].method_name = "tensorflow/serving/predict"
    same(*pair)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = "cells"
    response.metadata["signature_def"].Pack(pair[1])
    ours = messages.GetModelMetadataResponse.FromString(response.SerializeToString())
    same(ours, response)
    read = messages.SignatureMap.FromString(ours.metadata["signature_def"].value)
    assert read == pair[0]
    pair = (
        messages.GetModelMetadataRequest(),
        get_model_metadata_pb2.GetModelMetadataRequest(),
    )
    for request in pair:
        request.metadata_field.append("signature_def")
    same(*pair)
