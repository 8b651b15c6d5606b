"""The `data` section of overtile.yaml."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, Field, PositiveInt, field_validator, model_validator

from components.errors import InputError
from components.image_example_gen.ingest_config import IngestConfig
from components.places import Place
from components.records import IGNORE, Extra, Layout


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

BORDER = "border"
"""The name of what lies along objects' edges, where `data.instances` asks for it."""


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
"""What stands for a span's number in the pattern of its folder's or manifest's name."""


class SpansConfig(BaseModel, extra="forbid", frozen=True):
    """Labelled data that keeps coming, each delivery (a span) a folder or manifest of its own."""

    pattern: str = Field(
        f"span-{SPAN}",
        description=f"names of the spans' folders below data.path, or of their manifests, such as "
        f"span-{SPAN}.csv; {SPAN} is the span's number",
    )
    marker: str = Field(
        "_COMPLETE",
        pattern=r"^[^/]+$",
        description="file in a span's folder that says that the span is whole; of a manifest "
        "span-7.csv it is beside it, span-7.csv_COMPLETE",
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
            raise ValueError(f"give a name with {SPAN} once, such as span-{SPAN}")
        return value


class DataConfig(BaseModel, extra="forbid", frozen=True):
    """Where the labelled images are and what their masks mean."""

    path: Place | None = Field(
        None,
        description="folder of the data set, relative to this file, or where it is on any "
        "filesystem that Beam reads: gs://bucket/folder, s3://..., azfs://..., hdfs://...",
    )
    format: Literal[
        "auto",
        "paired",
        "stack",
        "voc",
        "coco",
        "labelme",
        "label_studio",
        "cvat",
        "cell_tracking",
        "manifest",
    ] = Field(
        "auto",
        description="paired: a folder of images and a folder of masks of the same names; "
        "stack: multi-page TIFFs of images beside such of masks; the others: docs/data.md",
    )
    manifest: str = Field(
        "", description="file that lists images and masks, CSV or JSONL, below path (manifest)"
    )
    crowds: Literal["label", "ignore"] = Field(
        "label",
        description="regions of many objects that nobody told apart (coco): label them as their "
        "category, or ignore them",
    )
    unlabelled: Literal["background", "ignore"] = Field(
        "background",
        description="pixels that no shape covers (coco, labelme, label_studio, cvat) or no object "
        "of a frame that is labelled in part (cell_tracking)",
    )
    images: str = Field(
        "images",
        description="folder of the images, or their file (stack); {SPLIT} stands for train, "
        "val and their like, * for any one folder",
    )
    masks: str = Field(
        "masks", description="folder of the masks, or their file (stack), as for images"
    )
    image_prefix: str = Field("", description="what an image's name has before its key: img_")
    image_suffix: str = Field("", description="what an image's name has after its key: _training")
    mask_prefix: str = Field("", description="what a mask's name has before its image's key: gt_")
    mask_suffix: str = Field("", description="what a mask's name adds to its image's: _mask")
    mask_per: Literal["image", "object"] = Field(
        "image",
        description="object: an image has several files of masks, each with one object, which are "
        "merged; where they overlap, the smaller object lies on top",
    )
    regions: str = Field(
        "", description="folder of masks that are black where no label counts (paired)"
    )
    region_suffix: str = Field("", description="what their names add to their images' keys")
    coding: Literal["auto", "values", "colours", "objects"] = Field(
        "auto",
        description="how masks are coded. values: numbers, of a palette picture the indices; "
        "colours: also those of palettes and greys; objects: numbers or colours that tell "
        "objects apart, 0 and black being none; auto: colours where classes names colours",
    )
    tolerance: int = Field(
        0,
        ge=0,
        le=255,
        description="how far red, green and blue may be from those of a colour that classes or "
        "ignore names; the nearest is taken",
    )
    instances: Literal["semantic", "border"] = Field(
        "semantic",
        description="border: pixels of an object within border_width of another object, or of "
        "none, are labelled `border`, which classes or ignore then names",
    )
    border_width: PositiveInt = Field(1, description="pixels, inside each object")
    alpha: Literal["drop", "white", "black"] = Field(
        "drop", description="transparency of images: drop it, or lay them on white or black"
    )
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
        if self.instances == "border" and self.classes and BORDER not in meanings:
            raise ValueError(
                f"instances: border needs a class of the value {BORDER}, or {BORDER} in ignore"
            )
        if len(self.classes) > IGNORE:
            raise ValueError(f"at most {IGNORE} classes, not {len(self.classes)}")
        if len(self.classes) == 1:
            raise ValueError("segmentation needs at least two classes: name the background too")
        unknown = set(self.colours) - set(self.classes)
        if unknown:
            raise ValueError(f"colours names {sorted(unknown)}, which classes does not have")
        return self


def layout(data: DataConfig, ingest: IngestConfig) -> Layout:
    """The layout of the records that these sections make.

    Raises:
      ValueError: `data` does not say channels, dtype or classes yet.
      InputError: `ingest` names a class that `data` lacks.
    """
    if data.channels is None or data.dtype is None or not data.classes:
        raise ValueError("data.channels, data.dtype and data.classes are not known yet")
    named = {"oversample.classes": ingest.oversample.classes if ingest.oversample else ()}
    named["background"] = (ingest.background,) if ingest.background else ()
    for key, names in named.items():
        for name in names:
            if name not in data.classes:
                raise InputError(
                    f"ingest.{key}: there is no class {name!r} in data.classes; "
                    f"there are {', '.join(data.classes)}."
                )
    wanted: dict[Extra, Any] = {
        "weight": ingest.border_weights,
        "instance": ingest.instances,
        "repeats": ingest.oversample,
    }
    extras = tuple(name for name, asked in wanted.items() if asked)
    return Layout(
        data.channels, data.dtype, tuple(data.classes), ingest.storage, extras, data.alpha
    )
