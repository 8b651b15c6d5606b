"""Runs a compiled package on this machine from its own commands, each node in its own process.

A rehearsal of the cluster: what a container would be told, a process is told here, and a node that
fails is tried again as often as the package says. One node at a time, and at once, where a cluster
runs independent ones side by side and waits before it tries again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from kubeflow import entrypoint, package
from kubeflow.package import Package, Task
from pipeline import failures, local, runs, span_outcome
from pipeline.outcome import Outcome
from pipeline.quiet import quiet

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.runs import Result

# Whoever stopped a node, or gave it bad input, would do it again.
_FINAL = (2, failures.STOPPED)

_GRACE = 10.0  # seconds to write down where it stands


class NodeError(Exception):
    """A node has failed for good: its own sentence, and its exit code."""

    def __init__(self, sentence: str, exit_code: int):
        super().__init__(sentence)
        self.exit_code = exit_code


def run(file: Path, given: Mapping[str, Any], debug: bool = False) -> Result:
    """Runs a package; whatever becomes of it is in the result, and in the workspace's `runs`.

    What the nodes say goes to standard error.

    Args:
      file: the package.
      given: parameters in place of its defaults.
      debug: whether a failure's traceback goes to standard error; it always goes to the log.

    Raises:
      InputError: it is no package, a parameter is not allowed, or another run is at work in the
        workspace.
    """
    compiled = package.read(file)
    parameters = {**compiled.parameters, **given}
    # All tasks have one configuration, but for their threads.
    first = entrypoint.parse(compiled.tasks[0].filled(parameters, run="unknown"))
    config = entrypoint.configured(first)
    with runs.lock(config.workspace):
        result = runs.new(config.workspace, file)
        # The nodes inherit standard error, which is the log now.
        with quiet(Path(result.log)) as terminal:
            try:
                local.refuse_full_disk(config)
                if config.data.spans:
                    span_outcome.begin(result, config.data)
                _run_all(compiled, parameters, result, config, terminal.err)
                _conclude(result, config)
            except (Exception, KeyboardInterrupt) as error:
                traceback.print_exc()
                if debug:
                    traceback.print_exc(file=terminal.err)
                _fail(result, error, config.workspace)
            runs.save(result, config.workspace)
    return result


def _run_all(
    compiled: Package,
    parameters: Mapping[str, Any],
    result: Result,
    config: PipelineConfig,
    screen: TextIO,
) -> None:
    for task in compiled.tasks:
        runs.save(result, config.workspace)  # so that a killed run tells how far it came
        began = time.monotonic()
        try:
            run_task(task, task.filled(parameters, result.run), screen, result.log)
        except NodeError:
            if task.name != local.REPORT:  # it comes when all is decided
                raise
        finally:
            result.seconds[task.name] = round(time.monotonic() - began, 2)


def run_task(task: Task, arguments: list[str], screen: TextIO, log: str) -> None:
    """Runs a node until it ends well or was tried often enough.

    Args:
      task: of a package.
      arguments: of its command, with everything put in.
      screen: where what it says goes; its standard error is this process's.
      log: the file that standard error is.

    Raises:
      NodeError: it did not end well.
    """
    attempts = 1 + task.retries
    for attempt in range(1, attempts + 1):
        code, last = _attempt(task, arguments, screen, log)
        if code == 0:
            return
        if code < 0:
            name = signal.Signals(-code).name
            last = f"{task.name} was killed by {name}."
            if -code == signal.SIGKILL:
                last += " Where nobody did that, memory ran out."
            screen.write(last + "\n")
        if code in _FINAL:
            break
        if attempt < attempts:
            screen.write(f"{task.name}: trying again, {attempt + 1} of {attempts}\n")
    raise NodeError(last, code if code > 0 else 1)


def _attempt(task: Task, arguments: list[str], screen: TextIO, log: str) -> tuple[int, str]:
    """Runs a node's command once; returns its exit code and the last line that it said."""
    # `python` is the one that has Overtile, as it is in the image.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, **task.environment, "PATH": path, entrypoint.LOG: log}
    last = f"{task.name} failed and said nothing."
    process = subprocess.Popen(
        [*task.command, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None, "it is a pipe"
        try:
            for line in process.stdout:
                screen.write(line)
                last = line.strip() or last
        except BaseException:
            _end(process)
            raise
    return process.returncode, last


def _end(process: subprocess.Popen[str]) -> None:
    """Stops a node as Kubernetes stops a pod."""
    process.terminate()
    try:
        process.wait(_GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _conclude(result: Result, config: PipelineConfig) -> None:
    """Metrics and verdict, from what the nodes left in ML Metadata."""
    dag = entrypoint.dag(config, result.run)
    past = runs.past(config.workspace) if result.spans else []
    outcomes = {}
    for name in dag.names:
        done = dag.outcome(name)
        if done is None:
            if name == local.REPORT:
                continue
            done = Outcome("done", {})  # a condition left it out
        outcomes[name] = done
        local.take(result, name, outcomes, past)
    local.conclude(result, config, outcomes)


def _fail(result: Result, error: BaseException, workspace: Path) -> None:
    if isinstance(error, NodeError):
        result.fail(str(error), error.exit_code)
    else:
        failure = failures.explain(error, "The run", workspace, result.log)
        result.fail(failure.sentence, failure.exit_code)
