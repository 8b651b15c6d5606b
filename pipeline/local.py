"""Runs the DAG on this machine, one component after another, so that a person can follow it.

It does what `tfx.orchestration.LocalDagRunner` does, and tells of each component what became of it.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import shutil
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.places import files_below
from pipeline import failures, runs, span_outcome
from pipeline.progress import Display
from pipeline.quiet import quiet
from pipeline.runs import Result

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.outcome import Outcome

START = "Start"
"""What is shown, and timed, before the first component."""

SERVING_VALIDATORS = ("ServingValidator", "InfraValidator")
"""The components that may ask the exported model as a server would; one of them, or none."""

REPORT = "RunReport"
"""The component whose failure does not fail the run."""

# A model, its checkpoints and its export, at the least.
_LEAST_FREE = 500_000_000


def run(config: PipelineConfig, file: Path | None, debug: bool = False) -> Result:
    """Runs a pipeline; whatever becomes of it is in the result, and in the workspace's `runs`.

    Progress goes to standard error.

    Args:
      config: what to run.
      file: that it was read from.
      debug: whether a failure's traceback goes to standard error; it always goes to the log.

    Raises:
      InputError: another run is at work in this workspace, or it cannot be written to.
    """
    from rich.console import Console

    workspace = config.workspace
    with runs.lock(workspace):
        result = runs.new(workspace, file)
        with quiet(Path(result.log)) as terminal:
            faulthandler.enable(2)  # by number: it has to work when Python does not
            console = Console(file=terminal.err)
            with Display(console, [START]) as display:
                try:
                    refuse_full_disk(config)
                    refuse_engine(config)
                    refuse_missing_weights(config)
                    runs.save(result, workspace)
                    _run(config, result, display)
                except (Exception, KeyboardInterrupt) as error:
                    _fail(result, error, display, workspace)
                    if debug:
                        traceback.print_exc(file=terminal.err)
            faulthandler.disable()
            _save(result, workspace)
    return result


def refuse_engine(config: PipelineConfig) -> None:
    """Raises InputError where `beam` names an engine that will not work."""
    if config.beam.runner != "local":
        from pipeline import engines

        engines.check(config)


def refuse_missing_weights(config: PipelineConfig) -> None:
    """Raises InputError where weights to start from are not there; training is a long way off."""
    named = {
        "model.options.weights": config.model.weights_file,
        "train.start_from": config.train.start_from,
    }
    for key, path in named.items():
        # A checkpoint is named by what its files' names begin with.
        if path and not (path.exists() or Path(f"{path}.index").exists()):
            raise InputError(f"{key}: there is no file {path}.")


def refuse_full_disk(config: PipelineConfig) -> None:
    """Raises InputError where the disk cannot hold what a run writes."""
    needed = _LEAST_FREE
    if not (config.workspace / "artifacts").exists() and config.data.path:
        # Records hold pixels raw: never less than the compressed files they come from.
        needed += sum(path.stat().st_size for path in files_below(config.data.path))
    free = shutil.disk_usage(config.workspace).free
    if free < needed:
        raise InputError(
            f"{config.workspace} has {failures.format_bytes(free)} left, and a run on this data "
            f"needs at least {failures.format_bytes(needed)}: free some space, or set `workspace` "
            "to another disk."
        )


def _run(config: PipelineConfig, result: Result, display: Display) -> None:
    """Every component, in the order of the DAG; fills `result`."""
    display.begin(START, "loading TensorFlow and TFX")
    from components.image_example_gen import sources
    from pipeline import planning

    # What is wrong with the folder is said before the long imports.
    if config.data.spans:
        span_outcome.begin(result, config.data)
        runs.save(result, config.workspace)
    else:
        sources.listing(config.data)
    data, ingest = planning.complete(config.data, config.ingest)
    config = config.model_copy(update={"data": data, "ingest": ingest})

    from pipeline import graph, nodes

    dag = nodes.Dag(graph.build_pipeline(config), result.run)
    dag.forget_unfinished()
    dag.push_again_if_gone()
    display.expect(dag.names)
    result.seconds[START] = round(display.end("done"), 2)

    past = runs.past(config.workspace) if result.spans else []
    outcomes: dict[str, Outcome] = {}
    for name in dag.names:
        display.begin(name)
        try:
            done = outcomes[name] = dag.launch(name)
        except Exception:
            if name != REPORT:
                raise
            # By now the model is pushed or refused, and that is what the run comes to.
            _log_traceback()
            display.note("the report could not be written; the log says why")
            result.seconds[name] = round(display.end("failed"), 2)
            continue
        for note in take(result, name, outcomes, past):
            display.note(note)
        result.seconds[name] = round(display.end(done.state), 2)
        runs.save(result, config.workspace)  # so that a killed run tells how far it came

    conclude(result, config, outcomes)


def take(
    result: Result, name: str, outcomes: Mapping[str, Outcome], past: Sequence[Result]
) -> list[str]:
    """Fills the result from a component that has ended.

    Args:
      result: of the run.
      name: of the component.
      outcomes: what it and those before it did.
      past: with spans, the runs before.

    Returns:
      Notes for the screen.
    """
    from pipeline import outcome

    notes, done = [], outcomes[name]
    if result.spans:
        notes += span_outcome.take(result, name, done, past)
    elif name == "ImageExampleGen":
        outcome.take_examples(result, done)
    if name == "ImageExampleGen" and result.set_aside:
        notes.append(_set_aside(result.set_aside))
    if name == "ExampleValidator":
        notes += outcome.take_findings(result, outcomes["ImageExampleGen"], done)
    if name == "Tuner":
        notes += outcome.take_trials(result, done)
    if name == "Trainer":
        outcome.take_training(result, done)
    if name in SERVING_VALIDATORS:
        outcome.take_serving(result, done)
    if done.state == "cached":
        result.cached.append(name)
    return notes


def conclude(result: Result, config: PipelineConfig, outcomes: Mapping[str, Outcome]) -> None:
    """Metrics and verdict of a run whose components all ended well."""
    from components.evaluation.gate import read_evaluation
    from pipeline import outcome

    evaluation = read_evaluation(
        str(outcomes["Evaluator"].folder("evaluation")),
        config.evaluate,
        tuple(config.data.classes),
    )
    outcome.take_evaluation(result, evaluation)
    outcome.conclude(result, evaluation, outcomes["Pusher"], config.serving)
    if REPORT in outcomes:
        outcome.take_report(result, outcomes[REPORT], config.workspace)
    if result.spans:
        span_outcome.conclude(result, outcomes["SpanValidator"])


def _fail(result: Result, error: BaseException, display: Display, workspace: Path) -> None:
    _log_traceback()
    component = display.running or START
    if display.running:
        result.seconds[component] = round(display.end("failed"), 2)
    failure = failures.explain(error, component, workspace, result.log)
    result.fail(failure.sentence, failure.exit_code)
    if failure.set_aside:
        result.set_aside = [{"file": bad.file, "reason": bad.reason} for bad in failure.set_aside]


def _save(result: Result, workspace: Path) -> None:
    try:
        runs.save(result, workspace)
    except OSError:
        _log_traceback()


def _log_traceback() -> None:
    # A full disk must not hide what the run has to say.
    with contextlib.suppress(OSError):
        os.write(2, traceback.format_exc().encode(errors="replace"))


def _set_aside(bad: list[dict[str, Any]]) -> str:
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    return f"{files} set aside; they are listed at the end"
