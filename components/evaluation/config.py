"""The `evaluate` section of overtile.yaml."""

from __future__ import annotations

from pydantic import BaseModel, Field


class EvaluateConfig(BaseModel, extra="forbid", frozen=True):
    """The gate that a model must pass to be pushed."""

    min_mean_iou: float = Field(
        0.5, ge=0, le=1, description="mean IoU on the eval split must reach this"
    )
    min_iou: dict[str, float] = Field(
        default_factory=dict, description="IoU that single classes must reach, by name"
    )
    max_drop: float = Field(
        0.0, ge=0, le=1, description="how far mean IoU may fall below the last blessed model's"
    )
    slices: tuple[str, ...] = Field(
        (),
        description="attributes, which are further columns of a manifest, by whose values the "
        "metrics are given apart too; the gate judges the whole",
    )
