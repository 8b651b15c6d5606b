"""What each architecture lets you choose.

Apart from the architectures themselves, so that a configuration is checked without importing Keras.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, PositiveInt


class UNetOptions(BaseModel, extra="forbid", frozen=True):
    """Options of the U-Net; `UNetOptions.paper()` is the network as drawn in the paper."""

    width: PositiveInt = Field(32, description="channels of the first block; each level doubles it")
    depth: PositiveInt = Field(4, description="how many times the resolution is halved")
    padding: Literal["same", "valid"] = Field(
        "same", description="valid is the paper's: the output is smaller than the input"
    )
    normalisation: Literal["batch", "none"] = Field("batch", description="the paper has none")
    dropout: float = Field(
        0.0, ge=0, lt=1, description="at the end of the contracting path; the paper has 0.5"
    )

    @classmethod
    def paper(cls) -> UNetOptions:
        """Figure 1 of Ronneberger, Fischer, Brox 2015."""
        return cls(width=64, depth=4, padding="valid", normalisation="none", dropout=0.5)


class FCN8sOptions(BaseModel, extra="forbid", frozen=True):
    """Options of FCN-8s on MobileNet."""

    alpha: float = Field(1.0, gt=0, le=1, description="MobileNet's width multiplier")
    weights: str = Field(
        "random",
        description="of the backbone: random, imagenet (Keras downloads them), or a .h5 file",
    )
