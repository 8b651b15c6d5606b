"""`overtile watch` with a stub in place of the run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from pipeline import config as configuration
from pipeline import runs, watching
from tests.components.image_example_gen.conftest import make_pair

STUB = """
import json, pathlib, sys
count = len(list(pathlib.Path(sys.argv[1]).glob("call-*")))
pathlib.Path(sys.argv[1], f"call-{count}").touch()
result = json.loads(pathlib.Path(sys.argv[1], "answer.json").read_text())
print("not for the parser", file=sys.stderr)
print(json.dumps(result))
sys.exit(result.get("exit_code", 0))
"""

PUSHED = {"verdict": "pushed", "pushed": {"version": "17"}, "metrics": {"mean_iou": 0.9}}


class Watched:
    """A project whose runs are a stub that answers as it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "data").mkdir()
        self.config = configuration.parse({"data": {"path": "data", "spans": {}}}, base=folder)
        (folder / "stub.py").write_text(STUB)
        self.answer(PUSHED)
        self.events: list[tuple[str, str, dict[str, Any]]] = []
        self.naps: list[Any] = []

    def answer(self, result: dict[str, Any]) -> None:
        (self.folder / "answer.json").write_text(json.dumps(result))

    def span(self, name: str, whole: bool = True, seed: int = 0) -> None:
        make_pair(self.folder / "data" / name, "a", seed)
        if whole:
            (self.folder / "data" / name / "_COMPLETE").touch()

    def watch(self, *naps: Any, once: bool = False) -> int:
        """Watches through as many naps as there are things to do during them."""
        left = list(naps)

        def sleep(seconds: float) -> None:
            assert seconds == 5
            if not left:
                raise KeyboardInterrupt
            left.pop(0)()

        command = [sys.executable, str(self.folder / "stub.py"), str(self.folder)]
        return watching.watch(
            self.config,
            command,
            lambda event, text, **values: self.events.append((event, text, values)),
            every=5,
            once=once,
            sleep=sleep,
        )

    def calls(self) -> int:
        return len(list(self.folder.glob("call-*")))

    def told(self, event: str) -> list[str]:
        return [text for name, text, _ in self.events if name == event]


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_each_new_span_starts_one_run(watched: Watched) -> None:
    watched.span("span-1")

    def arrives() -> None:
        watched.span("span-2")

    def nothing() -> None:
        pass

    with pytest.raises(KeyboardInterrupt):
        watched.watch(nothing, arrives, nothing)
    assert watched.told("new") == ["New: span-1. A run starts.", "New: span-2. A run starts."]
    assert watched.told("ended") == ["Pushed version 17, mean IoU 0.900."] * 2
    assert watched.calls() == 2
    # One line, however often it looks.
    assert len(watched.told("waiting")) == 2


def test_a_span_without_its_marker_is_waited_for(watched: Watched) -> None:
    watched.span("span-1", whole=False)

    def marked() -> None:
        watched.span("span-1")

    with pytest.raises(KeyboardInterrupt):
        watched.watch(marked)
    assert watched.told("waiting")[0].endswith("span-1: no _COMPLETE yet.")
    assert watched.told("new") == ["New: span-1. A run starts."]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"verdict": "refused", "error": "span-1 is refused.", "exit_code": 3}, "Refused: span-1"),
        ({"verdict": "failed", "error": "The disk is full.", "exit_code": 1}, "Failed: The disk"),
    ],
)
def test_a_run_that_fails_waits_for_other_data(
    answer: dict[str, Any], told: str, watched: Watched
) -> None:
    watched.span("span-1")
    watched.answer(answer)

    def nothing() -> None:
        pass

    def mended() -> None:
        watched.answer(PUSHED)
        watched.span("span-1", seed=1)

    with pytest.raises(KeyboardInterrupt):
        watched.watch(nothing, nothing, mended)
    assert watched.calls() == 2
    assert watched.told("ended")[0].startswith(told)
    assert watched.told("ended")[1].startswith("Pushed")


def test_a_run_that_dies_silently(watched: Watched) -> None:
    watched.span("span-1")
    (watched.folder / "stub.py").write_text("import os; os.kill(os.getpid(), 9)")
    assert watched.watch(once=True) == -signal.SIGKILL
    assert watched.told("ended") == ["Failed: the run ended with exit code -9 and said nothing."]


def test_once_looks_once(watched: Watched) -> None:
    assert watched.watch(once=True) == 0
    watched.span("span-1")
    watched.answer({"verdict": "refused", "error": "It is bad.", "exit_code": 3})
    assert watched.watch(once=True) == 3
    assert watched.calls() == 1


def test_what_the_last_run_saw_is_not_new(watched: Watched) -> None:
    watched.span("span-1")
    result = runs.new(watched.config.workspace, None)
    result.spans = {"seen": {**_state(watched)}}
    result.status = "refused"
    runs.save(result, watched.config.workspace)
    assert watched.watch(once=True) == 0
    assert watched.calls() == 0
    # A failed run is tried again once its configuration was changed after it had started.
    result.status, file = "failed", watched.folder / "overtile.yaml"
    file.touch()
    result.config = str(file)
    for age, calls in ((-60, 0), (60, 1)):
        when = file.stat().st_ctime + age
        os.utime(file, (when, when))
        runs.save(result, watched.config.workspace)
        watched.watch(once=True)
        assert watched.calls() == calls
    # A run that was killed did not come to its end, so it is tried again.
    result.status = "stopped"
    runs.save(result, watched.config.workspace)
    watched.watch(once=True)
    assert watched.calls() == 2


def _state(watched: Watched) -> dict[str, str]:
    from components.image_example_gen import spans

    return spans.state(watched.config.data)


def test_a_run_that_is_at_work_already_is_waited_for(watched: Watched) -> None:
    watched.span("span-1")
    with runs.lock(watched.config.workspace), pytest.raises(KeyboardInterrupt):
        watched.watch()
    assert watched.told("busy") == ["Another run is at work; span-1 will wait for its end."]
    assert watched.calls() == 0


def test_two_watches_at_once(watched: Watched) -> None:
    with (
        runs.lock(watched.config.workspace, "watch"),
        pytest.raises(InputError, match="Another watch"),
    ):
        watched.watch(once=True)


def test_a_folder_that_comes_back(watched: Watched) -> None:
    away = watched.folder / "away"

    def unmounted() -> None:
        (watched.folder / "data").rename(away)

    def mounted() -> None:
        away.rename(watched.folder / "data")
        watched.span("span-1")

    with pytest.raises(KeyboardInterrupt):
        watched.watch(unmounted, mounted)
    assert "does not exist" in watched.told("problem")[0]
    assert watched.calls() == 1


def test_a_configuration_without_spans(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    plain = configuration.parse({"data": {"path": "data"}}, base=tmp_path)
    with pytest.raises(InputError, match=r"data\.spans is not set"):
        watching.watch(plain, [], lambda *_, **__: None)


def test_the_command_of_a_run() -> None:
    command = watching.run_command("over.yaml", ["train.steps=5"])
    assert command[0] == sys.executable
    assert command[3:] == ["run", "--json", "-c", "over.yaml", "--set", "train.steps=5"]


def test_the_command_line_and_ctrl_c(watched: Watched) -> None:
    watched.span("span-1", whole=False)
    (watched.folder / "overtile.yaml").write_text("data: {path: data, spans: {}}\n")
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("overtile")), "watch", "--json"],
        cwd=watched.folder,
        stdout=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert (first["event"], first["waiting"]) == ("waiting", ["span-1"])
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate()
        assert process.returncode == 130
        assert json.loads(rest)["event"] == "stopped"
    finally:
        timer.cancel()
        process.kill()
        process.wait()


def test_ctrl_c_ends_the_run_too(watched: Watched) -> None:
    watched.span("span-1")
    # The stub says when it is at work and, when it is told to end, that it was.
    (watched.folder / "stub.py").write_text(
        textwrap.dedent(
            """
            import pathlib, signal, sys, time
            folder = pathlib.Path(sys.argv[1])
            def end(*_):
                (folder / "told").touch()
                sys.exit(130)
            signal.signal(signal.SIGTERM, end)
            (folder / "call-0").touch()
            time.sleep(60)
            """
        )
    )

    def interrupt() -> None:
        while not (watched.folder / "call-0").exists():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        watched.watch()
    thread.join()
    assert (watched.folder / "told").exists()
    assert watched.told("stopping") == ["Stopping; the run keeps its last checkpoint."]
