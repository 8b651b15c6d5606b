"""The `data` and `ingest` sections of overtile.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, PositiveInt, field_validator, model_validator

from components.records import IGNORE, Layout


class SplitConfig(BaseModel, extra="forbid", frozen=True):
    """Which images train and which evaluate.

    By default a hash of an image's group decides, so that an image never changes sides when
    others are added. Lists, where given, decide instead: each entry is a glob pattern on the
    image's key (`slide_7/*`), or a range of keys in natural order, both ends included (`00..19`).
    An image that neither list names is then used for nothing, and the run says how many.
    """

    eval_share: float = Field(0.2, gt=0, lt=1, description="share of groups that evaluate")
    seed: int = Field(0, description="another seed, another hash split")
    train: tuple[str, ...] = Field((), description="patterns or ranges of keys that train")
    eval: tuple[str, ...] = Field((), description="patterns or ranges of keys that evaluate")

    @model_validator(mode="after")
    def _both_lists_or_none(self) -> SplitConfig:
        if bool(self.train) != bool(self.eval):
            raise ValueError("give both train and eval lists, or neither for a split by hash")
        return self


_LARGEST_VALUE = 2**16 - 1
_RANGE = re.compile(r"(\d{1,5})\.\.(\d{1,5})")


Value = int | str
"""What a mask says of a pixel: a number, a colour as #rrggbb, or the name of a label."""

COLOUR = re.compile("#[0-9a-fA-F]{6}")


def _spelled_out(values: Any) -> Any:
    """Puts the numbers of a range in place of its text, `3..5`; what it does not know stays."""
    if not isinstance(values, list | tuple):
        return values
    numbers: list[Any] = []
    for value in values:
        match = _RANGE.fullmatch(value) if isinstance(value, str) else None
        if match and int(match[1]) <= int(match[2]) <= _LARGEST_VALUE:
            numbers += range(int(match[1]), int(match[2]) + 1)
        else:
            numbers.append(value)
    return numbers


SPAN = "{SPAN}"
"""What stands for a span's number in the pattern of its folder's name."""


class SpansConfig(BaseModel, extra="forbid", frozen=True):
    """Labelled data that keeps coming, each delivery (a span) in a folder of its own."""

    pattern: str = Field(
        f"span-{SPAN}",
        description=f"names of the spans' folders below data.path; {SPAN} is the span's number",
    )
    marker: str = Field(
        "_COMPLETE",
        pattern=r"^[^/]+$",
        description="file in a span's folder that says that the span is whole",
    )
    window: PositiveInt = Field(5, description="how many spans, the newest ones, train")
    min_agreement: float = Field(
        0.5,
        ge=0,
        lt=1,
        description="how well the last blessed model must agree with a new span's labels: 0 is "
        "chance, 1 how well it agrees with the evaluation set's; below this the span is refused",
    )

    @field_validator("pattern")
    @classmethod
    def _pattern_has_one_number(cls, value: str) -> str:
        if value.count(SPAN) != 1 or "/" in value:
            raise ValueError(f"give a folder's name with {SPAN} once, such as span-{SPAN}")
        return value


class DataConfig(BaseModel, extra="forbid", frozen=True):
    """Where the labelled images are and what their masks mean."""

    path: Path | None = Field(None, description="folder of the data set; relative to this file")
    format: Literal["auto", "paired", "stack"] = Field(
        "auto",
        description="paired: a folder of images and a folder of masks of the same names; "
        "stack: multi-page TIFF of images beside one of masks",
    )
    images: str = Field("images", description="folder (paired) or file (stack) of the images")
    masks: str = Field("masks", description="folder (paired) or file (stack) of the masks")
    mask_suffix: str = Field("", description="what a mask's name adds to its image's: _mask")
    channels: PositiveInt | None = Field(None, description="channels of every image")
    dtype: Literal["uint8", "uint16", "float32"] | None = Field(
        None, description="type of every image's pixels"
    )
    classes: dict[str, tuple[Value, ...]] = Field(
        default_factory=dict,
        description="each class with the mask values that mean it: numbers, ranges of "
        "them (128..255), colours ('#ff0000') or names of labels; the order of the classes is "
        "their ids'",
    )
    ignore: tuple[Value, ...] = Field((), description="mask values that count nowhere")
    colours: dict[str, str] = Field(
        default_factory=dict, description="a class's colour in overlays, as #rrggbb"
    )
    group: str | None = Field(
        None,
        description="regular expression on an image's key whose first bracket is its group "
        "(patient, slide, video); without one, each image is a group of its own",
    )
    split: SplitConfig = SplitConfig()
    spans: SpansConfig | None = Field(
        None,
        description="folders of labels that keep coming (see docs/retraining.md); `spans: {}` "
        "takes the defaults below",
    )

    @field_validator("classes", mode="before")
    @classmethod
    def _ranges_of_values(cls, classes: Any) -> Any:
        if not isinstance(classes, dict):
            return classes
        return {name: _spelled_out(values) for name, values in classes.items()}

    @field_validator("ignore", mode="before")
    @classmethod
    def _ranges_of_ignored_values(cls, values: Any) -> Any:
        return _spelled_out(values)

    @field_validator("group")
    @classmethod
    def _group_has_a_bracket(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            brackets = re.compile(value).groups
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if brackets < 1:
            raise ValueError("has no bracket that says which part of the key is the group")
        return value

    @field_validator("colours")
    @classmethod
    def _colours_are_hexadecimal(cls, value: dict[str, str]) -> dict[str, str]:
        for name, colour in value.items():
            if not COLOUR.fullmatch(colour):
                raise ValueError(f"{colour!r} for {name} is not a colour like #2f7ed8")
        return value

    @model_validator(mode="after")
    def _each_value_means_one_thing(self) -> DataConfig:
        meanings: dict[Value, str] = {}
        for name, values in [*self.classes.items(), ("ignore", self.ignore)]:
            for value in values:
                if isinstance(value, int) and not 0 <= value <= _LARGEST_VALUE:
                    raise ValueError(f"{value} of {name} is no mask value: 0 to {_LARGEST_VALUE}")
                if value in meanings:
                    raise ValueError(
                        f"mask value {value} is given to both {meanings[value]} and {name}"
                    )
                meanings[value] = name
        if len(self.classes) > IGNORE:
            raise ValueError(f"at most {IGNORE} classes, not {len(self.classes)}")
        if len(self.classes) == 1:
            raise ValueError("segmentation needs at least two classes: name the background too")
        unknown = set(self.colours) - set(self.classes)
        if unknown:
            raise ValueError(f"colours names {sorted(unknown)}, which classes does not have")
        return self


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


def layout(data: DataConfig, ingest: IngestConfig) -> Layout:
    """The layout of the records that these sections make.

    Raises:
      ValueError: `data` does not say channels, dtype or classes yet.
    """
    if data.channels is None or data.dtype is None or not data.classes:
        raise ValueError("data.channels, data.dtype and data.classes are not known yet")
    return Layout(data.channels, data.dtype, tuple(data.classes), ingest.storage)
