"""Trials in processes of their own, some of which die."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from components.errors import InputError
from components.records import Layout
from trainer import oracles, parallel, train, tune
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.statistics import Statistics
from trainer.tune_config import Range, TuneConfig


@pytest.fixture
def search(
    record_files: dict[str, str], layout: Layout, statistics: Statistics, tmp_path: Path
) -> tune.Search:
    settings = train.Settings(
        layout,
        ModelConfig(options={"depth": 1, "width": 2}),
        TrainConfig(batch_size=4, precision="float32"),
        AugmentConfig(),
    )
    space = {"train.learning_rate": Range(min=1e-3, max=1e-1, scale="log")}
    plan = TuneConfig(algorithm="random", trials=2, steps=6, parallel=2, space=space)
    data = tune.Data(statistics, [record_files["train"]], [record_files["eval"]])
    return tune.Search(settings, plan, data, tmp_path / "search")


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Those that the chief listened at; each test leaves none behind, and no process."""
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    used: list[int] = []
    started = parallel._Worker.__post_init__

    def start(self: Any) -> None:
        used.append(self.port)
        started(self)

    monkeypatch.setattr(parallel._Worker, "__post_init__", start)
    yield used
    assert used
    left = [one for one in psutil.Process().children(recursive=True) if one.pid not in before]
    assert left == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", used[0])) != 0


def test_workers_share_what_there_is() -> None:
    two = {"TF_NUM_INTRAOP_THREADS": "4", "OMP_NUM_THREADS": "4"}
    assert parallel.split(2, [], 9) == [two, two]
    one = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    assert parallel.split(3, [], 2) == [one, one, one]
    gpus = parallel.split(2, ["4", "7"], 8)
    assert gpus == [{**two, "CUDA_VISIBLE_DEVICES": "4"}, {**two, "CUDA_VISIBLE_DEVICES": "7"}]
    crowded = parallel.split(2, ["0"], 8)
    assert all(share["CUDA_VISIBLE_DEVICES"] == "0" for share in crowded)
    assert all(share["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for share in crowded)


@pytest.mark.slow
def test_a_worker_dies_and_no_trial_is_lost(
    search: tune.Search, ports: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    killed: list[str] = []

    def kill(record: logging.LogRecord) -> bool:
        # At the first word of a training, one of the workers is in the middle of a trial.
        busy = list(search.oracle.ongoing_trials)
        if hasattr(record, "done") and busy and not killed:
            number = int(busy[0].removeprefix("worker-"))
            killed.append(search.oracle.ongoing_trials[busy[0]].trial_id)
            children = psutil.Process().children()
            ids = {child.environ().get("KERASTUNER_TUNER_ID"): child for child in children}
            os.kill(ids[f"worker-{number}"].pid, signal.SIGKILL)
        return True

    tune.progress.addFilter(kill)
    try:
        with caplog.at_level(logging.INFO, "overtile.progress"):
            search.search()
    finally:
        tune.progress.removeFilter(kill)
    assert len(killed) == 1
    assert "A worker of the search ended: it was killed, most likely because memory" in caplog.text
    # Two workers, and the one that took the dead one's place.
    assert len(ports) == 3
    told = search.told()
    assert sorted(trial.trial for trial in told) == [1, 2]
    assert all(trial.status == "completed" and trial.steps == 6 for trial in told)
    assert len({trial.values["train.learning_rate"] for trial in told}) == 2
    best = max(told, key=lambda trial: trial.mean_iou or 0)
    assert search.get_best_hyperparameters()[0].values == best.values
    assert any(" of 2, step" in getattr(record, "what", "") for record in caplog.records)


def test_trials_that_are_under_way_are_one_line(caplog: pytest.LogCaptureFixture) -> None:
    states: list[dict[str, Any]] = [
        {"what": "trial 12 of 20, step", "done": 3, "total": 9, "detail": "loss 0.5"},
        {},
        {"what": "trial 3 of 20, step", "done": 4, "total": 9, "detail": "loss 0.4"},
    ]
    workers: Any = [SimpleNamespace(state=state) for state in states]
    with caplog.at_level(logging.INFO, "overtile.progress"):
        parallel._tell(workers, 20)
        parallel._tell(workers[2:], None)
    told: list[Any] = caplog.records
    assert [(one.what, one.done, one.total, one.detail) for one in told] == [
        ("trials 3 and 12 of 20, step", 7, 18, "loss 0.5; loss 0.4"),
        ("trial 3, step", 4, 9, "loss 0.4"),
    ]


def test_workers_that_cannot_begin_are_told_of(
    search: tune.Search, ports: list[int], tmp_path: Path
) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("not JSON")
    with pytest.raises(
        InputError, match=r"end before they try anything \(it ended with code 1\); see"
    ):
        parallel.run(search.oracle, spec, 2, 2)


def test_control_c_ends_all(
    search: tune.Search, ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(parallel, "_tell", stop)
    with pytest.raises(KeyboardInterrupt):
        search.search()
    assert len(ports) == 2


def test_a_worker_ends_with_its_chief(search: tune.Search, ports: list[int]) -> None:
    oracles.write(search.folder / tune.SPEC, search.to_json())
    worker = parallel._Worker(0, search.folder / tune.SPEC, 1, {})
    assert worker.process.stdin
    worker.process.stdin.close()  # as the kernel does where the chief is killed
    assert worker.process.wait(timeout=60) == 1
    worker.end()


def test_nothing_is_started_where_nothing_is_left(search: tune.Search) -> None:
    search.oracle.end_order = ["0", "1"]
    parallel.run(search.oracle, search.folder / tune.SPEC, 2, 2)
