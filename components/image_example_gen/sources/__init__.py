"""The formats of labelled images: one module each, and this registry."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from components.errors import InputError
from components.image_example_gen.config import DataConfig
from components.image_example_gen.sources import inside
from components.image_example_gen.sources.contract import Listing, Source

# The order in which a folder of unknown format is looked at.
FORMATS = (
    "manifest",
    "voc",
    "cell_tracking",
    "labelme",
    "label_studio",
    "cvat",
    "coco",
    "stack",
    "paired",
)


def named(name: str) -> Source:
    """The source of one format."""
    return cast(Source, importlib.import_module(f"{__name__}.{name}"))


def of(data: DataConfig) -> Source:
    """The source that reads a data set; with `format: auto`, by what `images` names.

    Raises:
      InputError: there is no such folder.
    """
    path = folder(data)
    if data.format != "auto":
        return named(data.format)
    return named("stack" if (path / data.images).is_file() else "paired")


def listing(data: DataConfig) -> Listing:
    """What a data set holds, but for files that links hide out of its folder: these are set aside.

    Raises:
      InputError: the configuration does not fit what is there.
    """
    return inside.fenced(of(data).listing(data), data)


def folder(data: DataConfig) -> Path:
    """The data set's folder.

    Raises:
      InputError: it is not given, or not there.
    """
    if data.path is None:
        raise InputError("data.path is not set: give the folder of your images and masks.")
    if not data.path.is_dir():
        kind = "is a file, not a folder" if data.path.exists() else "does not exist"
        raise InputError(f"data.path: {data.path} {kind}; give the folder of images and masks.")
    return data.path
