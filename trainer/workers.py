"""Training over several machines: one process a machine, which TF_CONFIG tells of the others.

The Trainer, on the chief, writes what is to be trained into the checkpoints' folder and starts a
process that trains; `python -m trainer.workers FOLDER`, on the other machines, waits for that file
and trains along. The chief alone writes checkpoints, and the Trainer exports.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from trainer.settings import Settings
    from trainer.statistics import Statistics

progress = logging.getLogger("overtile.progress")

_JOB, _SUMMARY = "job.json", "summary.json"
_TOLD = ("what", "done", "total", "detail", "note")
_POLL = 0.5  # seconds between two looks for a job


def lead(
    settings: Settings,
    statistics: Statistics,
    train_files: Sequence[str],
    eval_files: Sequence[str],
    directory: Path,
    base_model: str | None,
) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Trains together with the machines that TF_CONFIG names; called on the chief.

    In a process of its own: this one has used TensorFlow before, which cannot join others then.

    Args:
      settings: as for `train.train`, and so the others.
      statistics: of the train split.
      train_files: patterns that mean the same files on every machine.
      eval_files: likewise.
      directory: of this training's checkpoints, which every machine sees.
      base_model: folder of an exported model, or None.

    Returns:
      The weights of the best epoch, and what there is to tell of the training.

    Raises:
      InputError: TF_CONFIG is not the chief's, or what training says is wrong with its input.
      RuntimeError: training failed.
    """
    from trainer import checkpoints, strategy

    cluster = strategy.cluster(settings.train.strategy)
    if cluster is None or not cluster.is_chief:
        raise InputError(
            "TF_CONFIG says that this machine is not the chief: run `python -m trainer.workers "
            f"{directory.parent}` here, and the pipeline where the task's index is 0."
        )
    # What `auto` means is the chief's to say.
    precision = strategy.precision(settings.train.precision)
    job = {
        **settings.replaced({"train.precision": precision}).to_json(),
        "statistics": dataclasses.asdict(statistics),
        "train_files": list(train_files),
        "eval_files": list(eval_files),
        "base_model": base_model,
    }
    for left in directory.parent.glob(f"*/{_JOB}"):
        left.unlink()  # of a chief that was killed
    directory.mkdir(parents=True, exist_ok=True)
    partial = directory / f".{_JOB}"
    partial.write_text(json.dumps(job))
    file = partial.rename(directory / _JOB)
    note = f"Waiting for {cluster.workers - 1} further workers (python -m trainer.workers)."
    progress.info(note, extra={"note": note})
    try:
        _relay([sys.executable, "-m", "trainer.workers", str(file)])
    finally:
        file.unlink(missing_ok=True)
    summary = json.loads((directory / _SUMMARY).read_text())
    return checkpoints.best_weights(directory), summary


def _relay(command: list[str]) -> None:
    """Runs the chief's process and tells of its progress as if it were this one's."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    last: dict[str, Any] = {}
    with process:
        assert process.stdout is not None, "it is a pipe"
        try:
            for line in process.stdout:
                try:
                    told = json.loads(line)
                except ValueError:
                    continue  # a library's own words
                if "error" in told:
                    last = told
                else:
                    progress.info(told.pop("message"), extra=told)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = last.get("error") or f"the chief's process ended with {process.returncode}"
        if last.get("input"):
            raise InputError(said)
        raise RuntimeError(f"training over several workers ended early: {said}")


def join(job: Path) -> None:
    """Trains along; called in each worker's process, the chief's included.

    Args:
      job: the file that `lead` wrote.
    """
    told = json.loads(job.read_text())
    from trainer import strategy, train
    from trainer.settings import Settings
    from trainer.statistics import Statistics

    cluster = strategy.cluster("multi_worker")
    statistics = Statistics(**{name: tuple(value) for name, value in told["statistics"].items()})
    trained = train.train(
        Settings.from_json(told),
        statistics,
        told["train_files"],
        told["eval_files"],
        job.parent,
        told["base_model"],
        cluster,
    )
    if cluster and cluster.is_chief:
        (job.parent / _SUMMARY).write_text(json.dumps(trained.summary))


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m trainer.workers FOLDER`; 0 once a training has ended."""
    parser = argparse.ArgumentParser(
        prog="python -m trainer.workers",
        description="Trains along with the Trainer that runs on another machine, once, and ends. "
        "TF_CONFIG must name the machines and say which of them this is.",
    )
    parser.add_argument("folder", type=Path, help="`checkpoints` in the workspace, which all share")
    given: Path = parser.parse_args(arguments).folder
    is_chief = given.name == _JOB
    say = _say_json if is_chief else _say
    logging.getLogger("overtile.progress").setLevel(logging.INFO)
    logging.getLogger("overtile.progress").addHandler(_Teller(say, every=0 if is_chief else 10))
    if is_chief:
        # Its end of the pipe closes when the Trainer is gone, however it went.
        threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if not is_chief:
            say({"message": f"Waiting for a training in {given}."})
        join(given if is_chief else _wait(given))
    except InputError as error:
        say({"error": str(error), "input": True})
        return 2
    except Exception as error:
        traceback.print_exc()
        lines = [line for line in str(error).splitlines() if line.strip()]
        say({"error": lines[-1][:300] if lines else type(error).__name__, "input": False})
        return 1
    return 0


def _wait(folder: Path) -> Path:
    while True:
        jobs = sorted(folder.glob(f"*/{_JOB}"), key=lambda file: file.stat().st_mtime)
        if jobs:
            return jobs[-1]
        time.sleep(_POLL)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


def _say_json(told: dict[str, Any]) -> None:
    print(json.dumps(told), flush=True)


def _say(told: dict[str, Any]) -> None:
    print(told.get("error") or told["message"], flush=True)


class _Teller(logging.Handler):
    """Passes on what is told of progress, each step or one line in so many seconds."""

    def __init__(self, say: Any, every: float) -> None:
        super().__init__()
        self._say, self._every, self._last = say, every, 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        now = time.monotonic()
        extra = {name: getattr(record, name) for name in _TOLD if hasattr(record, name)}
        if "note" in extra or now - self._last >= self._every:
            if "note" not in extra:
                self._last = now
            self._say({"message": record.getMessage(), **extra})


if __name__ == "__main__":
    sys.exit(main())
