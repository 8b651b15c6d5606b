"""A thousand requests that are wrong in every way that we could think of, drawn from a seed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import grpc
import numpy as np
import pytest
import requests
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2

from serving.announcement import Announcement
from serving.errors import Code
from tests.serving.conftest import LIMIT, NAME, jpeg, picture, png

REQUESTS = 1000
PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"

Random = np.random.Generator


class Answer(NamedTuple):
    """What came back: gRPC's code or HTTP's status, and the words."""

    code: Any
    words: str


class Asker:
    """Sends anything at all to a server."""

    def __init__(self, server: Announcement) -> None:
        self.rest = server.rest
        self.session = requests.Session()
        self.session.trust_env = False
        # The client's own limit would refuse what the server shall refuse.
        self.channel = grpc.insecure_channel(
            server.grpc, [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
        )

    def call(self, content: bytes, method: str = PREDICT) -> Answer:
        try:
            self.channel.unary_unary(method)(content, timeout=60)
        except grpc.RpcError as error:
            return Answer(error.code(), error.details())
        return Answer(Code.OK, "")

    def predict(self, change: Callable[[Any], None]) -> Answer:
        """By gRPC: a good request, once `change` has been at it."""
        request = good()
        change(request)
        return self.call(request.SerializeToString())

    def post(self, content: Any, path: str = f"/v1/models/{NAME}:predict") -> Answer:
        data = content if isinstance(content, (bytes, str)) else json.dumps(content)
        response = self.session.post(self.rest + path, data=data, timeout=60)
        return Answer(response.status_code, response.json().get("error", ""))

    def get(self, path: str) -> Answer:
        response = self.session.get(self.rest + path, timeout=60)
        return Answer(response.status_code, response.json().get("error", ""))

    def close(self) -> None:
        self.channel.close()
        self.session.close()


IMAGE = png(picture((12, 10)))


def good(file: bytes = IMAGE) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([file]))
    return request


def coded(file: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(file).decode()}


def tensor(signature: str, name: str, value: Any) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        request.model_spec.signature_name = signature
        del request.inputs["image_bytes"]
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))

    return change


def claimed(dtype: int, sizes: list[int], content: bytes = b"") -> Callable[[Any], None]:
    """A tensor that claims a shape."""

    def change(request: Any) -> None:
        tensor("tensor", "image", np.zeros([1, 1, 1, 1], np.uint8))(request)
        proto = request.inputs["image"]
        proto.Clear()
        proto.dtype, proto.tensor_content = dtype, content
        for size in sizes:
            proto.tensor_shape.dim.add().size = size

    return change


def broken_image(random: Random) -> bytes:
    """The beginning of an image, noise, or nothing."""
    kind = random.integers(3)
    if kind == 0:
        size = tuple(random.integers(8, 60, 2))
        file = (png, jpeg)[random.integers(2)](picture(size, seed=int(random.integers(99))))
        return file[: random.integers(1, int(0.9 * len(file)))]
    return random.bytes(random.integers(1, 500)) if kind == 1 else b""


def word(random: Random) -> str:
    return "".join(random.choice(list("abcdefgh_-0129"), random.integers(3, 12)))


# Each sends one request, and says which answer is right. By gRPC:


def call_image(asker: Asker, random: Random) -> tuple[Answer, Any]:
    file = broken_image(random)
    signature = random.choice(["", "serving_default", "probabilities"])

    def change(request: Any) -> None:
        request.model_spec.signature_name = signature
        request.inputs["image_bytes"].string_val[0] = file

    return asker.predict(change), Code.INVALID_ARGUMENT


def call_noise(asker: Asker, random: Random) -> tuple[Answer, Any]:
    return asker.call(random.bytes(random.integers(1, 200))), Code.INVALID_ARGUMENT


def call_cut(asker: Asker, random: Random) -> tuple[Answer, Any]:
    content = good().SerializeToString(deterministic=True)
    return asker.call(content[: random.integers(0, len(content) - 1)]), Code.INVALID_ARGUMENT


def call_names(asker: Asker, random: Random) -> tuple[Answer, Any]:
    kind, name = random.integers(7), word(random) + "x"

    def change(request: Any) -> None:
        if kind == 0:
            request.model_spec.name = name
        elif kind == 1:
            request.model_spec.version.value = int(random.integers(4, 2**62))
        elif kind == 2:
            request.model_spec.version.value = -1
        elif kind == 3:
            request.model_spec.signature_name = name
        elif kind == 4:
            request.model_spec.version_label = name
        elif kind == 5:
            request.model_spec.name = ""
        else:
            request.model_spec.signature_name = "__saved_model_init_op"

    return asker.predict(change), Code.NOT_FOUND if kind < 3 else Code.INVALID_ARGUMENT


def call_inputs(asker: Asker, random: Random) -> tuple[Answer, Any]:
    kind = random.integers(5)

    def change(request: Any) -> None:
        if kind == 0:
            request.inputs[word(random)].CopyFrom(request.inputs["image_bytes"])
        elif kind == 1:
            del request.inputs["image_bytes"]
        elif kind == 2:
            request.output_filter.append(word(random))
        elif kind == 3:
            request.output_filter.extend(["mask_bytes", "mask_bytes"])
        else:
            request.inputs["image_bytes"].CopyFrom(
                tf.make_tensor_proto(np.full([1] * random.choice([0, 2, 3]), IMAGE, object))
            )

    return asker.predict(change), Code.INVALID_ARGUMENT


def call_tensor(asker: Asker, random: Random) -> tuple[Answer, Any]:
    sizes = [int(size) for size in random.integers(1, 5, random.choice([0, 1, 2, 3, 5]))]
    dtype = random.choice(["float32", "int64", "bool", "uint16", "float16", "complex64"])
    changes = [
        tensor("tensor", "image", np.ones([1, 4, 4, 1], dtype)),
        tensor("tensor", "image", np.ones(sizes, np.uint8)),
        tensor("tensor", "image", np.ones([1, 4, 4, 2], np.uint8)),
        tensor("tensor", "image", np.ones([1, 0, 4, 1], np.uint8)),
        tensor("tensor", "image", [b"text"]),
        tensor("evaluate", "examples", [random.bytes(random.integers(1, 99))]),
        tensor("serving_default", "image_bytes", np.zeros([0], object)),
        tensor("probabilities", "image_bytes", [png(picture((8, 8))), png(picture((9, 8)))]),
    ]
    return asker.predict(changes[random.integers(len(changes))]), Code.INVALID_ARGUMENT


def call_claim(asker: Asker, random: Random) -> tuple[Answer, Any]:
    many = int(random.integers(LIMIT + 1, 2**40))
    kind = random.integers(6)
    change, code = [
        (claimed(4, [1, many, 1, 1]), Code.RESOURCE_EXHAUSTED),
        (claimed(4, [many, many, many, 1]), Code.RESOURCE_EXHAUSTED),
        (claimed(4, [1, 2, 2, 1], random.bytes(3)), Code.INVALID_ARGUMENT),
        (claimed(4, [1, -int(random.integers(1, 9)), 1, 1]), Code.INVALID_ARGUMENT),
        (claimed(int(random.integers(24, 200)), [1, 1, 1, 1]), Code.INVALID_ARGUMENT),
        (claimed(4, [1] * 40), Code.INVALID_ARGUMENT),
    ][kind]
    return asker.predict(change), code


def call_huge(asker: Asker, random: Random) -> tuple[Answer, Any]:
    return asker.call(bytes(LIMIT + int(random.integers(1, 999)))), Code.RESOURCE_EXHAUSTED


def call_method(asker: Asker, random: Random) -> tuple[Answer, Any]:
    if random.integers(2):
        path = f"/tensorflow.serving.PredictionService/{word(random)}"
        return asker.call(good().SerializeToString(), path), Code.UNIMPLEMENTED
    request = get_model_metadata_pb2.GetModelMetadataRequest()
    request.model_spec.name = NAME
    if random.integers(2):
        request.metadata_field.append(word(random))
    return asker.call(request.SerializeToString(), METADATA), Code.INVALID_ARGUMENT


# And by REST:


def post_image(asker: Asker, random: Random) -> tuple[Answer, Any]:
    body: dict[str, Any] = {"instances": [coded(broken_image(random))]}
    if random.integers(2):
        body["signature_name"] = "probabilities"
    return asker.post(body), 400


def post_noise(asker: Asker, random: Random) -> tuple[Answer, Any]:
    return asker.post(random.bytes(random.integers(0, 200))), 400


def post_cut(asker: Asker, random: Random) -> tuple[Answer, Any]:
    text = json.dumps({"instances": [coded(IMAGE)]})
    return asker.post(text[: random.integers(0, len(text))]), 400


def post_wrong(asker: Asker, random: Random) -> tuple[Answer, Any]:
    image = coded(IMAGE)
    bodies: list[Any] = [
        [],
        None,
        7,
        {},
        {"instance": [image]},
        {"instances": []},
        {"instances": image},
        {"instances": [image], "inputs": [image]},
        {"instances": [None]},
        {"instances": [3.5]},
        {"instances": [True, image]},
        {"instances": [[image]]},
        {"instances": [image, [image]]},
        {"instances": [{"b64": "***"}]},
        {"instances": [{"b64": 7}]},
        {"instances": [{"b64": image["b64"], "more": 1}]},
        {"instances": [{word(random): image}]},
        {"instances": [{"image_bytes": image}, image]},
        {"instances": [image], "signature_name": 7},
        {"instances": [image], "signature_name": word(random)},
        {"instances": [image], "signature_name": "tensor"},
        {"inputs": image},
        {"inputs": {}},
        {"inputs": {"image_bytes": [image], word(random): 1}},
        {"inputs": [], "signature_name": "tensor"},
        {"inputs": [[[[256]]]], "signature_name": "tensor"},
        {"inputs": [[[[-1]]]], "signature_name": "tensor"},
        {"inputs": [[[[10**30]]]], "signature_name": "tensor"},
        {"inputs": [[[[1.5]]]], "signature_name": "tensor"},
        {"inputs": [[[[float("nan")]]]], "signature_name": "tensor"},
        {"inputs": [[[["1"]]]], "signature_name": "tensor"},
        {"inputs": [[[[1], [2]], [[3]]]], "signature_name": "tensor"},
        {"inputs": [[[[1, 2]]]], "signature_name": "tensor"},
        {"inputs": [[1]], "signature_name": "tensor"},
        {"inputs": ["record"], "signature_name": "evaluate"},
        '{"inputs": ' + "[" * 50 + "]" * 50 + "}",
        '{"instances": ' + "[" * 100_000,
        '{"instances": [' + "1" * 5000 + "]}",
        b'{"instances": ["\xff\xfe"]}',
    ]
    return asker.post(bodies[random.integers(len(bodies))]), 400


def post_huge(asker: Asker, random: Random) -> tuple[Answer, Any]:
    return asker.post(b" " * (LIMIT + int(random.integers(1, 999)))), 413


def ask_path(asker: Asker, random: Random) -> tuple[Answer, Any]:
    body = {"instances": [coded(IMAGE)]}
    name = word(random) + "x"
    kind = random.integers(9)
    if kind < 3:
        path = [
            f"/v1/models/{name}:predict",
            f"/v1/models/{NAME}/versions/{random.integers(4, 10**9)}:predict",
            f"/v1/models/{NAME}/versions/{10**30}:predict",
        ][kind]
        return asker.post(body, path), 404
    if kind == 3:
        return asker.post(body, f"/v1/models/{NAME}:{name}"), 400
    if kind == 4:
        return asker.post(body, f"/v1/models/{NAME}"), 400
    path, status = [
        (f"/v1/models/{name}", 404),
        (f"/v1/models/{name}/metadata", 404),
        (f"/v1/models/{NAME}/{name}", 400),
        (f"/{name}", 404),
    ][kind - 5]
    return asker.get(path), status


# Of each hundred requests, so many are of this kind; those of some megabytes take a while.
KINDS: dict[Callable[[Asker, Random], tuple[Answer, Any]], int] = {
    call_image: 10,
    call_noise: 6,
    call_cut: 6,
    call_names: 8,
    call_inputs: 6,
    call_tensor: 9,
    call_claim: 7,
    call_huge: 1,
    call_method: 3,
    post_image: 10,
    post_noise: 4,
    post_cut: 5,
    post_wrong: 16,
    post_huge: 1,
    ask_path: 8,
}


@pytest.fixture
def asker(server: Announcement) -> Iterator[Asker]:
    made = Asker(server)
    yield made
    made.close()


@pytest.mark.slow
def test_each_gets_its_status_and_the_next_good_request_an_answer(asker: Asker) -> None:
    assert sum(KINDS.values()) == 100
    random = np.random.default_rng(2015)
    body = json.dumps({"instances": [coded(IMAGE)]})
    kinds = [kind for kind, share in KINDS.items() for _ in range(share * REQUESTS // 100)]
    random.shuffle(kinds)  # type: ignore[arg-type]
    assert len(kinds) == REQUESTS
    for place, kind in enumerate(kinds):
        answer, expected = kind(asker, random)
        told = f"request {place}, {kind.__name__}: {answer}"
        assert answer.code == expected, told
        assert answer.words, told
        assert len(answer.words) < 500, told
        assert "\n" not in answer.words, told
        assert "Traceback" not in answer.words, told
        if place % 2:
            assert asker.call(good().SerializeToString()).code is Code.OK, told
        else:
            assert asker.post(body).code == 200, told
