"""Fixtures that every room's tests share."""

import os
import signal
from pathlib import Path

import pytest

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
