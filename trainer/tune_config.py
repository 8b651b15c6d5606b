"""The `tune` section of overtile.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    NonNegativeInt,
    PositiveInt,
    field_validator,
    model_validator,
)

from trainer.config import AugmentConfig, TrainConfig


class Range(BaseModel, extra="forbid", frozen=True):
    """A range of numbers to search."""

    min: float
    max: float
    scale: Literal["linear", "log"] = Field("linear", description="log for rates")

    @model_validator(mode="after")
    def _is_a_range(self) -> Range:
        if not self.min < self.max:
            raise ValueError(f"min {self.min:g} is not below max {self.max:g}")
        if self.scale == "log" and self.min <= 0:
            raise ValueError("a log scale needs a min above 0")
        return self


class TuneConfig(BaseModel, extra="forbid", frozen=True):
    """The search for hyperparameters; without trials there is none."""

    algorithm: Literal["random", "bayesian", "hyperband"] = Field(
        "bayesian", description="KerasTuner's search algorithm"
    )
    trials: NonNegativeInt = Field(
        0, description="models to try; 0 trains with the configured values"
    )
    steps: PositiveInt = Field(300, description="training steps a trial (Hyperband: at most)")
    parallel: PositiveInt = Field(
        1,
        description="trials at a time, each in a process of its own on this machine, with a GPU of "
        "its own or its share of the cores",
    )
    space: dict[str, Range | list[Any]] = Field(
        {"train.learning_rate": Range(min=1e-4, max=1e-2, scale="log")},
        description="what to search: `train.KEY`, `augment.KEY`, `model.name` or `model.KEY` (an "
        "option, searched beside the models that have it), each with a range or a list of choices",
    )

    @field_validator("space")
    @classmethod
    def _names_known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, choices in value.items():
            section, _, key = name.partition(".")
            sections: dict[str, type[BaseModel]] = {"train": TrainConfig, "augment": AugmentConfig}
            known = sections.get(section)
            if not key or not (known or section == "model"):
                raise ValueError(f"{name!r} is not train.KEY, augment.KEY, model.name or model.KEY")
            if known and key not in known.model_fields:
                raise ValueError(
                    f"{section} has no {key!r}; it has {', '.join(known.model_fields)}"
                )
            if name in ("train.steps", "train.steps_per_epoch"):
                raise ValueError(f"{name}: how long a trial trains is said by tune.steps")
            if choices == []:
                raise ValueError(f"{name} has no value to choose from")
            if name == "model.name" and isinstance(choices, Range):
                raise ValueError("model.name needs a list of names")
        return value
