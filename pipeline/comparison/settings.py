"""What the models of a comparison were trained with that is not the same for all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.comparison.recorded import Recorded
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import registry

# In this order settings are listed.
_SECTIONS = ("model", "train", "augment", "ingest", "computed in")
_ABSENT = object()


def that_differ(runs: Sequence[Recorded]) -> list[tuple[str, list[str]]]:
    """What models were trained with that is not the same for all."""
    told = [_settings(run) for run in runs]
    keys = {key for one in told for key in one}
    ordered = sorted(keys, key=lambda key: (_SECTIONS.index(_head(key)), _place(key, told), key))
    rows = []
    for key in ordered:
        values = [one.get(key, _ABSENT) for one in told]
        shown = [_shown(value) for value in values]
        # An option that another architecture does not have is worth a line where somebody set it.
        here = [run for run, value in zip(runs, values) if value is not _ABSENT]
        is_set = len(here) == len(runs) or any(_is_set(run, key) for run in here)
        if len(set(shown)) > 1 and is_set:
            rows.append((key, shown))
    return rows


def _head(key: str) -> str:
    return key.split(".")[0]


def _place(key: str, told: Sequence[Mapping[str, Any]]) -> int:
    """Where a key stands among those of the first model that has it."""
    return next(list(one).index(key) for one in told if key in one)


def _is_set(run: Recorded, key: str) -> bool:
    """Whether an option of a run's architecture is not by default."""
    model = ModelConfig(**run.training["settings"]["model"])
    option = key.removeprefix("model.options.")
    default = registry.options(model.name, {}).model_dump(mode="json").get(option)
    chosen = registry.options(model.name, model.options).model_dump(mode="json").get(option)
    return bool(default != chosen)


def _settings(run: Recorded) -> dict[str, Any]:
    """Keys as overtile.yaml has them; what an older version did not know yet is by default."""
    settings = run.training["settings"]
    model = ModelConfig(**settings["model"])
    options = registry.options(model.name, model.options).model_dump(mode="json")
    sections = {
        "train": TrainConfig(**settings["train"]).model_dump(mode="json"),
        "augment": AugmentConfig(**settings["augment"]).model_dump(mode="json"),
        "ingest": run.configuration.get("ingest") or {},
    }
    found: dict[str, Any] = {
        f"model.{key}": value
        for key, value in model.model_dump(mode="json").items()
        if key != "options"
    }
    found |= {f"model.options.{key}": value for key, value in options.items()}
    for section, values in sections.items():
        found |= {f"{section}.{key}": value for key, value in values.items()}
    found["computed in"] = run.training.get("precision")
    return found


def _shown(value: Any) -> str:
    if value is _ABSENT or value is None:
        return "–"
    return value if isinstance(value, str) else json.dumps(value).replace('"', "").strip("{}")
