"""What was looked at, and what was found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

FILE = "validation.json"


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that a model must show before it is pushed.

    Attributes:
      name: what was looked at.
      value: what was measured; None where nothing could be.
      limit: what it is held against; None where there is no limit.
      passed: whether it is as it must be.
      sentence: the same for a person, without a full stop.
    """

    name: str
    value: float | None
    limit: float | None
    passed: bool
    sentence: str


def limited(name: str, value: float, limit: float | None, told: str, key: str) -> Check:
    """A measurement that must not exceed a limit of the configuration.

    Args:
      name: of the check.
      value: in the unit of the key.
      limit: in the same unit; None for no limit.
      told: the measurement in words.
      key: of the configuration.
    """
    if limit is None:
        return Check(name, value, None, True, told)
    passed = value <= limit
    verb = "within" if passed else "above"
    return Check(name, value, limit, passed, f"{told}, {verb} {limit:g} ({key})")


def to_json(checks: Sequence[Check]) -> str:
    """What `validation.json` holds: `passed`, and `checks`."""
    passed = all(check.passed for check in checks)
    listed = [dataclasses.asdict(check) for check in checks]
    return json.dumps({"passed": passed, "checks": listed}, indent=2)


def read(text: str) -> list[dict[str, Any]]:
    """The checks of `validation.json`, each with the fields of `Check`."""
    listed: list[dict[str, Any]] = json.loads(text)["checks"]
    return listed
