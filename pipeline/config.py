"""overtile.yaml: each room's own section, composed and checked."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from components import places
from components.errors import InputError
from components.evaluation.config import EvaluateConfig
from components.example_validator.config import ChecksConfig
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ingest_config import IngestConfig
from components.serving_validator.config import ValidationConfig
from kubeflow.config import KubeflowConfig
from pipeline.beam_config import BeamConfig
from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.tune_config import TuneConfig


class PushConfig(BaseModel, extra="forbid", frozen=True):
    """Where models that are good enough go."""

    path: Path | None = Field(
        None, description="folder that TensorFlow Serving watches; default: serving/ in `workspace`"
    )
    validation: ValidationConfig = ValidationConfig()


class PipelineConfig(BaseModel, extra="forbid", frozen=True):
    """One pipeline: one data set, one model, one place where it is served."""

    name: str = Field(
        "overtile",
        pattern=r"^[a-z][a-z0-9_-]*$",
        description="of the pipeline and of the model that it pushes",
    )
    workspace: places.Place = Field(
        Path("overtile-work"),
        description="records, checkpoints, metadata and runs; relative to this file",
    )
    data: DataConfig = DataConfig()
    ingest: IngestConfig = IngestConfig()
    checks: ChecksConfig = ChecksConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    augment: AugmentConfig = AugmentConfig()
    tune: TuneConfig = TuneConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    push: PushConfig = PushConfig()
    beam: BeamConfig = BeamConfig()
    kubeflow: KubeflowConfig = KubeflowConfig()

    @model_validator(mode="after")
    def _values_to_search_are_allowed(self) -> PipelineConfig:
        if self.tune.trials:
            from trainer import space

            space.check(self.tune, self.model)
        return self

    @model_validator(mode="after")
    def _copies_are_such_as_it_was_trained_on(self) -> PipelineConfig:
        over, flip = self.model.average_over, self.augment.flip
        missing = []
        if over == "left_right" and flip not in (True, "left_right"):
            missing.append("augment.flip: left_right")
        if over in ("flips", "flips_and_turns") and flip is not True:
            missing.append("augment.flip: true")
        if over == "flips_and_turns" and not self.augment.quarter_turns:
            missing.append("augment.quarter_turns: true")
        if missing:
            raise ValueError(
                f"model.average_over: {over} needs {' and '.join(missing)}: the model is not "
                "trained on such copies"
            )
        return self

    @property
    def serving(self) -> Path:
        """The folder of the pushed model's versions: `<push>/<model>`."""
        return (self.push.path or self.workspace / "serving") / self.name


def load(file: Path, overrides: dict[str, Any] | None = None) -> PipelineConfig:
    """Reads a configuration; its relative paths start at the file's own folder.

    Args:
      file: overtile.yaml.
      overrides: dotted keys with the values that replace the file's, such as `train.steps`.

    Raises:
      InputError: the file is missing, not YAML, or has a key or value that is not allowed; names
        each of them and what is allowed.
    """
    try:
        values = yaml.safe_load(file.read_text()) or {}
    except FileNotFoundError:
        raise InputError(f"There is no {file}; `overtile init DATA` writes one.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(values, dict):
        raise InputError(f"{file} holds a {type(values).__name__}, not sections such as `data:`.")
    return parse(values, base=file.resolve().parent, name=str(file), overrides=overrides)


def parse(
    values: dict[str, Any],
    base: Path,
    name: str = "the configuration",
    overrides: dict[str, Any] | None = None,
) -> PipelineConfig:
    """Checks a configuration and makes its paths absolute, starting at `base`.

    Raises:
      InputError: a key or value is not allowed.
    """
    for key, value in (overrides or {}).items():
        _set(values, key, value, name)
    try:
        config = PipelineConfig(**values)
    except ValidationError as error:
        raise InputError(f"{name}: {_explain(error, values)}") from None
    except TypeError as error:
        raise InputError(f"{name}: {error}") from None

    def absolute(path: Path | None) -> Path | None:
        return None if path is None else places.absolute(path, base)

    if places.is_remote(config.workspace):
        raise InputError(
            f"{name}: workspace: {config.workspace} is not on this machine, where checkpoints and "
            "metadata must be; data.path and beam.shared_folder may be elsewhere."
        )
    if config.data.path and places.is_remote(config.data.path) and config.beam.options:
        # What looks at the data set before Beam starts needs them too.
        places.use(config.beam.options)
    dataflow = config.beam.dataflow
    return config.model_copy(
        update={
            "workspace": absolute(config.workspace),
            "data": config.data.model_copy(update={"path": absolute(config.data.path)}),
            "model": config.model.model_copy(update={"options": _located(config.model, base)}),
            "train": config.train.model_copy(
                update={"start_from": absolute(config.train.start_from)}
            ),
            "beam": config.beam.model_copy(
                update={
                    "shared_folder": absolute(config.beam.shared_folder),
                    "dataflow": dataflow.model_copy(
                        update={"setup_file": absolute(dataflow.setup_file)}
                    ),
                }
            ),
            "push": config.push.model_copy(update={"path": absolute(config.push.path)}),
        }
    )


def _located(model: ModelConfig, base: Path) -> dict[str, Any]:
    """The options of a model, with the file of its weights, if it names one, found from `base`."""
    file = model.weights_file
    return model.options | ({"weights": str(places.absolute(file, base))} if file else {})


def _set(values: dict[str, Any], key: str, value: Any, name: str) -> None:
    *sections, last = key.split(".")
    for section in sections:
        values = values.setdefault(section, {})
        if not isinstance(values, dict):
            raise InputError(f"{name}: {section} holds a value, so {key} cannot be set.")
    values[last] = value


def _explain(error: ValidationError, values: dict[str, Any]) -> str:
    """One clause a wrong key: the key, what is wrong with its value, and what is allowed."""
    told = "; ".join(_explain_one(dict(problem), values) for problem in error.errors())
    return told if told.endswith("?") else told + "."


def _explain_one(problem: dict[str, Any], values: dict[str, Any]) -> str:
    path = [part for part in problem["loc"] if part not in ("Range", "list[any]")]
    key = ".".join(map(str, path))
    if problem["type"] == "extra_forbidden":
        known = _fields(path[:-1])
        if path[:-1] == ["model", "options"]:
            from trainer.models import registry

            known = list(registry.describe(values["model"].get("name", ModelConfig().name)))
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
        return f"unknown key {key}; {hint}"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    shown = problem["input"]
    if isinstance(shown, dict) or problem["type"] == "missing":
        return f"{key}: {message}" if key else message
    return f"{key}: {shown!r} is not allowed: {message}"


def _fields(path: list[Any]) -> list[str]:
    """The keys that the section at `path` has."""
    model: Any = PipelineConfig
    for part in path:
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:  # a name in a mapping of sections
            continue
        model = field.annotation
        # A section that may be left out is annotated `Section | None`; a mapping has its type last.
        sections = [one for one in get_args(model) if hasattr(one, "model_fields")]
        model = sections[0] if sections else model
    return list(getattr(model, "model_fields", {}))
