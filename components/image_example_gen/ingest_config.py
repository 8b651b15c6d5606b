"""The `ingest` section of overtile.yaml."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt


class OversampleConfig(BaseModel, extra="forbid", frozen=True):
    """Tiles that training sees more often; their records are written once."""

    classes: tuple[str, ...] = Field(min_length=1, description="rare classes, by name")
    times: int = Field(4, ge=2, description="how often an epoch shows a tile that holds one")
    min_pixels: PositiveInt = Field(
        1, description="labelled pixels of these classes that make a tile one that holds them"
    )


class BorderWeightsConfig(BaseModel, extra="forbid", frozen=True):
    """U-Net's weight map (Ronneberger et al. 2015, equation 2)."""

    w0: PositiveFloat = Field(10.0, le=1000, description="what is added where two objects touch")
    sigma: PositiveFloat = Field(
        5.0, le=100, description="how fast that falls with the distance, in pixels"
    )


class IngestConfig(BaseModel, extra="forbid", frozen=True):
    """How images become records."""

    tile: PositiveInt = Field(256, description="side of a tile's core, in pixels")
    margin: int = Field(0, ge=0, description="context around the core on each side, in pixels")
    storage: Literal["raw", "png"] = Field(
        "raw", description="raw trains at memory speed, png takes a fraction of the space"
    )
    bad_input_limit: float = Field(
        0.01,
        ge=0,
        le=1,
        description="share of the images that may be set aside before the run stops; "
        "one file always may",
    )
    oversample: OversampleConfig | None = Field(
        None, description="show tiles of rare classes more often in training, never in evaluation"
    )
    border_weights: BorderWeightsConfig | None = Field(
        None,
        description="weigh the ground between close objects more in the loss, as U-Net does; "
        "`border_weights: {}` takes the defaults below",
    )
    instances: bool = Field(
        False, description="keep in the records which object each pixel belongs to"
    )
    background: str | None = Field(
        None,
        description="class of what is no object, for border_weights and instances where labels "
        "do not tell objects apart; without one, the class named background, or else the first",
    )
