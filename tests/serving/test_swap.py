"""New versions, good and broken, while requests come in."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from components.pusher.executor import push
from serving import process
from serving.announcement import Announcement
from serving.client import Client
from serving.errors import ServingError
from tests.serving.conftest import NAME, picture

pytestmark = pytest.mark.slow

IMAGE = picture((24, 24))


class Load(threading.Thread):
    """Asks for one mask after another, and counts which came."""

    def __init__(self, address: str, old: np.ndarray) -> None:
        super().__init__(daemon=True)
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self.ended = threading.Event()
        self._address, self._old = address, old

    def run(self) -> None:
        # No second attempts: what is lost would be seen.
        with Client(self._address, NAME, retries=0) as client:
            while not self.ended.is_set():
                try:
                    mask = client.mask(IMAGE)
                except ServingError as error:
                    self.failures.append(error.message)
                    continue
                same = np.array_equal(mask, self._old)
                flipped = np.array_equal(mask, 1 - self._old)
                self.answers["old" if same else "new" if flipped else "another"] += 1


def wait(until: Callable[[], Any]) -> None:
    limit = time.monotonic() + 240
    while not until():
        assert time.monotonic() < limit, "it did not happen in four minutes"
        time.sleep(0.05)


def loads(server: Announcement, old: np.ndarray) -> list[Load]:
    return [Load(f"grpc://{server.grpc}", old), Load(server.rest, old)]


def test_versions_that_come_and_go(grey_model: Path, flipped_model: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    first = int(Path(push(str(grey_model), str(models))).name)
    log = tmp_path / "log"
    with (
        process.started(NAME, models, "--poll", "0.2", log=log) as server,
        Client(f"grpc://{server.grpc}", NAME) as client,
    ):

        def state(version: int) -> tuple[str, str]:
            found = {told.version: told[1:] for told in client.status()}
            return found.get(version, ("", ""))

        assert server.version == first
        old = client.mask(IMAGE)
        assert set(np.unique(old)) == {0, 1}
        load = loads(server, old)
        for thread in load:
            thread.start()

        # A broken one: it is told of, and the first serves on.
        broken = tmp_path / "broken"
        shutil.copytree(grey_model, broken)
        (broken / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
        second = int(Path(push(str(broken), str(models))).name)
        wait(lambda: state(second)[0] == "END")
        assert "cannot be loaded" in state(second)[1]
        assert state(first) == ("AVAILABLE", "")
        assert "new" not in load[0].answers + load[1].answers

        # One that loads and answers its own warm-up requests wrongly.
        mute = tmp_path / "mute"
        shutil.copytree(grey_model, mute)
        requests = mute / "assets.extra" / "tf_serving_warmup_requests"
        write_warm_up(requests, b"not an image")
        third = int(Path(push(str(mute), str(models))).name)
        wait(lambda: state(third)[0] == "END")
        assert "does not answer its own warm-up requests" in state(third)[1]
        assert state(first) == ("AVAILABLE", "")

        # A good one takes over.
        fourth = int(Path(push(str(flipped_model), str(models))).name)
        wait(lambda: all(thread.answers["new"] > 5 for thread in load))
        wait(lambda: state(first)[0] == "END")
        assert state(first) == ("END", "")
        assert state(fourth) == ("AVAILABLE", "")
        assert np.array_equal(client.mask(IMAGE), 1 - old)

        for thread in load:
            thread.ended.set()
            thread.join()
            assert thread.failures == []
            assert thread.answers["another"] == 0
            assert thread.answers["old"] > 5
    assert "unloaded version" in log.read_text()


def write_warm_up(path: Path, image: bytes) -> None:
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto([image]))
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(log.SerializeToString())
