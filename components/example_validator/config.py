"""The `checks` section of overtile.yaml: when images and labels are worth a word."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

Name = Literal[
    "class_skew",
    "class_drift",
    "intensity_skew",
    "intensity_drift",
    "size_skew",
    "size_drift",
    "empty_masks",
    "ignored_masks",
    "one_colour",
    "copies",
    "near_duplicates",
]


def _limit(default: float, description: str) -> Any:
    return Field(default, ge=0, description=description)


class ChecksConfig(BaseModel, extra="forbid", frozen=True):
    """Limits for what the images of a split, or of a new span, are like.

    A difference counts where it is past its limit and larger than in any of 1000 random splits of
    the same images (of groups, with `data.group`), so that few images raise no alarm by chance.
    """

    class_skew: float = _limit(
        2.0, "train against eval: how many times as likely a pixel is of a class (ratio of odds)"
    )
    class_drift: float = _limit(2.0, "the same, a new span against the one before")
    intensity_skew: float = _limit(
        0.1,
        "train against eval: Jensen-Shannon divergence of a channel's histograms, 0 for the same, "
        "1 for nothing in common",
    )
    intensity_drift: float = _limit(0.1, "the same, a new span against the one before")
    size_skew: float = _limit(1.5, "train against eval: ratio of the images' typical sides")
    size_drift: float = _limit(1.5, "the same, a new span against the one before")
    empty_masks: float = _limit(
        0.5, "share of images of a split whose labels show nothing but the commonest class"
    )
    ignored_masks: float = _limit(0.05, "share of images of a split without a labelled pixel")
    one_colour: float = _limit(0.0, "share of images of a split that are of one colour")
    copies: float = _limit(
        0.0, "share of images of a split whose pixels are those of another of the split"
    )
    near_duplicates: float = _limit(
        0, "how many images that evaluate may look like one that trains"
    )
    stop: tuple[Name, ...] = Field(
        (), description="names of the checks that end the run; the others warn"
    )
    off: tuple[Name, ...] = Field((), description="names of the checks that are not made")

    @model_validator(mode="after")
    def _each_check_in_one_list(self) -> ChecksConfig:
        both = sorted({*self.stop} & {*self.off})
        if both:
            raise ValueError(f"stop and off both name {', '.join(both)}")
        return self

    def limit(self, check: str) -> float:
        """The limit of a check; infinite where it is not made."""
        return float("inf") if check in self.off else float(getattr(self, check))
