"""What there is to tell of a run on spans: `Result.spans`, the notes, and a refused span's verdict.

seen        name and fingerprint of each span that was looked at
new         names of those that this run, or the cache, ingested last
evaluation  name of the span that the evaluation set is from
held_back   images of new spans that belong to the evaluation set: file, reason
refused     new spans that were refused: span, match, agreement, reason
relabelled  images of older spans that a newer one labels again: image, by
window      names of the spans that train
warm_start  what training starts from: model (folder), version (None where it was not pushed)
model       folder of the model that this run trained, or found in the cache
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.image_example_gen import integrity, spans
from components.records import SPLITS

if TYPE_CHECKING:
    from components.image_example_gen.config import DataConfig
    from pipeline.outcome import Outcome
    from pipeline.runs import Result


def begin(result: Result, data: DataConfig) -> None:
    """Before the long imports: what lies there, so that whoever watches knows what was tried.

    Raises:
      InputError: there is no such folder.
    """
    result.spans = {
        "seen": spans.state(data),
        "new": [],
        "evaluation": None,
        "held_back": [],
        "refused": [],
        "relabelled": [],
        "window": [],
        "warm_start": None,
        "model": None,
    }


def take(result: Result, name: str, outcome: Outcome, past: Sequence[Result]) -> list[str]:
    """Fills the result from a component that has ended.

    Args:
      result: of a run on spans.
      name: of the component.
      outcome: what it did.
      past: the runs before, which know under which version a model was pushed.

    Returns:
      Notes for the screen.
    """
    told = result.spans
    assert told is not None, "begin comes first"
    if name == "ImageExampleGen":
        return _take_examples(result, told, outcome)
    if name == "SpanValidator":
        return _take_verdicts(told, outcome)
    if name == "Window":
        told["evaluation"] = _span(outcome.outputs["evaluation"][0])
        told["window"] = [_span(one) for one in outcome.outputs["examples"] if _trains(one)]
        from components.superseded import superseded

        replaced = superseded(one.uri for one in outcome.outputs["examples"] if _trains(one))
        told["relabelled"] = [{"image": old, "by": new} for old, new in sorted(replaced.items())]
        sentence = (
            f"Training on {', '.join(told['window'])}; evaluating on images of "
            f"{told['evaluation']}."
        )
        return [sentence, *([_relabelled(len(replaced))] if replaced else [])]
    if name == "WarmStart":
        models = outcome.outputs.get("model")
        if not models:
            return []
        model = models[0].uri
        told["warm_start"] = {"model": model, "version": _version(model, past)}
        return [f"Weights to start from: {describe(told['warm_start'])}."]
    if name == "Trainer":
        told["model"] = str(outcome.folder("model"))
        training = outcome.folder("model_run") / "training.json"
        if json.loads(training.read_text())["warm_start_from"] is None:
            told["warm_start"] = None  # its weights did not fit
    return []


def conclude(result: Result, validator: Outcome) -> None:
    """Makes a run that brought nothing but refused spans a refused run.

    A run that repeats it and looks at nothing new is unchanged: the refused spans do not train.

    Args:
      result: with its verdict so far.
      validator: what the SpanValidator did.
    """
    assert result.spans is not None, "begin comes first"
    refused = result.spans["refused"]
    if not refused or validator.state == "cached" or result.verdict != "unchanged":
        return
    result.verdict = result.status = "refused"
    result.exit_code, result.earlier = 3, None
    result.error = advice(refused)


def lines(result: Result) -> list[tuple[str, str]]:
    """What a person reads of spans at the end, each line with its style."""
    told = result.spans
    assert told is not None, "begin comes first"
    found = []
    if told["window"]:
        start = f", starting from {describe(told['warm_start'])}" if told["warm_start"] else ""
        found.append(
            (
                f"Trained on {', '.join(told['window'])}{start}; evaluated on images of "
                f"{told['evaluation']}.",
                "dim",
            )
        )
    if told.get("relabelled"):
        found.append((_relabelled(len(told["relabelled"])), "dim"))
    if told["held_back"]:
        found.append((_held_back(len(told["held_back"])), "dim"))
    if told["refused"] and result.verdict != "refused":
        found.append((advice(told["refused"]), "yellow"))
    return found


def advice(refused: Sequence[dict[str, Any]]) -> str:
    """What is wrong with refused spans and what to do."""
    reasons = "; ".join(one["reason"] for one in refused)
    names = ", ".join(one["span"] for one in refused)
    them = "it" if len(refused) == 1 else "them"
    return (
        f"{names} {'is' if len(refused) == 1 else 'are'} refused and will not train: {reasons}. "
        f"Mend the labels or remove {them}; if they are right and the images of a new kind, lower "
        "data.spans.min_agreement."
    )


def describe(warm_start: dict[str, Any]) -> str:
    """The model that training started from, for people."""
    version = warm_start["version"]
    return f"version {version}" if version else f"the model in {warm_start['model']}"


def _take_examples(result: Result, told: dict[str, Any], outcome: Outcome) -> list[str]:
    """Counts of all new spans together, bad files, images held back."""
    folders = []
    for artifact in outcome.outputs["examples"]:
        if _trains(artifact):
            told["new"].append(_span(artifact))
            folders.append(Path(artifact.uri))
    total: Counter[str] = Counter()
    by_split = {name: Counter(dict.fromkeys(SPLITS, 0)) for name in ("used", "records")}
    for folder in folders:
        counts, set_aside = integrity.read(folder)
        result.set_aside += [dataclasses.asdict(entry) for entry in set_aside]
        told["held_back"] += [
            dataclasses.asdict(entry) for entry in integrity.read_held_back(folder)
        ]
        for name, value in dataclasses.asdict(counts).items():
            if name in by_split:
                by_split[name].update(value)
            else:
                total[name] += value
    result.counts = {**total, **{name: dict(one) for name, one in by_split.items()}}
    return [_held_back(len(told["held_back"]))] if told["held_back"] else []


def _relabelled(count: int) -> str:
    images = "1 image is" if count == 1 else f"{count} images are"
    return f"{images} labelled again by a newer span, whose labels train in place of the older."


def _held_back(count: int) -> str:
    images = "1 image of the new spans does" if count == 1 else f"{count} images of new spans do"
    return f"{images} not train, since copies or others of their groups evaluate."


def _take_verdicts(told: dict[str, Any], outcome: Outcome) -> list[str]:
    from components.span_validator.blessing import VERDICTS, decode

    (artifact,) = outcome.outputs["blessing"]
    verdicts = decode(artifact.get_string_custom_property(VERDICTS))
    told["refused"] = [
        {
            "span": one.span,
            "match": one.match,
            "agreement": one.agreement,
            "reason": one.reason,
        }
        for one in verdicts.values()
        if not one.accepted
    ]
    if outcome.state == "cached" and told["refused"]:
        names = ", ".join(one["span"] for one in told["refused"])
        return [f"{names}: refused by an earlier run, so without it."]
    return []


def _version(model: str, past: Sequence[Result]) -> str | None:
    for run in reversed(past):
        if run.pushed and run.spans and run.spans.get("model") == model:
            return run.pushed["version"]
    return None


def _span(artifact: Any) -> str:
    name: str = artifact.get_string_custom_property(spans.NAME)
    return name


def _trains(artifact: Any) -> bool:
    return bool(artifact.get_string_custom_property(spans.KIND) == spans.TRAINS)
