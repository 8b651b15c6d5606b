"""What each run leaves: `<workspace>/runs/<run id>.json`. And the lock that keeps runs apart."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from components.errors import InputError
from pipeline.failures import STOPPED

Verdict = Literal["pushed", "refused", "unchanged", "failed"]
Status = Literal["running", "pushed", "refused", "unchanged", "failed", "stopped", "killed"]

# Whoever only looks holds the lock for a moment; a run that starts then must not give up.
_LOCK_TRIES, _LOCK_PAUSE = 5, 0.1
_LOCKS = {"run": "lock", "watch": "watch.lock"}


@dataclasses.dataclass
class Result:
    """What there is to tell of a run; as JSON, what `overtile run --json` prints.

    Attributes:
      run: its id, which begins with its local time.
      started: ISO 8601, with the offset from UTC.
      status: what became of it; `killed` is only ever read, never written.
      verdict: pushed, refused by the gate, unchanged (a blessed model that was pushed before), or
        failed; None while it runs.
      metrics: of the model on the eval split: `mean_iou`, `iou/<class>`, ...
      baseline: the same of the last blessed model; None where there was none.
      slices: the metrics on the images of each value of an attribute, `site=A`.
      gate: each rule: rule, metric, value, limit, passed.
      validation: each check of the exported model behind a server: name, value, limit, passed,
        sentence; empty where none was asked for.
      pushed: path and version of what this run pushed.
      earlier: path and version under which an earlier run pushed this very model.
      serving: path and version of the newest version there is.
      set_aside: each file that was left out: file, reason.
      spans: what there is to tell of spans; see `pipeline.span_outcome`. None without them.
      findings: what is worth a look in images and labels: check, where, value, limit, stops,
        sentence; see `components.example_validator.checks`.
      trials: of the search for hyperparameters, the best first: trial, values, status, mean_iou,
        steps, seconds, error; see `components.tuner.trials`. Empty where nothing was searched.
      near_duplicates: images of both sides of the split that look alike: eval, train, similarity.
      counts: of images and records; see `components.image_example_gen.integrity.Counts`.
      seconds: of each component that ran or was answered from the cache.
      cached: the components that were.
      resumed_from_step: where training went on after a kill; None where it began anew.
      report: the HTML report; of an earlier run where this one found everything in the cache.
      config, log: files.
      error: one sentence, where there is something wrong.
      exit_code: of the command: 0 done, 1 failed, 2 bad input, 3 refused, 130 stopped by hand.
      pid: of the process.
    """

    run: str
    started: str
    status: Status = "running"
    verdict: Verdict | None = None
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    baseline: dict[str, float] | None = None
    slices: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)
    gate: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    validation: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    pushed: dict[str, str] | None = None
    earlier: dict[str, str] | None = None
    serving: dict[str, str] | None = None
    set_aside: list[dict[str, str]] = dataclasses.field(default_factory=list)
    findings: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    near_duplicates: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    trials: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    counts: dict[str, Any] | None = None
    spans: dict[str, Any] | None = None
    seconds: dict[str, float] = dataclasses.field(default_factory=dict)
    cached: list[str] = dataclasses.field(default_factory=list)
    resumed_from_step: int | None = None
    report: str | None = None
    config: str | None = None
    log: str = ""
    error: str | None = None
    exit_code: int = 0
    pid: int = dataclasses.field(default_factory=os.getpid)

    def fail(self, sentence: str, exit_code: int) -> None:
        """Ends the run with what went wrong."""
        self.verdict = "failed"
        self.status = "stopped" if exit_code == STOPPED else "failed"
        self.error, self.exit_code = sentence, exit_code

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values."""
        return dataclasses.asdict(self)


def new(workspace: Path, config: Path | None) -> Result:
    """A run that starts now, with an id of its own."""
    now = time.localtime()
    name = first = time.strftime("%Y%m%d-%H%M%S", now)
    repeated = 1
    while _file(workspace, name).exists():
        repeated += 1
        name = f"{first}-{repeated}"
    return Result(
        run=name,
        started=time.strftime("%Y-%m-%dT%H:%M:%S%z", now),
        config=str(config.absolute()) if config else None,
        log=str(workspace / "logs" / f"{name}.log"),
    )


def save(result: Result, workspace: Path) -> None:
    """Writes the run's record in one step, so that nobody ever reads half of it."""
    file = _file(workspace, result.run)
    file.parent.mkdir(parents=True, exist_ok=True)
    half = file.with_suffix(".part")
    half.write_text(json.dumps(result.to_json(), indent=2) + "\n")
    half.replace(file)


def past(workspace: Path) -> list[Result]:
    """The runs of a workspace, oldest first; one that ended without a word was killed."""
    fields = {field.name for field in dataclasses.fields(Result)}
    found = []
    for file in sorted((workspace / "runs").glob("*.json")):
        try:
            values = json.loads(file.read_text())
            found.append(Result(**{key: values[key] for key in fields & values.keys()}))
        except (OSError, ValueError, TypeError, AttributeError):
            continue  # not ours, or damaged with the disk: the others are still worth showing
    found.sort(key=lambda result: (result.started, len(result.run), result.run))
    # The lock and not the process number says what runs: numbers are given out again.
    alive = is_locked(workspace)
    for place, result in enumerate(found):
        if result.status == "running" and not (alive and place == len(found) - 1):
            result.status, result.verdict = "killed", "failed"
    return found


@contextlib.contextmanager
def lock(workspace: Path, what: Literal["run", "watch"] = "run") -> Iterator[None]:
    """Holds a workspace; the kernel lets go of it however this process ends.

    Args:
      workspace: whose.
      what: a watch holds it against other watches alone, since runs are what it is for.

    Raises:
      InputError: another run holds it, or nothing can be written there.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        file = (workspace / _LOCKS[what]).open("a+")
    except OSError as error:
        raise InputError(f"Nothing can be written to {workspace}: {error.strerror}.") from None
    with file:
        for attempt in range(_LOCK_TRIES):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt + 1 == _LOCK_TRIES:
                    file.seek(0)
                    who = file.read().strip() or "unknown"
                    raise InputError(
                        f"Another {what} (process {who}) is at work in {workspace}; wait for it, "
                        "or give this one another `workspace`."
                    ) from None
                time.sleep(_LOCK_PAUSE)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_locked(workspace: Path) -> bool:
    """Whether a run is at work there."""
    try:
        with (workspace / _LOCKS["run"]).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _file(workspace: Path, run: str) -> Path:
    return workspace / "runs" / f"{run}.json"
