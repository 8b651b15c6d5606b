"""The same records, wherever data and records are and whatever Beam runs on."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from components.image_example_gen.engine import options
from components.image_example_gen.engine.crew import Crew, fastest
from components.image_example_gen.ingest_config import IngestConfig
from components.places import files_below, place
from tests.components.image_example_gen.conftest import data_of, make_pair
from tests.filesystems import MemoryFileSystem

OPTIONS = IngestConfig(tile=16, margin=4, bad_input_limit=0.5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pairs, of which one is bad."""
    root = tmp_path_factory.mktemp("pairs")
    for number in range(20):
        make_pair(root, f"f{number}", seed=number)
    (root / "images" / "f7.png").write_bytes(b"not an image")
    return root


def execute(data: Any, uri: str, *arguments: str) -> None:
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    from components.image_example_gen.executor import Executor

    examples = standard_artifacts.Examples()
    examples.uri = uri
    given = list(arguments or ["--runner=FnApiRunner", "--sdk_container_image=none"])
    Executor(BaseBeamExecutor.Context(beam_pipeline_args=given)).Do(
        {},
        {"examples": [examples]},
        {"data": data.model_dump_json(), "ingest": OPTIONS.model_dump_json(), "span": 0},
    )


def written(uri: str) -> dict[str, bytes]:
    """Every file below, by its name."""
    top = place(uri)
    return {file.relative_to(top).as_posix(): file.read_bytes() for file in files_below(top)}


@pytest.fixture(scope="module")
def expected(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one thread on this disk writes."""
    uri = str(tmp_path_factory.mktemp("expected") / "examples")
    execute(data_of(folder), uri)
    files = written(uri)
    assert sum(name.startswith("Split-") for name in files) > 8
    return files


@pytest.mark.parametrize("mode", ["threads", "processes"])
def test_several_workers_write_what_one_writes(
    folder: Path, expected: dict[str, bytes], tmp_path: Path, mode: str
) -> None:
    from pipeline import engines
    from pipeline.config import PipelineConfig

    arguments = engines.for_images(PipelineConfig(beam={"workers": 3, "mode": mode}))
    execute(data_of(folder), str(tmp_path / "x"), *arguments)
    assert written(str(tmp_path / "x")) == expected


def upload(folder: Path, top: Path) -> None:
    for file in files_below(folder):
        (top / file.relative_to(folder).as_posix()).write_bytes(file.read_bytes())


@pytest.fixture(params=["mem", "s3", "gs"])
def store(
    request: pytest.FixtureRequest, folder: Path, bucket_folder: Callable[[str], Path]
) -> Iterator[Path]:
    """A folder on an object store, with the pairs in its folder `data`."""
    own = request.param == "mem"
    top = place("mem://bucket/x") if own else bucket_folder(request.param)
    upload(folder, top / "data")
    yield top
    MemoryFileSystem.files.clear()


def test_data_and_records_may_be_on_an_object_store(
    store: Path, expected: dict[str, bytes]
) -> None:
    execute(data_of(store / "data"), str(store / "out" / "examples"))
    assert written(str(store / "out" / "examples")) == expected


def test_processes_read_an_object_store(
    folder: Path,
    expected: dict[str, bytes],
    bucket_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    from pipeline import engines
    from pipeline.config import PipelineConfig

    top = bucket_folder("s3")
    upload(folder, top)
    arguments = engines.for_images(PipelineConfig(beam={"workers": 2, "mode": "processes"}))
    execute(data_of(top), str(tmp_path / "x"), *arguments)
    assert written(str(tmp_path / "x")) == expected


def test_records_in_a_shared_folder_are_brought_to_the_artifact(
    folder: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    execute(
        data_of(folder),
        str(tmp_path / "x"),
        "--runner=FnApiRunner",
        "--sdk_container_image=none",
        f"--shared_folder={shared}",
    )
    assert written(str(tmp_path / "x")) == expected
    assert list(shared.iterdir()) == []


def test_processes_are_for_many_images() -> None:
    # Of masks two threads take 0.0038 s an image, two processes 0.00225 s and half of 0.5 s to
    # start: even at 0.25 / 0.00155 = 161.3.
    assert fastest(drawn=False, images=161, workers=2) == Crew(2, "threads")
    assert fastest(drawn=False, images=162, workers=2) == Crew(2, "processes")
    # Of outlines 0.013 s, and 0.011 s: even at 125.
    assert fastest(drawn=True, images=124, workers=2) == Crew(2, "threads")
    assert fastest(drawn=True, images=126, workers=2) == Crew(2, "processes")
    assert fastest(drawn=True, images=10**6, workers=1) == Crew(1, "threads")


def test_no_process_starts_that_would_have_little_to_do() -> None:
    # 300 images of 0.0045 s are 1.35 s, and a process takes 0.5 s to start: 2 of them are worth it.
    assert fastest(drawn=False, images=300, workers=64) == Crew(3, "processes")
    assert fastest(drawn=False, images=10**6, workers=64) == Crew(64, "processes")


def test_a_crew_is_for_this_machine_alone() -> None:
    given = ["--runner=FnApiRunner", "--image_workers=4", "--image_mode=threads"]
    assert options.crew(given, drawn=True, images=10**6) == Crew(4, "threads", tuple(given))
    given[-1] = "--image_mode=auto"
    assert options.crew(given, drawn=True, images=10**6) == Crew(4, "processes", tuple(given))
    assert options.crew(["--runner=FlinkRunner"], drawn=False, images=1) is None


# What Python imports first in the pool's processes: each tells what it writes, and may not write to
# the folder that the records end up in.
_WATCHED = """
import os, pathlib

replace = pathlib.Path.replace

def told(self, target):
    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{os.getpid()} {target}\\n")
    assert not str(target).startswith(os.environ["UNSEEN"]), target
    return replace(self, target)

pathlib.Path.replace = told
"""


@contextlib.contextmanager
def worker_pool(log: Path, **variables: str) -> Iterator[int]:
    """Beam's pool of external workers, in a process of its own; gives its port."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    with log.open("wb") as stream:
        pool = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "apache_beam.runners.worker.worker_pool_main",
                f"--service_port={port}",
            ],
            stdout=stream,
            stderr=stream,
            # It starts workers by the name `python`.
            env={
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                **variables,
            },
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("localhost", port), 1).close()
                break
            assert pool.poll() is None, log.read_text()
            time.sleep(0.2)
        yield port
    finally:
        os.killpg(pool.pid, 15)
        pool.wait(30)


@pytest.mark.slow
def test_two_processes_of_a_portable_job_write_the_same(
    folder: Path, expected: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    from pipeline import engines
    from pipeline.config import PipelineConfig

    # The embedded job service would ask the pool for one worker only, whatever the options say.
    before = FnApiRunner.__init__

    def with_two_workers(self: FnApiRunner, *args: Any, **keys: Any) -> None:
        before(self, *args, **keys)
        self._num_workers = 2

    monkeypatch.setattr(FnApiRunner, "__init__", with_two_workers)
    log, told, shared = tmp_path / "pool.log", tmp_path / "told", tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "watched").mkdir()
    (tmp_path / "watched/sitecustomize.py").write_text(_WATCHED)
    paths = [str(tmp_path / "watched"), os.environ.get("PYTHONPATH", "")]
    seen = {"TOLD": str(told), "UNSEEN": str(tmp_path / "x")}
    with worker_pool(log, PYTHONPATH=os.pathsep.join(filter(None, paths)), **seen) as port:
        config = PipelineConfig(
            beam={
                "runner": "portable",
                "shared_folder": shared,
                "portable": {
                    "job_endpoint": "embed",
                    "environment": {"type": "external", "config": f"localhost:{port}"},
                },
            }
        )
        engines.check(config)
        execute(data_of(folder), str(tmp_path / "x"), *engines.for_images(config))
    assert written(str(tmp_path / "x")) == expected
    # Both wrote, and each to the folder that they share with this process alone.
    processes, files = zip(*(line.split(" ", 1) for line in told.read_text().splitlines()))
    assert len({*processes}) == 2
    assert len({file for file in files if "tfrecord" in file and "images-" not in file}) > 8
    assert all(file.startswith(str(shared)) for file in files)
    assert list(shared.iterdir()) == []


@pytest.mark.slow
def test_processes_of_this_machine_write_the_same(
    folder: Path, expected: dict[str, bytes], tmp_path: Path
) -> None:
    from pipeline import engines
    from pipeline.config import PipelineConfig

    config = PipelineConfig(beam={"mode": "processes", "workers": 2})
    execute(data_of(folder), str(tmp_path / "x"), *engines.for_images(config))
    assert written(str(tmp_path / "x")) == expected
