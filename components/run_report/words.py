"""Numbers and verdicts as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from components.evaluation.gate import Rule
    from components.run_report.facts import Facts

_NONE = "–"
_THIN = "\u202f"  # a narrow space that does not break
_MINUS = "\u2212"


def iou(value: float | None, digits: int = 3) -> str:
    """A share with so many digits; a dash for one that is undefined.

    >>> iou(0.79293), iou(None)
    ('0.793', '–')
    """
    return _NONE if value is None or not math.isfinite(value) else f"{value:.{digits}f}"


def change(value: float | None) -> str:
    """A difference with its sign.

    >>> change(0.0012), change(-0.25), change(0.0)
    ('+0.001', '−0.250', '0.000')
    """
    if value is None or not math.isfinite(value):
        return _NONE
    text = f"{abs(value):.3f}"
    sign = "" if float(text) == 0 else "+" if value > 0 else _MINUS
    return f"{sign}{text}"


def percent(share: float) -> str:
    """A share in per cent, with the digits that it needs.

    >>> percent(0.5), percent(0.0123), percent(0.00001), percent(0.0)
    ('50.0\u202f%', '1.23\u202f%', '<0.01\u202f%', '0\u202f%')
    """
    hundred = 100 * share
    if not math.isfinite(hundred):
        return _NONE
    if hundred == 0 or hundred == 100:
        number = f"{hundred:.0f}"
    elif hundred < 0.01:
        number = "<0.01"
    elif hundred < 9.995:
        number = f"{hundred:.2f}"
    else:
        number = f"{min(hundred, 99.9):.1f}"
    return f"{number}{_THIN}%"


def count(number: int) -> str:
    """A number with its thousands apart.

    >>> count(1945250)
    '1\u202f945\u202f250'
    """
    return f"{number:,}".replace(",", _THIN)


def many(number: int, what: str) -> str:
    """A number of things.

    >>> many(1, "image"), many(2, "image")
    ('1 image', '2 images')
    """
    return f"{count(number)} {what}" if number == 1 else f"{count(number)} {what}s"


def number(value: float) -> str:
    """A measured value in three digits or its whole part.

    >>> number(1234.5), number(0.0512), number(99.25)
    ('1\u202f234', '0.0512', '99.2')
    """
    if not math.isfinite(value):
        return _NONE
    return count(int(value)) if abs(value) >= 1000 else f"{value:.3g}"


def metric(name: str) -> str:
    """What a metric is called in a sentence.

    >>> metric("mean_iou"), metric("iou/cell")
    ('mean IoU', 'IoU of cell')
    """
    kind, slash, of = name.partition("/")
    words = kind.replace("_", " ").replace("iou", "IoU")
    return f"{words} of {of}" if slash else words


def shortfall(rule: Rule) -> str:
    """How a rule of the gate was missed, in enough digits to see it."""
    what, digits = metric(rule.metric), 3
    if rule.value is None:
        return f"{what} is undefined, where {rule.limit:.4g} is asked"
    while digits < 6 and f"{rule.value:.{digits}f}" == f"{rule.limit:.{digits}f}":
        digits += 1
    limit = f"{rule.limit:.{digits}f}"
    told = {"max_drop": f"{limit}, the least that the last blessed model leaves"}
    return f"{what} {rule.value:.{digits}f} is below {told.get(rule.rule, f'the floor of {limit}')}"


def verdict(facts: Facts) -> dict[str, Any]:
    """Whether the model was pushed, and if not, what it fell short of."""
    check = facts.serving_check
    failed = [check for check in check.checks if not check.get("passed")] if check else []
    if facts.pushed:
        return {
            "state": "pushed",
            "headline": f"Pushed as version {facts.pushed.version}",
            "reasons": [],
        }
    reasons = [
        f"{shortfall(rule)} (evaluate.{rule.rule})"
        for rule in facts.evaluation.rules
        if not rule.passed
    ]
    if check is not None and not check.passed:
        reasons += [str(one.get("sentence") or one.get("name")) for one in failed] or [
            "the exported model did not answer as a server needs it"
        ]
    if not reasons:
        reasons = [
            "the model passed the gate, but the Pusher did not push it; see the log"
            if facts.evaluation.blessed
            else "there was no metric that the gate could judge"
        ]
    return {
        "state": "refused",
        "headline": "Not pushed",
        "reasons": [reason[:1].upper() + reason[1:].rstrip(".") + "." for reason in reasons],
    }


def used(
    settings: Mapping[str, Any], configuration: Mapping[str, Any], section: str
) -> list[tuple[str, str, bool]]:
    """Settings that had a part: name, value, and whether the search for hyperparameters chose it.

    Args:
      settings: that were used.
      configuration: that was asked for.
      section: `model` or `train`.
    """

    def options(values: Mapping[str, Any]) -> Mapping[str, Any]:
        found = values.get(section) or {}
        return found.get("options") or {} if section == "model" else found

    asked = options(configuration)
    here = options(settings)
    # What has no effect is not told.
    idle = {"precision", "warm_start", "strategy", "jit", "accumulate"}
    idle |= {
        name for name, (other, value) in _ONLY_WITH.items() if not _has(here.get(other), value)
    }
    return [
        (
            name.replace("_", " "),
            setting(value),
            name in asked and asked[name] != value,
        )
        for name, value in here.items()
        if value not in (None, 0, "none") and name not in idle
    ]


def setting(value: Any) -> str:
    """A setting's value in a sentence."""
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {setting(one)}" for name, one in value.items())
    if value is True:
        return "yes"
    if isinstance(value, float):
        # Of what is nearly 1 the distance is what counts.
        return f"{value:.4g}" if not 0.999 < value < 1 else str(value)
    return str(value)


def _has(value: Any, wanted: str) -> bool:
    """Whether a setting has a value, or names it among others."""
    return wanted in value if isinstance(value, dict) else value == wanted


# Settings that another one must have a value for.
_ONLY_WITH = {
    "momentum": ("optimizer", "sgd"),
    "power": ("schedule", "polynomial"),
    "step_factor": ("schedule", "step"),
    "step_at": ("schedule", "step"),
    "step_every": ("schedule", "step"),
    "focal_gamma": ("loss", "focal"),
    "focal_alpha": ("loss", "focal"),
    "tversky_alpha": ("loss", "tversky"),
    "tversky_beta": ("loss", "tversky"),
    "lovasz_over": ("loss", "lovasz"),
    "effective_number_beta": ("class_weights", "effective_number"),
}


def told_value(value: Any) -> str:
    """A check's value or limit, of whatever type.

    >>> told_value(0.25), told_value(1500), told_value("int64"), told_value(None), told_value(True)
    ('0.25', '1\u202f500', 'int64', '', 'yes')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return number(value) if isinstance(value, float) else str(value)
