"""Fixtures that every room's tests share."""

import contextlib
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.places import place
from tests import object_stores
from tests.components.run_report import browser as browsers
from tests.components.run_report.browser import Browser
from tests.object_stores import Store

# Before TensorFlow is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

# A shell lets what it starts in the background ignore Ctrl-C, and so do the processes of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real labelled images; tests that need it skip where it is absent."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("OVERTILE_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real images: {folder} is absent and OVERTILE_DATA names no other folder")
    return folder


@pytest.fixture(scope="session")
def _stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Store]]:
    """Starts each server once, when it is first asked for."""
    running: dict[str, Store] = {}
    with contextlib.ExitStack() as stack:

        def start(scheme: str) -> Store:
            if scheme not in running:
                log = tmp_path_factory.mktemp(scheme) / "log"
                running[scheme] = stack.enter_context(object_stores.serve(scheme, log))
            return running[scheme]

        yield start


@pytest.fixture
def bucket_folder(
    _stores: Callable[[str], Store], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Gives a new, empty folder on an object store, by its scheme: "s3" or "gs"."""

    def folder(scheme: str) -> Path:
        for name, value in _stores(scheme).environment.items():
            monkeypatch.setenv(name, value)
        return place(f"{scheme}://{object_stores.BUCKET}/{uuid.uuid4()}")

    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Headless Chromium; tests that need it skip where there is none."""
    if browsers.find() is None:
        pytest.skip("there is no Chromium (Debian and Ubuntu: apt-get install chromium)")
    with Browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened
