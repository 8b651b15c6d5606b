"""What a source of labelled images offers; each module beside this one but the registry is one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from components.errors import SetAside
from components.image_example_gen.config import DataConfig, Value
from components.places import place


class Box(NamedTuple):
    """Rows `top` to `bottom` and columns `left` to `right` of an image, without the ends."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


class Reference(NamedTuple):
    """Where one image or mask is: a file, or a page of one (from 0).

    Attributes:
      path: the file.
      page: of a file of several images.
      box: the part that is wanted of an image too large to be read whole; None for all of it.
        `decode.decode_image` and `decode_mask` take it. A source that reads all nonetheless is
        right too, only slower.
    """

    path: str
    page: int | None = None
    box: Box | None = None

    def name(self, root: Path) -> str:
        """How people are told of it: its path within the data set."""
        path = place(self.path)
        file = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
        return file if self.page is None else f"{file} page {self.page}"


class Sample(NamedTuple):
    """An image with its labels. Small, since Beam sends it between machines.

    Attributes:
      key: its name within the data set.
      image: where its pixels are.
      mask: where its labels are, or the first of several files.
      further: the other files of its labels, where there is one an object.
      region: the file that says where labels count, if there is one.
      shapes: labels drawn as shapes, as JSON that its source can read.
      split: the side that the data set itself gives it; empty where it does not.
      group: that the data set itself gives it; empty where it does not.
      weight: how much its pixels count in training.
      attributes: names and values of what else is known of it; they become slices.
      span: the number of the delivery that brought it; None where the data set does not say it.
    """

    key: str
    image: Reference
    mask: Reference
    further: tuple[Reference, ...] = ()
    region: Reference | None = None
    shapes: str = ""
    split: str = ""
    group: str = ""
    weight: float = 1.0
    attributes: tuple[tuple[str, str], ...] = ()
    span: int | None = None


class Labels(NamedTuple):
    """What the labels of one image say, before the configuration gives it a meaning.

    Attributes:
      values: integers [H, W]; or colours, uint8 [H, W, 3], red first.
      names: where given, `values` are places in it, and these names are what is labelled.
      instances: int32 [H, W], which object a pixel belongs to, 0 to none; None where that is not
        known.
      region: bool [H, W], where labels count; None where all do.
    """

    values: np.ndarray
    names: tuple[str, ...] = ()
    instances: np.ndarray | None = None
    region: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Listing:
    """What a data set holds, by the names of its files alone.

    Attributes:
      samples: in the natural order of their keys.
      lone_images: images that cannot be used for want of a mask of their own.
      lone_masks: masks without an image.
      labels: names that the data set itself gives to values of its masks, in its order; where
        labels have names, these stand for themselves. Empty where it gives none.
      unlabelled: images that nobody has labelled yet, where a format lets images lack labels; they
        are used for nothing, and no fault.
    """

    samples: tuple[Sample, ...]
    lone_images: tuple[SetAside, ...] = ()
    lone_masks: tuple[SetAside, ...] = ()
    labels: tuple[tuple[str, Value], ...] = ()
    unlabelled: int = 0


class Source(Protocol):
    """A format of labelled images. A module with these functions is one.

    All raise InputError where the configuration does not fit what is there; the readers raise
    BadFileError where one file is at fault.
    """

    def recognise(self, path: Path) -> dict[str, Any] | None:
        """The keys of DataConfig that describe the data set at `path`, or None for another's."""
        ...

    def files(self, data: DataConfig) -> list[Path]:
        """Every file that belongs to the data set; when one changes, it is ingested anew."""
        ...

    def listing(self, data: DataConfig) -> Listing:
        """What the data set holds."""
        ...

    def digest(self, image: Reference) -> str:
        """SHA-256, hexadecimal, of an image's content: equal for copies of one image."""
        ...

    def read_image(self, image: Reference) -> np.ndarray:
        """[H, W, C] of the file's dtype."""
        ...

    def read_labels(self, sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
        """What the labels say of an image of this size, (H, W).

        A mask of another size is given as it is: the caller names both sizes.
        """
        ...
