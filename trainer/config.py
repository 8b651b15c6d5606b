"""The `model`, `train`, `augment` and `tune` sections of overtile.yaml."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

LossName = Literal["cross_entropy", "dice"]
ClassWeights = Literal["none", "median_frequency", "inverse", "effective_number"]


class ModelConfig(BaseModel, extra="forbid", frozen=True):
    """An architecture and its options."""

    name: str = Field("unet", description="an architecture of the registry: unet, fcn8s")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="what this architecture lets you choose; see docs/models.md",
    )
    normalise: Literal["data_set", "image"] = Field(
        "data_set",
        description="pixels by mean and deviation of the train split, or of each image (of each "
        "piece of a large one): where exposure differs from image to image and means nothing",
    )

    @model_validator(mode="after")
    def _the_registry_knows_it(self) -> ModelConfig:
        # Late, so that only a config that names a model pays for the list of architectures.
        from trainer.models import registry

        if self.name not in registry.NAMES:
            raise ValueError(
                f"there is no model {self.name!r}; there are {', '.join(registry.NAMES)}"
            )
        registry.options(self.name, self.options)
        return self


class TrainConfig(BaseModel, extra="forbid", frozen=True):
    """How a model is trained."""

    steps: PositiveInt = Field(2000, description="optimizer steps at most")
    steps_per_epoch: PositiveInt = Field(
        100, description="steps between two looks at the eval split; each ends in a checkpoint"
    )
    batch_size: PositiveInt = Field(4, description="tiles a step, over all devices together")
    crop: PositiveInt | None = Field(
        None, description="train on random squares of this side cut from the tiles"
    )
    optimizer: Literal["adam", "sgd"] = Field(
        "adam", description="sgd is the U-Net paper's, with momentum 0.99"
    )
    learning_rate: PositiveFloat = Field(1e-3, description="of the first step after the warm-up")
    schedule: Literal["constant", "cosine"] = Field(
        "cosine", description="cosine falls to zero over `steps`"
    )
    warmup_steps: NonNegativeInt = Field(0, description="steps over which the rate rises from zero")
    momentum: float = Field(0.99, ge=0, lt=1, description="of sgd")
    loss: dict[LossName, PositiveFloat] = Field(
        {"cross_entropy": 1.0},
        min_length=1,
        description="the losses that are added up, each with its weight: cross_entropy, dice",
    )
    weight_average: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of a moving average of weights, which is evaluated and exported in "
        "their place, such as 0.99; 0 is none",
    )
    warm_start: bool = Field(
        True,
        description="with data.spans, start from the weights of the last blessed model; false "
        "trains each model from scratch",
    )
    class_weights: ClassWeights = Field(
        "none", description="how much more a pixel of a rare class counts in the loss"
    )
    effective_number_beta: float = Field(
        0.999999,
        gt=0,
        lt=1,
        description="of class_weights: effective_number; 1 / (1 - beta) is how many pixels say all "
        "there is to say of a class",
    )
    early_stopping: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better eval mean IoU"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="auto takes what this machine computes fast"
    )
    seed: NonNegativeInt = Field(0, description="of the weights, the order and the augmentation")


class AugmentConfig(BaseModel, extra="forbid", frozen=True):
    """Random changes of training tiles, alike on image and mask."""

    flip: bool = Field(True, description="left-right and up-down, each for every second tile")
    quarter_turns: bool = Field(True, description="by 0, 90, 180 or 270 degrees")
    elastic: bool = Field(
        False, description="smooth deformation from random shifts on a 3 x 3 grid (U-Net paper)"
    )
    elastic_sigma: NonNegativeFloat = Field(
        10.0, description="standard deviation of the grid's shifts, in pixels"
    )
    brightness: NonNegativeFloat = Field(
        0.0, description="shifts by up to this many of the tile's own standard deviations"
    )
    contrast: float = Field(
        0.0, ge=0, lt=1, description="stretches by up to this share, about the tile's own mean"
    )


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
    space: dict[str, Range | list[Any]] = Field(
        {"train.learning_rate": Range(min=1e-4, max=1e-2, scale="log")},
        description="what to search: `train.KEY` or `model.KEY` (an option of the model), each "
        "with a range or a list of choices",
    )

    @field_validator("space")
    @classmethod
    def _names_known_keys(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name, choices in value.items():
            section, _, key = name.partition(".")
            if section not in ("train", "model") or not key:
                raise ValueError(f"{name!r} is not train.KEY or model.KEY")
            if section == "train" and key not in TrainConfig.model_fields:
                known = ", ".join(sorted(TrainConfig.model_fields))
                raise ValueError(f"train has no {key!r}; it has {known}")
            if choices == []:
                raise ValueError(f"{name} has no value to choose from")
        return value
