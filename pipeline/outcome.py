"""From what the components left to what there is to tell: verdict, metrics, gate, versions."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from components import run_report
from components.example_validator.checks import FILE as FINDINGS
from components.example_validator.checks import read as read_findings
from components.image_example_gen import duplicates, integrity
from components.places import place
from components.serving_validator import checks
from components.tuner import trials
from pipeline import pushed
from pipeline.runs import Result

if TYPE_CHECKING:
    from components.evaluation.gate import Evaluation


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one component did.

    Attributes:
      state: whether it ran or was answered from the cache.
      outputs: its output artifacts, by name; from the cache the ones of the run before.
    """

    state: Literal["done", "cached"]
    outputs: Mapping[str, Sequence[Any]]

    def folder(self, name: str) -> Path:
        """Where its one artifact of this name is."""
        return Path(self.outputs[name][0].uri)


def take_examples(result: Result, outcome: Outcome) -> None:
    """Counts, and the files that were set aside."""
    counts, set_aside = integrity.read(outcome.folder("examples"))
    result.counts = dataclasses.asdict(counts)
    result.set_aside = [dataclasses.asdict(entry) for entry in set_aside]


def take_findings(result: Result, examples: Outcome, validator: Outcome) -> list[str]:
    """What is worth a look in the data; gives a note for the screen."""
    for artifact in examples.outputs["examples"]:
        pairs = duplicates.read(place(artifact.uri) / duplicates.FILE)
        result.near_duplicates += [dataclasses.asdict(pair) for pair in pairs]
    result.findings = read_findings(place(validator.outputs["anomalies"][0].uri) / FINDINGS)
    if not result.findings:
        return []
    things = "1 thing" if len(result.findings) == 1 else f"{len(result.findings)} things"
    return [f"{things} to look at in the data, listed at the end"]


def take_trials(result: Result, outcome: Outcome) -> list[str]:
    """All trials of the search for hyperparameters; gives a note for the screen."""
    found = trials.read(str(outcome.folder("tuner_results")))
    result.trials = [dataclasses.asdict(trial) for trial in found]
    if not found:
        return []
    many = "the one trial" if len(found) == 1 else f"{len(found)} trials"
    failed = sum(trial.status == "failed" for trial in found)
    return [
        f"best of {many}: mean IoU {found[0].mean_iou:.3f}"
        + (f"; {failed} failed" if failed else "")
    ]


def take_training(result: Result, outcome: Outcome) -> None:
    """Whether the training went on from a checkpoint."""
    if outcome.state == "cached":
        return
    summary = json.loads((outcome.folder("model_run") / "training.json").read_text())
    result.resumed_from_step = summary["resumed_from_step"] or None


def take_evaluation(result: Result, evaluation: Evaluation) -> None:
    """Metrics, and the rules of the gate."""
    result.metrics = evaluation.metrics
    result.baseline = evaluation.baseline
    result.slices = evaluation.slices
    result.gate = [
        {**dataclasses.asdict(rule), "sentence": rule.sentence()} for rule in evaluation.rules
    ]


def take_serving(result: Result, outcome: Outcome) -> None:
    """What the exported model showed behind a server."""
    file = outcome.folder("blessing") / checks.FILE
    if file.exists():
        result.validation = checks.read(file.read_text())
    else:  # TFX's InfraValidator says yes or no, and the rest in the log
        blessed = outcome.outputs["blessing"][0].get_int_custom_property("blessed") == 1
        told = "TensorFlow Serving loads the model and answers" if blessed else "see the log"
        check = checks.Check("InfraValidator", None, None, blessed, told)
        result.validation = [dataclasses.asdict(check)]


def conclude(result: Result, evaluation: Evaluation, pusher: Outcome, serving: Path) -> None:
    """The verdict of a run whose components all ended well.

    A refused model stays refused when the next run finds everything in the cache.

    Args:
      result: with what the model showed behind a server; gets verdict, versions and exit code.
      evaluation: what the Evaluator found.
      pusher: what the Pusher did.
      serving: folder of the versions.
    """
    artifact = pusher.outputs["pushed_model"][0]
    is_pushed = artifact.get_int_custom_property("pushed") == 1
    short = [rule.sentence() for rule in evaluation.rules if not rule.passed]
    if not evaluation.blessed and not short:
        short = ["TFMA found no metric that the gate could judge"]
    short += [check["sentence"] for check in result.validation if not check["passed"]]
    if short:
        result.verdict, result.exit_code = "refused", 3
        result.error = f"The model was not pushed: {'; '.join(short)}."
    elif not is_pushed:
        result.verdict, result.exit_code = "refused", 3
        result.error = "The model passed the gate, but the Pusher did not push it; see the log."
    else:
        version = _version(Path(artifact.get_string_custom_property("pushed_destination")))
        if pusher.state == "cached":
            result.verdict, result.earlier = "unchanged", version
        else:
            result.verdict, result.pushed = "pushed", version
    result.status = result.verdict
    newest = pushed.newest(serving)
    result.serving = _version(newest) if newest else None


def take_report(result: Result, outcome: Outcome, workspace: Path) -> None:
    """Gives the report a place that lasts, `<workspace>/reports/<run>.html`.

    Answered from the cache, it is the report of the run that wrote it.
    """
    (artifact,) = outcome.outputs["report"]
    written = Path(artifact.uri) / run_report.FILE
    run = artifact.get_string_custom_property(run_report.RUN_PROPERTY) or result.run
    kept = workspace / "reports" / f"{run}.html"
    if not kept.exists() and written.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(written, kept)
    result.report = str(kept) if kept.exists() else None


def _version(path: Path) -> dict[str, str]:
    return {"path": str(path), "version": path.name}
