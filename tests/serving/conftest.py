"""Tiny exported models, and one server process that all tests share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from components.records import Layout
from serving import process
from serving.announcement import Announcement
from trainer.export import export
from trainer.models import registry

NAME = "cells"
LIMIT = 4 * 2**20
OPTIONS = {"width": 4, "depth": 2}
CLASSES = ("background", "cell")


def picture(size: tuple[int, int], channels: int = 1, seed: int = 0) -> np.ndarray:
    """uint8 [H, W, C], smooth enough that JPEG does it little harm."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [
        128 + 100 * np.sin(x / generator.uniform(3, 9)) * np.cos(y / generator.uniform(3, 9))
        for _ in range(channels)
    ]
    return np.stack(waves, axis=-1).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    return tf.io.encode_png(image).numpy()


def jpeg(image: np.ndarray) -> bytes:
    return tf.io.encode_jpeg(image).numpy()


def write_model(folder: Path, channels: int = 1, flipped: bool = False) -> Path:
    """Exports an untrained model; `flipped` gives each pixel the other one of its two classes."""
    keras.utils.set_random_seed(5)
    mean, deviation = [120.0] * channels, [60.0] * channels
    model = registry.build("unet", OPTIONS, len(CLASSES), mean, deviation)
    kernel, bias = model.layers[-1].get_weights()
    # So that both classes occur: the threshold lies where half of this picture's pixels are.
    logits = model(picture((64, 64), channels)[None].astype(np.float32)).numpy()
    bias[0] += np.median(logits[..., 1] - logits[..., 0])
    if flipped:
        kernel, bias = kernel[..., ::-1], bias[::-1]
    model.layers[-1].set_weights([kernel, bias])
    export(
        model,
        Layout(channels, "uint8", CLASSES),
        registry.geometry("unet", OPTIONS),
        str(folder),
        {"name": NAME},
        tf.constant(picture((16, 16), channels)),
    )
    return folder


@pytest.fixture(scope="session")
def grey_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("grey") / "model")


@pytest.fixture(scope="session")
def flipped_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Gives every pixel the class that `grey_model` does not."""
    return write_model(tmp_path_factory.mktemp("flipped") / "model", flipped=True)


@pytest.fixture(scope="session")
def rgb_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("rgb") / "model", channels=3)


@pytest.fixture(scope="session")
def server(grey_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Announcement]:
    """Version 3 of the grey model in a process of its own; messages have at most LIMIT bytes."""
    models = tmp_path_factory.mktemp("served")
    shutil.copytree(grey_model, models / "3")
    log = models.parent / "server.log"
    with process.started(NAME, models, "--limit", str(LIMIT), log=log) as announcement:
        yield announcement


@pytest.fixture(scope="session")
def direct(grey_model: Path):
    """The signatures of the grey model, called without a server."""
    loaded = tf.saved_model.load(str(grey_model))
    yield loaded.signatures
    del loaded
