"""Whether a model is good enough: TFMA's configuration, and its verdict read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import tensorflow_model_analysis as tfma

from components.errors import InputError
from components.evaluation import confusion, slices
from components.evaluation.config import EvaluateConfig
from components.records import ATTRIBUTE

CANDIDATE, BASELINE = "candidate", "baseline"

# The signature predicts one record at a time; larger batches would only hold more in memory.
_BATCH_SIZE = 8
_MOST_DIGITS = 6


@dataclasses.dataclass(frozen=True)
class Rule:
    """One condition of the gate.

    Attributes:
      rule: the configuration's key.
      metric: what it looks at.
      value: the candidate's; None where there was nothing to compute it from.
      limit: what the value must reach.
      passed: whether it did, as TFMA decided.
    """

    rule: str
    metric: str
    value: float | None
    limit: float
    passed: bool

    def sentence(self) -> str:
        """What a person reads."""
        if self.value is None:
            value, limit = "undefined", f"{self.limit:.4g}"
        else:
            digits = 3
            # Until one sees that it falls short.
            while not self.passed and digits < _MOST_DIGITS and self._looks_equal(digits):
                digits += 1
            value, limit = f"{self.value:.{digits}f}", f"{self.limit:.{max(digits, 4)}g}"
        verb = "reaches" if self.passed else "is below"
        return f"{self.metric} {value} {verb} {limit} (evaluate.{self.rule})"

    def _looks_equal(self, digits: int) -> bool:
        return self.value is not None and f"{self.value:.{digits}f}" == f"{self.limit:.{digits}f}"


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What the Evaluator found.

    Attributes:
      metrics: the candidate's, by the names of `confusion.names`; without the undefined ones.
      baseline: those of the last blessed model; None where there was none.
      rules: the gate's, each with its outcome.
      blessed: whether all were passed.
      slices: the candidate's metrics on the images of each value of an attribute, `site=A`.
    """

    metrics: dict[str, float]
    baseline: dict[str, float] | None
    rules: list[Rule]
    blessed: bool
    slices: dict[str, dict[str, float]] = dataclasses.field(default_factory=dict)


def eval_config(evaluate: EvaluateConfig, classes: Sequence[str]) -> tfma.EvalConfig:
    """TFMA's configuration of the metrics and the gate.

    Args:
      evaluate: the gate.
      classes: the class names.

    Raises:
      InputError: `evaluate.min_iou` names a class that there is not.
    """
    unknown = set(evaluate.min_iou) - set(classes)
    if unknown:
        raise InputError(
            f"evaluate.min_iou names {', '.join(sorted(unknown))}; the classes are "
            f"{', '.join(classes)}."
        )
    floors = {
        "mean_iou": evaluate.min_mean_iou,
        **{f"iou/{name}": floor for name, floor in evaluate.min_iou.items()},
    }
    return tfma.EvalConfig(
        model_specs=[
            tfma.ModelSpec(
                name=name,
                signature_name="evaluate",
                inference_batch_size=_BATCH_SIZE,
                is_baseline=name == BASELINE,
            )
            for name in (CANDIDATE, BASELINE)
        ],
        slicing_specs=[
            _OVERALL,
            *(tfma.SlicingSpec(feature_keys=[f"{ATTRIBUTE}{name}"]) for name in evaluate.slices),
        ],
        metrics_specs=[
            tfma.MetricsSpec(
                metrics=[
                    _metric(name, classes, floors.get(name), evaluate.max_drop)
                    for name in confusion.names(classes)
                ]
            )
        ],
    )


def read_evaluation(uri: str, evaluate: EvaluateConfig, classes: Sequence[str]) -> Evaluation:
    """What the Evaluator wrote.

    Args:
      uri: of its output `evaluation`.
      evaluate: the gate it was given.
      classes: the class names.
    """
    sliced = _read_metrics(uri, CANDIDATE) or _read_metrics(uri, "")
    candidate = sliced.pop("", {})
    baseline = _read_metrics(uri, BASELINE).get("")
    validation = tfma.load_validation_result(uri)
    failed = {
        (failure.metric_key.name, failure.metric_key.is_diff)
        for per_slice in validation.metric_validations_per_slice
        for failure in per_slice.failures
    }

    def rule(key: str, metric: str, limit: float, is_diff: bool = False) -> Rule:
        passed = (metric, is_diff) not in failed and not validation.missing_slices
        return Rule(key, metric, candidate.get(metric), limit, passed)

    rules = [rule("min_mean_iou", "mean_iou", evaluate.min_mean_iou)]
    rules += [
        rule(f"min_iou.{name}", f"iou/{name}", floor) for name, floor in evaluate.min_iou.items()
    ]
    if baseline and "mean_iou" in baseline:
        limit = baseline["mean_iou"] - evaluate.max_drop
        rules.append(rule("max_drop", "mean_iou", limit, is_diff=True))
    wanted = confusion.names(classes)
    return Evaluation(
        {name: candidate[name] for name in wanted if name in candidate},
        baseline and {name: baseline[name] for name in wanted if name in baseline},
        rules,
        bool(validation.validation_ok),
        {
            part: {name: values[name] for name in wanted if name in values}
            for part, values in sorted(sliced.items())
        },
    )


def _metric(
    name: str, classes: Sequence[str], floor: float | None, max_drop: float
) -> tfma.MetricConfig:
    config = tfma.MetricConfig(
        class_name="SegmentationMetric",
        module="components.evaluation.metric",
        config=json.dumps({"name": name, "classes": list(classes)}),
    )
    # `config.threshold` would hold for each slice too.
    threshold = tfma.MetricThreshold()
    if floor is not None:
        # A floor is set also beside the comparison: without a baseline that one passes everything.
        threshold.value_threshold.lower_bound.value = floor
    if name == "mean_iou":
        threshold.change_threshold.absolute.value = -max_drop
        threshold.change_threshold.direction = tfma.MetricDirection.HIGHER_IS_BETTER
    if threshold.ByteSize():
        config.per_slice_thresholds.add(slicing_specs=[_OVERALL], threshold=threshold)
    return config


_OVERALL = tfma.SlicingSpec()


def _read_metrics(uri: str, model_name: str) -> dict[str, dict[str, float]]:
    """The defined metrics of one model by slice, the whole being ""; {} if it was not evaluated."""
    try:
        result = tfma.load_eval_result(uri, model_name=model_name)
    except ValueError:  # TFMA names no such model
        return {}
    found = {}
    for key in result.get_slice_names() if result.slicing_metrics else ():
        values = {
            name: value.get("doubleValue")
            for name, value in (result.get_metrics_for_slice(key) or {}).items()
        }
        # TFMA writes NaN as the word.
        found[slices.name(dict(key))] = {
            name: value for name, value in values.items() if isinstance(value, float)
        }
    return {name: values for name, values in found.items() if values}
