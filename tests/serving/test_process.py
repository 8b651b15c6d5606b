"""`python -m serving`: how it starts and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from serving import ports, server
from serving.announcement import Announcement
from serving.client import Client
from serving.errors import ServingError
from serving.model import Model
from tests.serving.conftest import NAME, picture


def serve(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "serving", "--name", NAME, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_an_announcement_is_read_as_it_was_written(tmp_path: Path) -> None:
    announcement = Announcement.of("0.0.0.0", 1, 2, 3)
    announcement.write(tmp_path / "a.json")
    assert Announcement.read(tmp_path / "a.json") == announcement
    assert announcement == Announcement(os.getpid(), "127.0.0.1:1", "http://127.0.0.1:2", 3)
    assert Announcement.of("::1", 1, 2, 3).rest == "http://[::1]:2"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.json"]


def test_a_port_that_is_taken_is_told_at_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = serve("--models", str(tmp_path), "--grpc-port", str(port))
    assert done.returncode == 1
    words = "is taken: choose another port, or 0 for any that is free."
    assert done.stderr.splitlines() == [f"127.0.0.1:{port} {words}"]


def test_small_answers_do_not_wait_for_acknowledgements() -> None:
    with (
        ports.bound("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
    ):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_why_it_does_not_start_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a model")
    done = serve("--models", str(tmp_path), "--grpc-port", "0", "--rest-port", "0")
    assert done.returncode == 1
    said = done.stderr.splitlines()
    words = "Error parsing message with type 'tensorflow.SavedModel'."
    assert said == [f"{tmp_path / '1'} cannot be loaded: {words}"]


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_what_is_being_answered_is_answered_before_it_ends(
    grey_model: Path, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    begun, ending = threading.Event(), threading.Event()
    predict = Model.predict

    def slow(*arguments: Any) -> Any:
        if arguments[1] == "tensor":  # not the warm-up requests
            begun.set()
            assert ending.wait(60)
        return predict(*arguments)

    masks: list[np.ndarray] = []
    image = picture((20, 20))[None]
    with server.running(server.Options(NAME, grey_model, grpc_port=0, rest_port=0)) as here:
        monkeypatch.setattr(Model, "predict", slow)
        address = f"grpc://{here.grpc}" if protocol == "grpc" else here.rest
        client = Client(address, NAME, retries=0)
        thread = threading.Thread(
            target=lambda: masks.append(client.predict({"image": image}, "tensor")["mask"])
        )
        thread.start()
        assert begun.wait(60)
        threading.Timer(0.3, ending.set).start()
    thread.join()
    assert masks[0].shape == (1, 20, 20)
    with pytest.raises(ServingError, match="server answers at"):
        client.status()
    client.close()


@pytest.mark.slow
def test_it_ends_with_its_parent(grey_model: Path) -> None:
    code = f"""
import os, pathlib, signal
from serving import process
with process.started("{NAME}", pathlib.Path({str(grey_model)!r})) as server:
    print(server.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    parent = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=300, check=False
    )
    assert parent.returncode == -signal.SIGKILL
    until = time.monotonic() + 60
    while psutil.pid_exists(pid := int(parent.stdout)):
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break  # ended, and whoever inherited it has not looked
        assert time.monotonic() < until, "the server outlives its parent"
        time.sleep(0.1)
