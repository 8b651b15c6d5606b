from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from serving import client as module
from serving.announcement import Announcement
from serving.client import Client
from serving.errors import Code, ServingError
from serving.images import decode_png
from serving.transport import Signature, Tensor
from tests.serving.conftest import LIMIT, NAME, picture, png


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that a client would have waited."""
    slept: list[float] = []
    monkeypatch.setattr(module.time, "sleep", slept.append)
    return slept


class Scripted:
    """A transport that fails as it is told, then answers."""

    def __init__(self, *codes: Code) -> None:
        self.codes = list(codes)

    def status(self, target: Any, timeout: float) -> list[Any]:
        if self.codes:
            raise ServingError(self.codes.pop(0), "as told")
        return ["answer"]


def scripted(*codes: Code, **options: Any) -> Client:
    client = Client("http://127.0.0.1:1", NAME, **options)
    client._transport = Scripted(*codes)  # type: ignore[assignment]
    return client


def test_a_server_that_is_away_is_asked_again(pauses: list[float]) -> None:
    assert scripted(*[Code.UNAVAILABLE] * 5).status() == ["answer"]
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6]
    with pytest.raises(ServingError):
        scripted(*[Code.UNAVAILABLE] * 6).status()


def test_a_bad_request_is_not_sent_again(pauses: list[float]) -> None:
    for code in (Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.DEADLINE_EXCEEDED, Code.INTERNAL):
        with pytest.raises(ServingError):
            scripted(code).status()
    assert pauses == []


def test_the_deadline_holds_for_all_attempts(pauses: list[float]) -> None:
    # After 0.1 + 0.2 s it would have to wait 0.4 s more; but no time passes here, so that the
    # limit is what a single pause may be.
    with pytest.raises(ServingError):
        scripted(*[Code.UNAVAILABLE] * 5, timeout=0.3).status()
    assert pauses == [0.1, 0.2]


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_no_server(scheme: str, pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with Client(f"{scheme}://127.0.0.1:{port}", NAME, retries=1) as client:
        with pytest.raises(ServingError, match="server answers at") as refused:
            client.status()
        assert refused.value.code is Code.UNAVAILABLE
    assert pauses == [0.1]


@pytest.mark.parametrize("scheme", ["grpc", "http"])
def test_a_server_that_never_answers(scheme: str) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Client(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}", NAME, timeout=0.2) as client,
        pytest.raises(ServingError, match="did not answer in") as refused,
    ):
        client.status()
    assert refused.value.code is Code.DEADLINE_EXCEEDED


def test_what_is_no_address() -> None:
    for address in ("127.0.0.1:8500", "grpc://127.0.0.1", "ftp://x:1", "grpc://x:y", ""):
        with pytest.raises(ServingError, match="write grpc://host:8500 or http://host:8501"):
            Client(address, NAME)


@pytest.fixture
def gateway() -> Iterator[tuple[str, list[int]]]:
    """A proxy that answers 503, 502 and 503, and then something that is not JSON."""
    answers = [503, 502, 503, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.pop(0))
            self.send_header("Content-Length", "6")
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_gateway_without_its_server(gateway: tuple[str, list[int]], pauses: list[float]) -> None:
    address, left = gateway
    with Client(address, NAME) as client, pytest.raises(ServingError, match="200 OK, not JSON"):
        client.status()
    assert left == []
    assert pauses == [0.1, 0.2, 0.4]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_images_of_every_kind(server: Announcement, protocol: str, tmp_path: Path) -> None:
    address = f"grpc://{server.grpc}" if protocol == "grpc" else server.rest
    image = picture((20, 30))
    file = tmp_path / "image.png"
    file.write_bytes(png(image))
    with Client(address, NAME) as client:
        expected = client.mask(file)
        assert set(np.unique(expected)) == {0, 1}
        for kind in ("bmp", "tif"):
            Image.fromarray(image[..., 0]).save(tmp_path / f"image.{kind}")
            assert np.array_equal(client.mask(tmp_path / f"image.{kind}"), expected)
        for same in (file.read_bytes(), str(file), image, image[..., 0], Image.open(file)):
            assert np.array_equal(client.mask(same), expected)
        answer = client.mask_png(image)
        assert answer.startswith(b"\x89PNG")
        with pytest.raises(ServingError, match='no signature "other"'):
            client.predict({}, "other")
        with pytest.raises(ServingError, match="cannot be decoded") as refused:
            client.mask(png(image)[:-30])
        assert refused.value.code is Code.INVALID_ARGUMENT
        noise = np.random.default_rng(0).integers(0, 256, (2100, 2100), np.uint8)
        with pytest.raises(ServingError) as refused:  # more than LIMIT
            client.mask(noise)
        assert len(png(noise[..., None])) > LIMIT
        assert refused.value.code is Code.RESOURCE_EXHAUSTED
        assert np.array_equal(client.mask(file), expected)


def test_a_model_that_takes_arrays_only() -> None:
    """Of two channels, say, which no PNG holds: its serving_default takes `image`."""

    class Arrays:
        def signatures(self, target: Any, timeout: float) -> Any:
            image, mask = Tensor("uint8", (-1, -1, -1, 2)), Tensor("uint8", (-1, -1, -1))
            return 1, {"serving_default": Signature({"image": image}, {"mask": mask})}

        def predict(self, target: Any, signature: str, inputs: Any, *_: Any) -> Any:
            assert signature == "serving_default"
            assert set(inputs) == {"image"}
            return {"mask": inputs["image"][..., 1]}

    client = Client("http://127.0.0.1:1", NAME)
    client._transport = Arrays()  # type: ignore[assignment]
    image = np.arange(24, dtype=np.uint8).reshape(3, 4, 2)
    assert np.array_equal(client.mask(image), image[..., 1])
    assert np.array_equal(decode_png(client.mask_png(image)), image[..., 1])


def test_without_tensorflow(server: Announcement, tmp_path: Path) -> None:
    file = tmp_path / "image.png"
    file.write_bytes(png(picture((20, 30))))
    code = f"""
import sys
for name in ("tensorflow", "tensorflow_serving", "tfx", "components", "trainer", "pipeline"):
    sys.modules[name] = None  # an import of it fails
from serving.client import Client
for address in ("grpc://{server.grpc}", "{server.rest}"):
    with Client(address, "{NAME}") as client:
        print(client.mask({str(file)!r}).shape, client.status()[0].state, client.metadata()[0])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["(20, 30) AVAILABLE 3"] * 2
