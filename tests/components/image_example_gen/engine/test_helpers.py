"""Processes that write records: they do as they are told, and never outlive who told them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from components.errors import SetAside
from components.image_example_gen.engine import helpers, telling
from components.image_example_gen.engine.crew import Crew
from components.image_example_gen.engine.writing import WriteShards, packed
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.reading import SampleError
from components.image_example_gen.shards import Settings, Shard, take_reports, write
from components.image_example_gen.sources import paired
from components.image_example_gen.splitting import Placed
from components.records import TRAIN
from tests.components.image_example_gen.conftest import data_of, make_pair

CREW = Crew(2, "processes")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for number in range(3):
        make_pair(tmp_path, f"f{number}", seed=number)
    (tmp_path / "images" / "f1.png").write_bytes(b"not an image")
    return Settings(data_of(tmp_path), IngestConfig(tile=16))


def shard_of(settings: Settings, folder: Path) -> Shard:
    samples = paired.listing(settings.data).samples
    folder.mkdir(parents=True)
    placed = tuple(Placed(sample, TRAIN, "g", "") for sample in samples)
    return Shard(str(folder / "records"), TRAIN, placed)


@pytest.fixture
def helper(settings: Settings) -> Iterator[Callable[[Shard], None]]:
    with helpers.standing_by(CREW):
        _, other = helpers.working(CREW, settings, 2)
        yield other


def test_a_helper_writes_what_this_process_writes(
    settings: Settings, helper: Callable[[Shard], None], tmp_path: Path
) -> None:
    mine, its = (shard_of(settings, tmp_path / name / "Split-train") for name in ("mine", "its"))
    write(mine, settings)
    before = telling._done
    helper(its)
    assert telling._done == before + 3  # images, of which one is bad
    assert Path(its.path).read_bytes() == Path(mine.path).read_bytes() != b""
    (report,) = take_reports([its])
    assert report.images == 2
    assert [bad.file for bad in report.set_aside] == ["images/f1.png"]


def test_what_goes_wrong_in_a_helper_is_told_and_it_goes_on(
    settings: Settings, helper: Callable[[Shard], None], tmp_path: Path
) -> None:
    shard = shard_of(settings, tmp_path / "there" / "Split-train")
    with pytest.raises(FileNotFoundError, match="nowhere") as raised:
        helper(shard._replace(path=str(tmp_path / "nowhere" / "Split-train" / "records")))
    assert "shards.py" in str(raised.value.__cause__)  # where it was
    helper(shard)
    assert Path(shard.path).is_file()


def test_an_error_that_cannot_be_made_anew_says_the_same() -> None:
    error = SampleError(SetAside("a.png", "empty file"))
    told = helpers._sendable(error)
    assert (type(told), str(told)) == (RuntimeError, "SampleError: a.png: empty file")
    error = OSError(28, "No space left on device", "a.png")
    assert helpers._sendable(error) is error


def test_an_interrupt_waits_for_the_files_that_are_begun_and_no_more(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    def slow(*_: object) -> None:
        begun.append(1)
        time.sleep(0.5)

    monkeypatch.setattr(helpers.shards, "write", slow)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            WriteShards(settings, Crew(2, "threads")).process(packed([Shard("x", TRAIN, ())] * 20))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(begun) == 2


def test_no_worker_is_without_a_file(settings: Settings) -> None:
    crew = Crew(4, "processes")
    with helpers.standing_by(crew):
        assert len(helpers.working(crew, settings, 2)) == 2
        assert len(helpers.working(crew, settings, 9)) == 4


def test_a_killed_helper_is_an_error_that_says_so(
    settings: Settings, helper: Callable[[Shard], None], tmp_path: Path
) -> None:
    helpers._ready[0]._process.kill()
    with pytest.raises(RuntimeError, match=r"ended by itself \(status -9\).*beam.workers lower"):
        helper(shard_of(settings, tmp_path / "there" / "Split-train"))


def test_after_an_error_no_helper_is_left() -> None:
    block = helpers.standing_by(CREW)
    block.__enter__()
    (one,) = helpers._ready
    assert not block.__exit__(ValueError, ValueError("bad"), None)  # the error goes on
    assert one._process.poll() == -9
    assert helpers._ready == []


_PARENT = """
import os
from components.image_example_gen.engine import helpers
from components.image_example_gen.engine.crew import Crew

with helpers.standing_by(Crew(2, "processes")):
    print(helpers._ready[0]._process.pid, flush=True)
    os.kill(os.getpid(), 9)
"""


def test_a_helper_ends_with_the_process_that_started_it() -> None:
    told = subprocess.run(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, timeout=60
    )
    pid = int(told.stdout)
    deadline = time.monotonic() + 60
    while _runs(pid):
        assert time.monotonic() < deadline, "the helper still runs"
        time.sleep(0.1)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
