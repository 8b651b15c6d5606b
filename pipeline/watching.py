"""Waits for new spans and runs the pipeline on them, each run in a process of its own."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.image_example_gen import spans
from pipeline import runs

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.runs import Result

Tell = Callable[..., None]
"""Is given an event's name, a sentence about it, and values for machines."""

# Ended by themselves, as opposed to by a kill or by hand: the same data would bring the same again.
_ENDED = ("pushed", "refused", "unchanged", "failed")
_TIME = "%Y-%m-%dT%H:%M:%S%z"


def watch(
    config: PipelineConfig,
    command: Sequence[str],
    tell: Tell,
    every: float = 60.0,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Runs `command` whenever there is a span, or a content of one, that no run has seen yet.

    A run that fails or refuses is told of, and tried again only when there is newer data.

    Args:
      config: with `data.spans`.
      command: `overtile run --json` with its options.
      tell: of what happens.
      every: seconds between two looks.
      once: look once, run if there is something new, and end.
      sleep: waits that many seconds.

    Returns:
      Exit code of the run if `once` is set, 0 where there was nothing to run.

    Raises:
      InputError: there are no spans in the configuration, no such folder, or another watch.
    """
    if config.data.spans is None:
        raise InputError(
            "`overtile watch` waits for spans, and data.spans is not set: write `spans: {}` below "
            "`data:` in overtile.yaml (docs/retraining.md)."
        )
    handled = _seen_by_last_run(config)
    last_words = ""

    def say_once(event: str, text: str, **values: Any) -> None:
        nonlocal last_words
        if text != last_words:
            tell(event, text, **values)
        last_words = text

    with runs.lock(config.workspace, "watch"):
        spans.find(config.data)  # a wrong path is said at once, a vanished one while waiting
        while True:
            found, waiting = _look(config, say_once)
            new = sorted(name for name, content in found.items() if handled.get(name) != content)
            if new and runs.is_locked(config.workspace):
                say_once("busy", f"Another run is at work; {_list(new)} will wait for its end.")
            elif new:
                say_once("new", f"New: {_list(new)}. A run starts.", spans=new)
                code = _run(command, tell)
                handled |= found
                last_words = ""
                if once:
                    return code
                continue  # something may have come meanwhile
            else:
                more = f" {_list(waiting)}: no {config.data.spans.marker} yet." if waiting else ""
                say_once("waiting", f"Nothing new in {config.data.path}.{more}", waiting=waiting)
            if once:
                return 0
            sleep(every)


def run_command(config: str, settings: Sequence[str]) -> list[str]:
    """The command of a run, in this Python.

    Args:
      config: the file.
      settings: KEY=VALUE.
    """
    python = [sys.executable, "-c", "from pipeline.cli import main; main()"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    return [*python, "run", "--json", "-c", config, *overrides]


def run_to_its_end(
    command: Sequence[str], with_progress: bool, when_stopping: Callable[[], None]
) -> tuple[int, str]:
    """Runs a command in a process of its own, and passes on that it shall stop.

    Args:
      command: of `run_command`.
      with_progress: whether its standard error is shown.
      when_stopping: called once where it is stopped by hand, before it is waited for.

    Returns:
      Its exit code and what it wrote to standard output.

    Raises:
      KeyboardInterrupt: it was stopped by hand, and has ended.
    """
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=None if with_progress else subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # Ctrl-C comes here alone, and is passed on once
    ) as process:
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            process.terminate()
            when_stopping()
            with contextlib.suppress(KeyboardInterrupt):
                process.wait()
                raise
            process.kill()
            raise KeyboardInterrupt from None
    return process.returncode, output


def _look(config: PipelineConfig, say_once: Tell) -> tuple[dict[str, str], list[str]]:
    """Fingerprints of the spans that are whole, and names of those that are not yet."""
    try:
        return spans.state(config.data), spans.find(config.data).waiting
    except (InputError, OSError) as error:  # a network drive that comes back
        say_once("problem", f"{error} Waiting for it to be right.")
        return {}, []


def _seen_by_last_run(config: PipelineConfig) -> dict[str, str]:
    """What the last run that ended by itself had looked at."""
    past = [run for run in runs.past(config.workspace) if run.spans]
    if not past or past[-1].status not in _ENDED or _is_mended(past[-1]):
        return {}
    assert past[-1].spans is not None
    return dict(past[-1].spans["seen"])


def _is_mended(run: Result) -> bool:
    """Whether the configuration of a run that failed has been changed since it started."""
    if run.status != "failed" or run.config is None or not Path(run.config).exists():
        return False
    started = datetime.strptime(run.started, _TIME).timestamp()
    return Path(run.config).stat().st_mtime > started


def _run(command: Sequence[str], tell: Tell) -> int:
    """Runs to the end, and tells of it; passes on that it shall stop."""
    began = time.monotonic()
    # Progress is for who looks on; a log gets one line a run.
    code, output = run_to_its_end(
        command,
        sys.stderr.isatty(),
        lambda: tell("stopping", "Stopping; the run keeps its last checkpoint."),
    )
    result = _parsed(output)
    seconds = round(time.monotonic() - began, 1)
    tell(
        "ended",
        _sentence(result, code),
        exit_code=code,
        seconds=seconds,
        **{key: result.get(key) for key in ("run", "verdict", "error", "pushed")},
        mean_iou=(result.get("metrics") or {}).get("mean_iou"),
    )
    return code


def _parsed(output: str) -> dict[str, Any]:
    try:
        values = json.loads(output)
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}


def _sentence(result: Mapping[str, Any], code: int) -> str:
    verdict = result.get("verdict")
    iou = (result.get("metrics") or {}).get("mean_iou")
    reached = "" if iou is None else f", mean IoU {iou:.3f}"
    if verdict == "pushed":
        refused = [one["span"] for one in (result.get("spans") or {}).get("refused", [])]
        but = f"; refused: {_list(refused)}" if refused else ""
        return f"Pushed version {result['pushed']['version']}{reached}{but}."
    if verdict == "unchanged":
        return "Nothing to train, nothing pushed."
    if verdict in ("refused", "failed") and result.get("error"):
        return f"{verdict.capitalize()}: {result['error']}"
    return f"Failed: the run ended with exit code {code} and said nothing."


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)
