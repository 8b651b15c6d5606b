"""Two processes on this machine that train together as two machines would."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.errors import InputError
from components.records import Layout
from trainer import train, workers
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.settings import Settings
from trainer.statistics import Statistics
from trainer.strategy import Cluster


def settings(layout: Layout) -> Settings:
    # A batch of 3 tiles is uneven for two workers, and so is the eval split of 3 records.
    plan: dict[str, Any] = {"steps": 6, "steps_per_epoch": 3, "batch_size": 3, "crop": 16}
    return Settings(
        layout,
        ModelConfig(options={"width": 4, "depth": 1, "normalisation": "none"}),
        TrainConfig(
            **plan,
            optimizer="sgd",
            momentum=0.9,
            learning_rate=0.05,
            precision="float32",
            weight_average=0.5,
            loss={"cross_entropy": 1.0, "dice": 1.0},
        ),
        AugmentConfig(elastic=True, elastic_sigma=2),
    )


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def further_worker(folder: Path, config: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer.workers", str(folder)],
        env={**os.environ, "TF_CONFIG": config},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_two_workers_train_what_one_process_trains(
    record_files: dict[str, str],
    layout: Layout,
    statistics: Statistics,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [record_files["train"]], [record_files["eval"]]
    alone = train.train(settings(layout), statistics, *files, tmp_path / "alone")

    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(2)]}
    chief, other = (
        json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        for index in (0, 1)
    )
    checkpoints = tmp_path / "checkpoints"
    monkeypatch.setattr(train, "read", lambda uri: statistics)
    monkeypatch.setenv("TF_CONFIG", chief)
    # The chief's process finds the repository as this one does.
    monkeypatch.chdir(Path(__file__).parents[2])
    arguments = SimpleNamespace(
        custom_config={
            **settings(layout).to_json(),
            "checkpoints": str(checkpoints),
            "description": {"name": "discs"},
        },
        hyperparameters=None,
        transform_output="unused",
        base_model=None,
        train_files=files[0],
        eval_files=files[1],
        serving_model_dir=str(tmp_path / "serving"),
        model_run_dir=str(tmp_path / "run"),
    )
    with further_worker(checkpoints, other) as process:
        train.run_fn(arguments)
        said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said

    summary = json.loads((tmp_path / "run/training.json").read_text())
    assert (summary["workers"], summary["replicas"]) == (2, 2)
    for one, both in zip(alone.summary["history"], summary["history"], strict=True):
        for name in ("loss", "val_loss", "val_mean_iou"):
            assert both[name] == pytest.approx(one[name], abs=1e-5)
    # The chief wrote, and cleaned up; the other left nothing.
    assert list((tmp_path / "run/logs").rglob("events*"))
    assert not list(checkpoints.iterdir())
    exported = tf.train.load_checkpoint(f"{tmp_path}/serving/variables/variables")
    found = {
        name: exported.get_tensor(name)
        for name in exported.get_variable_to_shape_map()
        if name.startswith("model/layer") and name.endswith("VARIABLE_VALUE")
    }
    for weight in alone.model.get_weights():
        same = [value for value in found.values() if value.shape == weight.shape]
        assert min(np.max(np.abs(weight - value)) for value in same) < 1e-5


def test_the_pipeline_runs_on_the_chief_alone(
    layout: Layout, statistics: Statistics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    with pytest.raises(InputError, match=r"not the chief: run `python -m trainer\.workers"):
        workers.lead(settings(layout), statistics, [], [], tmp_path / "key", None)
    assert Cluster(2, 0).is_chief
    assert not Cluster(2, 1).is_chief


@pytest.mark.parametrize(
    ("said", "code", "error", "message"),
    [
        ({"error": "The disk is full.", "input": True}, 2, InputError, "^The disk is full.$"),
        ({"error": "b:1 is gone", "input": False}, 1, RuntimeError, "ended early: b:1 is gone"),
        ({"message": "step 1 of 2"}, 3, RuntimeError, "ended early: .* ended with 3"),
    ],
)
def test_what_ends_the_chiefs_process_is_told(
    said: dict[str, Any], code: int, error: type[Exception], message: str
) -> None:
    script = f"print({json.dumps(said)!r}); print('words of a library'); raise SystemExit({code})"
    with pytest.raises(error, match=message):
        workers._relay([sys.executable, "-c", script])
