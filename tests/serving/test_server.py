"""One answer, whichever way it is asked for: gRPC, REST, and the model itself."""

from __future__ import annotations

import base64
import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from pipeline.commands.serving import curl
from serving import server as embedded
from serving.announcement import Announcement
from serving.client import Client
from serving.errors import Code, ServingError
from serving.transport import Tensor, VersionStatus
from tests.serving.conftest import NAME, jpeg, picture, png

SIZES = [(1, 1), (33, 20), (64, 64), (1030, 12)]  # the last is cut into tiles


@pytest.fixture(params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, server: Announcement) -> Iterator[Client]:
    address = f"grpc://{server.grpc}" if request.param == "grpc" else server.rest
    with Client(address, NAME) as made:
        yield made


@pytest.fixture
def channel(server: Announcement) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.grpc) as made:
        yield made


def mask_of(signatures: Any, file: bytes) -> np.ndarray:
    answer = signatures["serving_default"](image_bytes=tf.constant([file]))["mask_bytes"][0]
    return tf.io.decode_png(answer)[..., 0].numpy()


def curled(*arguments: str) -> tuple[int, Any]:
    """Status and JSON of plain curl."""
    done = subprocess.run(
        ["curl", "-s", "--noproxy", "*", "-w", "\n%{http_code}", *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("encode", [png, jpeg])
def test_a_file_has_the_mask_that_the_model_gives(
    client: Client, direct: Any, size: tuple[int, int], encode: Any
) -> None:
    file = encode(picture(size))
    expected = mask_of(direct, file)
    assert expected.shape == size
    if min(size) > 1:
        assert set(np.unique(expected)) == {0, 1}
    answer = client.mask(file)
    assert answer.dtype == np.uint8
    assert np.array_equal(answer, expected)


def test_an_rgb_model(rgb_model: Path) -> None:
    signatures = tf.saved_model.load(str(rgb_model)).signatures
    image = picture((40, 52), 3)
    options = embedded.Options("rgb", rgb_model, grpc_port=0, rest_port=0)
    with embedded.running(options) as here:
        assert here.version == 1  # a folder without a number
        for address in (f"grpc://{here.grpc}", here.rest):
            with Client(address, "rgb") as client:
                for file in (png(image), jpeg(image)):
                    assert np.array_equal(client.mask(file), mask_of(signatures, file))
                assert np.array_equal(client.mask(image), mask_of(signatures, png(image)))


def test_every_signature_gives_the_same_by_both_protocols(client: Client, direct: Any) -> None:
    image = picture((24, 17))
    answer = client.predict({"image": image[None]}, "tensor")
    expected = direct["tensor"](image=tf.constant(image[None]))["mask"]
    assert answer["mask"].dtype == np.uint8
    assert np.array_equal(answer["mask"], expected)

    file = np.array([png(image)], object)
    answer = client.predict({"image_bytes": file}, "probabilities")["probabilities"]
    expected = direct["probabilities"](image_bytes=tf.constant(file))["probabilities"]
    assert answer.dtype == np.float32
    # JSON has the shortest text of each float32, which reads back as the same number.
    assert np.array_equal(answer, expected)


def test_status_and_metadata(client: Client) -> None:
    assert client.status() == [VersionStatus(3, "AVAILABLE", "")]
    version, signatures = client.metadata()
    assert version == 3
    assert set(signatures) == {
        "serving_default",
        "probabilities",
        "tensor",
        "evaluate",
        "__saved_model_init_op",  # TensorFlow Serving tells of it too
    }
    assert signatures["serving_default"].inputs == {"image_bytes": Tensor("object", (-1,))}
    assert signatures["tensor"].inputs == {"image": Tensor("uint8", (-1, -1, -1, 1))}
    assert signatures["evaluate"].outputs == {"confusion": Tensor("int64", (-1, 4))}


def test_a_version_by_its_number(server: Announcement) -> None:
    for address in (f"grpc://{server.grpc}", server.rest):
        with Client(address, NAME, version=3) as client:
            assert client.mask(picture((8, 8))).shape == (8, 8)
        with Client(address, NAME, version=2) as client, pytest.raises(ServingError) as refused:
            client.mask(picture((8, 8)))
        assert refused.value.code is Code.NOT_FOUND
        assert refused.value.message == "Version 2 of cells is not served; 3 is."


def test_the_official_stubs(channel: grpc.Channel, direct: Any) -> None:
    predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    file = png(picture((20, 20)))
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([file]))
    response = predictions.Predict(request, timeout=60)
    assert response.model_spec.name == NAME
    assert response.model_spec.version.value == 3
    assert response.model_spec.signature_name == "serving_default"
    answer = tf.make_ndarray(response.outputs["mask_bytes"])[0]
    assert np.array_equal(tf.io.decode_png(answer)[..., 0], mask_of(direct, file))

    request.model_spec.signature_name = "tensor"
    del request.inputs["image_bytes"]
    request.inputs["image"].CopyFrom(tf.make_tensor_proto(picture((20, 20))[None]))
    request.output_filter.append("mask")
    response = predictions.Predict(request, timeout=60)
    assert np.array_equal(tf.make_ndarray(response.outputs["mask"])[0], mask_of(direct, file))

    metadata = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    metadata.model_spec.name = NAME
    told = predictions.GetModelMetadata(metadata, timeout=60)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert told.metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["serving_default"].method_name == "tensorflow/serving/predict"

    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = NAME
    told = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status, timeout=60)
    assert [(v.version, v.state) for v in told.model_version_status] == [(3, 30)]


def test_the_client_of_tfx(server: Announcement) -> None:
    from tfx.components.infra_validator import types
    from tfx.components.infra_validator.model_server_clients.tensorflow_serving_client import (
        TensorFlowServingClient,
    )

    client = TensorFlowServingClient(server.grpc, NAME)
    assert client._GetServingStatus() == types.ModelServingStatus.READY
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([png(picture((20, 20)))]))
    client.SendRequests([request])
    client = TensorFlowServingClient(server.grpc, "another")
    assert client._GetServingStatus() == types.ModelServingStatus.NOT_READY


def test_plain_curl_as_in_the_documentation(
    server: Announcement, direct: Any, tmp_path: Path
) -> None:
    url = f"{server.rest}/v1/models/{NAME}"
    ok = {"error_code": "OK", "error_message": ""}
    told = {"model_version_status": [{"version": "3", "state": "AVAILABLE", "status": ok}]}
    assert curled(url) == (200, told)
    assert curled(f"{url}/versions/3") == (200, told)
    status, metadata = curled(f"{url}/metadata")
    assert status == 200
    assert metadata["model_spec"] == {"name": NAME, "signature_name": "", "version": "3"}
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    assert signatures["serving_default"]["inputs"]["image_bytes"]["dtype"] == "DT_STRING"
    assert curled(f"{url}/versions/3/metadata") == (200, metadata)

    def predict(body: Any, suffix: str = "") -> tuple[int, Any]:
        file = tmp_path / "body.json"
        file.write_text(json.dumps(body))
        return curled("-X", "POST", f"{url}{suffix}:predict", "-d", f"@{file}")

    image = png(picture((9, 7)))
    coded = {"b64": base64.b64encode(image).decode()}
    mask = mask_of(direct, image)

    def read(answer: Any) -> list[list[int]]:
        return tf.io.decode_png(base64.b64decode(answer["b64"]))[..., 0].numpy().tolist()

    for row in (coded, {"image_bytes": coded}):
        for suffix in ("", "/versions/3"):
            status, answer = predict({"instances": [row, row]}, suffix)
            assert status == 200
            # One output: its name is left out.
            assert list(map(read, answer["predictions"])) == [mask.tolist()] * 2
    for column in ([coded], {"image_bytes": [coded]}):
        status, answer = predict({"signature_name": "serving_default", "inputs": column})
        assert status == 200
        assert list(map(read, answer["outputs"])) == [mask.tolist()]
    pixels = picture((9, 7))[None].tolist()
    assert predict({"signature_name": "tensor", "instances": pixels}) == (
        200,
        {"predictions": [mask.tolist()]},
    )


def test_errors_look_as_those_of_tensorflow_serving(server: Announcement) -> None:
    url = f"{server.rest}/v1/models"
    for path, code, words in (
        (f"{url}/another", 404, "There is no model 'another'; 'cells' is served."),
        (f"{url}/{NAME}/versions/9", 404, "Could not find version 9 of model cells."),
        (f"{url}/{NAME}/versions/x", 400, f"Malformed request: GET /v1/models/{NAME}/versions/x"),
        (f"{url}/{NAME}:predict", 400, f"Malformed request: GET /v1/models/{NAME}:predict"),
        (url, 400, "Malformed request: GET /v1/models"),
        (f"{server.rest}/", 404, "Malformed request: GET /"),
    ):
        assert curled(path) == (code, {"error": words})


def test_the_command_that_overtile_serve_shows(
    server: Announcement, direct: Any, tmp_path: Path
) -> None:
    image = tmp_path / "it's an image.png"
    image.write_bytes(png(picture((40, 30))))
    command = curl(f"{server.rest}/v1/models/{NAME}", shlex.quote(str(image)))
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=60)
    mask = tf.io.decode_png((tmp_path / "mask.png").read_bytes())[..., 0]
    assert np.array_equal(mask, mask_of(direct, image.read_bytes()))


def test_an_answer_that_is_too_large(client: Client) -> None:
    # 800 x 700 x 2 float32 are 4.48 MB, more than LIMIT.
    file = np.array([png(np.zeros((800, 700, 1), np.uint8))], object)
    with pytest.raises(ServingError) as refused:
        client.predict({"image_bytes": file}, "probabilities")
    assert refused.value.code is Code.RESOURCE_EXHAUSTED
    assert client.mask(picture((8, 8))).shape == (8, 8)
