"""The `model`, `train` and `augment` sections of overtile.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

LossName = Literal["cross_entropy", "dice", "focal", "tversky", "lovasz"]
RANDOM, IMAGENET = "random", "imagenet"
"""What `model.options.weights` may be besides a file."""
AverageOver = Literal["none", "left_right", "flips", "flips_and_turns"]
ClassWeights = Literal["none", "median_frequency", "inverse", "effective_number"]


class ModelConfig(BaseModel, extra="forbid", frozen=True):
    """An architecture and its options."""

    name: str = Field("unet", description="an architecture; `overtile models` lists them")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="what this architecture lets you choose; see docs/models.md",
    )
    normalise: Literal["data_set", "image"] = Field(
        "data_set",
        description="pixels by mean and deviation of the train split, or of each image (of each "
        "piece of a large one): where exposure differs from image to image and means nothing",
    )
    average_over: AverageOver = Field(
        "none",
        description="evaluate and serve the mean of what the model says of an image and of its "
        "mirrored or turned copies, 2, 4 or 8 in all, for as many times the work; left_right is "
        "for scenes that have an above and a below",
    )

    @model_validator(mode="after")
    def _the_registry_knows_it(self) -> ModelConfig:
        # Late, so that only a config that names a model pays for the list of architectures.
        from trainer.models import registry

        if self.name not in registry.NAMES:
            raise ValueError(
                f"there is no model {self.name!r}; there are {', '.join(registry.NAMES)}"
            )
        try:
            registry.options(self.name, self.options)
        except ValidationError as error:
            # Its keys are below `options`.
            problems = [
                InitErrorDetails(
                    type=problem["type"],
                    loc=("options", *problem["loc"]),
                    input=problem["input"],
                    ctx=problem.get("ctx", {}),
                )
                for problem in error.errors()
            ]
            raise ValidationError.from_exception_data(type(self).__name__, problems) from None
        return self

    @property
    def weights_file(self) -> Path | None:
        """The file that `options.weights` names; None where it names none."""
        named = self.options.get("weights", RANDOM)
        return None if named in (RANDOM, IMAGENET) else Path(named).expanduser()


class TrainConfig(BaseModel, extra="forbid", frozen=True):
    """How a model is trained."""

    steps: PositiveInt = Field(2000, description="optimizer steps at most")
    steps_per_epoch: PositiveInt = Field(
        100, description="steps between two looks at the eval split; each ends in a checkpoint"
    )
    batch_size: PositiveInt = Field(4, description="tiles a step, over all devices together")
    accumulate: PositiveInt = Field(
        1,
        description="parts in which a step looks at its tiles, one after the other: the same step "
        "in less memory, but for batch normalisation",
    )
    crop: PositiveInt | None = Field(
        None, description="train on random squares of this side cut from the tiles"
    )
    optimizer: Literal["adam", "adamw", "sgd", "lamb"] = Field(
        "adam",
        description="sgd is the U-Net paper's, with momentum 0.99; lamb is for large batches",
    )
    learning_rate: PositiveFloat = Field(1e-3, description="of the first step after the warm-up")
    schedule: Literal["constant", "cosine", "polynomial", "step"] = Field(
        "cosine",
        description="cosine and polynomial fall to zero over `steps`, step in stairs",
    )
    power: PositiveFloat = Field(
        0.9, description="of schedule: polynomial; 0.9 is DeepLab's, 1 a straight line"
    )
    step_factor: float = Field(
        0.1, gt=0, lt=1, description="of schedule: step; what each stair multiplies the rate by"
    )
    step_at: list[float] = Field(
        [0.5, 0.75],
        min_length=1,
        description="of schedule: step; where the stairs are, as shares of the steps after the "
        "warm-up",
    )
    step_every: PositiveInt | None = Field(
        None, description="of schedule: step; a stair every so many steps, in place of step_at"
    )
    warmup_steps: NonNegativeInt = Field(0, description="steps over which the rate rises from zero")
    momentum: float = Field(0.99, ge=0, lt=1, description="of sgd")
    nesterov: bool = Field(False, description="of sgd: the gradient where the momentum leads")
    weight_decay: NonNegativeFloat | None = Field(
        None,
        description="share of the weights, times the learning rate, that each step takes away; not "
        "of biases and normalisation; by default 0.01 with adamw and lamb, 0 with sgd",
    )
    clip_norm: PositiveFloat | None = Field(
        None, description="cuts all gradients together down to this norm"
    )
    loss: dict[LossName, PositiveFloat] = Field(
        {"cross_entropy": 1.0},
        min_length=1,
        description="the losses that are added up, each with its weight: cross_entropy, dice, "
        "focal, tversky, lovasz",
    )
    focal_gamma: NonNegativeFloat = Field(
        2.0, description="the higher, the less do pixels count that are right already"
    )
    focal_alpha: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="factor of the focal loss of all classes but the first, whose factor is 1 less "
        "this; without it class_weights balance them",
    )
    tversky_alpha: NonNegativeFloat = Field(
        0.3, description="weight of pixels that are called a class and are not"
    )
    tversky_beta: NonNegativeFloat = Field(
        0.7, description="weight of pixels of a class that are not called so"
    )
    lovasz_over: Literal["image", "batch"] = Field(
        "image", description="whether lovasz asks for the IoU of each image or of the whole batch"
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
    start_from: Path | None = Field(
        None,
        description="an exported model's folder, a Keras file of weights or a checkpoint to start "
        "from; relative to this file. With data.spans, where there is no blessed model yet",
    )
    early_stopping: PositiveInt | None = Field(
        None, description="stop after this many epochs without a better eval mean IoU"
    )
    precision: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="auto takes what this machine computes fast"
    )
    strategy: Literal["auto", "one_device", "mirrored", "multi_worker"] = Field(
        "auto",
        description="what trains: auto takes all GPUs, of several machines where TF_CONFIG names "
        "them; see docs/training.md",
    )
    jit: bool | Literal["auto"] = Field(
        "auto",
        description="whether XLA compiles the step; auto does so on one GPU, since processors get "
        "slower",
    )
    seed: NonNegativeInt = Field(0, description="of the weights, the order and the augmentation")

    @model_validator(mode="after")
    def _parts_have_tiles(self) -> TrainConfig:
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate: {self.accumulate} parts of {self.batch_size} tiles (batch_size) are "
                "less than a tile each"
            )
        if self.accumulate > 1 and "lovasz" in self.loss and self.lovasz_over == "batch":
            raise ValueError("lovasz_over: batch needs the whole batch at once: accumulate: 1")
        return self

    @field_validator("step_at")
    @classmethod
    def _stairs_lead_down(cls, value: list[float]) -> list[float]:
        if sorted(set(value)) != value or value[0] <= 0 or value[-1] >= 1:
            raise ValueError("give shares between 0 and 1, each larger than the one before")
        return value

    @model_validator(mode="after")
    def _adam_has_no_decay(self) -> TrainConfig:
        if self.optimizer == "adam" and self.weight_decay:
            raise ValueError("weight_decay is of adamw, sgd and lamb; adam with it is adamw")
        return self


class AugmentConfig(BaseModel, extra="forbid", frozen=True):
    """Random changes of training tiles, alike on image and mask."""

    strength: NonNegativeFloat = Field(
        1.0, description="factor of all amounts below, to search; flips and turns are as they are"
    )
    flip: bool | Literal["left_right", "up_down"] = Field(
        True,
        description="true is left-right and up-down, each for every second tile; left_right is for "
        "scenes that have an above and a below",
    )
    quarter_turns: bool = Field(True, description="by 0, 90, 180 or 270 degrees")
    elastic: bool = Field(
        False, description="smooth deformation from random shifts on a 3 x 3 grid (U-Net paper)"
    )
    elastic_sigma: NonNegativeFloat = Field(
        10.0, description="standard deviation of the grid's shifts, in pixels"
    )
    rotation: float = Field(0.0, ge=0, le=180, description="by up to so many degrees either way")
    scale: NonNegativeFloat = Field(
        0.0, description="larger or smaller by up to this share; 0.25 is from 0.8 to 1.25 times"
    )
    shear: float = Field(
        0.0, ge=0, le=40, description="along both axes, by up to so many degrees either way"
    )
    brightness: NonNegativeFloat = Field(
        0.0, description="shifts by up to this many of the tile's own standard deviations"
    )
    contrast: float = Field(
        0.0, ge=0, lt=1, description="stretches by up to this share, about the tile's own mean"
    )
    gamma: NonNegativeFloat = Field(
        0.0,
        description="bends the scale between the tile's darkest and brightest pixel; 0.25 is by "
        "exponents from 0.8 to 1.25",
    )
    blur: float = Field(
        0.0, ge=0, le=20, description="by a Gaussian of up to so many pixels' standard deviation"
    )
    noise: NonNegativeFloat = Field(
        0.0,
        description="Gaussian, by up to so many of the tile's own standard deviations",
    )

    def amounts(self) -> AugmentConfig:
        """With `strength` multiplied into every amount, as far as that is allowed."""
        if self.strength == 1:
            return self
        most = {"rotation": 180.0, "shear": 40.0, "contrast": 0.99, "blur": 20.0}
        scaled = {
            name: min(getattr(self, name) * self.strength, most.get(name, float("inf")))
            for name in (
                *("elastic_sigma", "rotation", "scale", "shear"),
                *("brightness", "contrast", "gamma", "blur", "noise"),
            )
        }
        return self.model_copy(update={**scaled, "strength": 1.0})
