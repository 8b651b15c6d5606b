"""The space that a search for hyperparameters goes through, and what a point of it means.

A point has values by key: `train.KEY`, `augment.KEY`, `model.name`, and `model.KEY` for an option
of the model. An option is searched only beside the models that have it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from trainer.config import AugmentConfig, ModelConfig, TrainConfig
from trainer.models import registry
from trainer.tune_config import Range, TuneConfig

if TYPE_CHECKING:
    import keras_tuner

MODEL = "model.name"

_SECTIONS: dict[str, type[BaseModel]] = {"train": TrainConfig, "augment": AugmentConfig}


def check(tune: TuneConfig, model: ModelConfig) -> None:
    """Whether each value that the search may choose is one that the configuration may have.

    Args:
      tune: with keys that exist in `train` and `augment`.
      model: what is built where the search does not choose.

    Raises:
      ValueError: one is not; names the key, the value and what is allowed.
    """
    names = candidates(tune, model)
    for name in names:
        if name not in registry.NAMES:
            raise ValueError(f"tune.space: {MODEL}: {_no_model(name)}")
        with _naming(f"tune.space: {MODEL}: {name!r}, with model.options"):
            registry.options(name, _kept(model, name))
    for key, choices in tune.space.items():
        section, _, field = key.partition(".")
        owners = _owners(field, names) if section == "model" and key != MODEL else []
        if section == "model" and key != MODEL and not owners:
            known = sorted({option for name in names for option in registry.describe(name)})
            raise ValueError(
                f"tune.space: {key}: no model that is searched has the option {field!r}; "
                f"there are {', '.join(known)}"
            )
        ends = [choices.min, choices.max] if isinstance(choices, Range) else choices
        for value in ends:
            with _naming(f"tune.space: {key}: {value!r}"):
                if section in _SECTIONS:
                    _adapter(section, field).validate_python(meaning(key, value))
                for name in owners:
                    # A whole number, where the option has to be one.
                    whole = int(value) if isinstance(value, float) and value.is_integer() else value
                    registry.options(name, {**_kept(model, name), field: whole})


def candidates(tune: TuneConfig, model: ModelConfig) -> list[Any]:
    """The names of the models that a trial may build."""
    choices = tune.space.get(MODEL)
    return [model.name] if choices is None else list(choices)  # type: ignore[arg-type]


def declare(tune: TuneConfig, model: ModelConfig) -> keras_tuner.HyperParameters:
    """The space as KerasTuner's oracles have it."""
    import keras_tuner

    hp = keras_tuner.HyperParameters()
    names = candidates(tune, model)
    # First, since options of models depend on it.
    for key in sorted(tune.space, key=lambda key: key != MODEL):
        section, _, field = key.partition(".")
        scope: Any = contextlib.nullcontext()
        if MODEL in tune.space and section == "model" and key != MODEL:
            scope = hp.conditional_scope(MODEL, _owners(field, names))
        with scope:
            _declare_one(hp, key, tune.space[key])
    return hp


def _declare_one(hp: keras_tuner.HyperParameters, key: str, choices: Range | list[Any]) -> None:
    if isinstance(choices, Range):
        if _is_whole(key, choices):
            hp.Int(key, int(choices.min), int(choices.max), sampling=choices.scale)
        else:
            hp.Float(key, choices.min, choices.max, sampling=choices.scale)
        return
    types = {type(choice) for choice in choices}
    if types == {int, float}:
        choices = [float(choice) for choice in choices]
    elif len(types) > 1 or not types <= {int, float, str}:
        # KerasTuner knows numbers or words; the others, true and false too, get words.
        choices = [one if isinstance(one, str) else json.dumps(one) for one in choices]
    hp.Choice(key, choices)


def meaning(key: str, value: Any) -> Any:
    """What a chosen value stands for in the configuration.

    Args:
      key: `train.loss`, say.
      value: as KerasTuner has it: a number, a word, or JSON where a choice is neither.
    """
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    return {value: 1.0} if key == "train.loss" and isinstance(value, str) else value


def chosen(
    model: ModelConfig, train: TrainConfig, augment: AugmentConfig, values: Mapping[str, Any]
) -> dict[str, Any]:
    """The sections of the configuration with hyperparameters in them.

    Where the search chose another model than the configured one, that gets the configured options
    that it has; options that a model lacks are left out.

    Args:
      model: as configured.
      train: as configured.
      augment: as configured.
      values: of a trial; keys of other sections, such as Hyperband's own, are left out.

    Raises:
      ValueError: these values do not go together (pydantic.ValidationError).
    """
    sections: dict[str, dict[str, Any]] = {"train": dict(train), "augment": dict(augment)}
    name = values.get(MODEL, model.name)
    options = _kept(model, name)
    for key, value in values.items():
        section, _, field = key.partition(".")
        if section in sections:
            sections[section][field] = meaning(key, value)
        elif (
            section == "model"
            and key != MODEL
            and (MODEL not in values or field in registry.describe(name))
        ):
            options[field] = meaning(key, value)
    return {
        "model": ModelConfig(**{**dict(model), "name": name, "options": options}),
        "train": TrainConfig(**sections["train"]),
        "augment": AugmentConfig(**sections["augment"]),
    }


def _kept(model: ModelConfig, name: str) -> dict[str, Any]:
    """The configured options that model `name` has too."""
    if name == model.name:
        return dict(model.options)
    known = registry.describe(name)
    return {option: value for option, value in model.options.items() if option in known}


def _owners(option: str, names: list[str]) -> list[str]:
    return [name for name in names if option in registry.describe(name)]


def _no_model(name: Any) -> str:
    return f"there is no model {name!r}; there are {', '.join(registry.NAMES)}"


def _adapter(section: str, field: str) -> TypeAdapter[Any]:
    info = _SECTIONS[section].model_fields[field]
    kind: Any = Annotated[info.annotation, info]  # type: ignore[name-defined]
    return TypeAdapter(kind)


def _is_whole(key: str, choices: Range) -> bool:
    """Whether only whole numbers of a range are meant."""
    section, _, field = key.partition(".")
    if section in _SECTIONS:
        annotation = _SECTIONS[section].model_fields[field].annotation
        return int in (annotation, *_plain(annotation))
    return float(choices.min).is_integer() and float(choices.max).is_integer()


def _plain(annotation: Any) -> list[Any]:
    """The types that an annotation such as `PositiveInt | None` is made of."""
    return [kind for part in get_args(annotation) for kind in (part, *_plain(part))]


@contextlib.contextmanager
def _naming(what: str) -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        told = first["msg"].removeprefix("Value error, ")
        raise ValueError(f"{what} is not allowed: {where + ': ' if where else ''}{told}") from None
