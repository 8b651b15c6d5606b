"""Masks and overlays of images, from a pushed model."""

from __future__ import annotations

import dataclasses
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from components import display
from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.reading import fit
from components.records import Layout
from pipeline import overlay

progress = logging.getLogger("overtile.progress")


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What was written of one image.

    Attributes:
      image: its file.
      mask: PNG of class ids.
      overlay: PNG for people.
    """

    image: str
    mask: str
    overlay: str


class Segmenter(Protocol):
    """A model that gives masks: `pipeline.pushed.Model` or `pipeline.served.Served`."""

    @property
    def path(self) -> Path | str:
        """Where it is."""
        ...

    @property
    def layout(self) -> Layout:
        """Of the images that it takes."""
        ...

    def mask(self, image: np.ndarray) -> np.ndarray:
        """Class ids, uint8 [H, W], of an image [H, W, channels] of the layout's dtype."""
        ...


class Target(NamedTuple):
    """An image, or a page of one (from 0), and what its outputs are called."""

    path: Path
    page: int | None
    name: str


def predict(
    model: Segmenter, images: Sequence[Path], out: Path, colours: Mapping[str, str]
) -> tuple[list[Prediction], list[SetAside]]:
    """Writes `<name>_mask.png` and `<name>_overlay.png` of each image.

    Args:
      model: takes images as ingestion reads them.
      images: files, and folders of them; of a multi-page TIFF every page is an image.
      out: folder; made if it is missing.
      colours: a class's colour as #rrggbb, for some of the classes.

    Returns:
      What was written, and the files that could not be read.

    Raises:
      InputError: there is no image, or `out` cannot be written to.
    """
    targets, bad = targets_of(images)
    if not targets and not bad:
        raise InputError(f"There is no image in {', '.join(map(str, images))}.")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be made: {error.strerror}.") from None
    palette = display.colours(model.layout.classes, colours)
    written = []
    for place, target in enumerate(targets):
        progress.info("", extra={"what": "image", "done": place, "total": len(targets)})
        try:
            pixels = decode.decode_image(target.path, target.page)
            image = fit(pixels, model.layout.channels, model.layout.dtype, model.layout.alpha)
            mask = model.mask(image)
        except BadFileError as error:
            bad.append(SetAside(_named(target), str(error)))
            continue
        files = [out / f"{target.name}_{kind}.png" for kind in ("mask", "overlay")]
        overlay.write_png(files[0], mask)
        overlay.write_png(files[1], overlay.overlay(image, mask, palette))
        written.append(Prediction(_named(target), str(files[0]), str(files[1])))
    progress.info("", extra={"what": "image", "done": len(targets), "total": len(targets)})
    return written, bad


def targets_of(images: Sequence[Path]) -> tuple[list[Target], list[SetAside]]:
    """Every image that the paths name, each with a name of its own; and those that are missing."""
    files, bad = [], []
    for path in images:
        if path.is_dir():
            files += sorted(
                (file for file in path.rglob("*") if file.suffix.lower() in decode.SUFFIXES),
                key=lambda file: natural_key(file.as_posix()),
            )
        elif path.is_file():
            files.append(path)
        else:
            bad.append(SetAside(str(path), "there is no such file"))
    files = list(dict.fromkeys(files))
    stems = Counter(file.stem for file in files)
    targets: list[Target] = []
    taken: set[str] = set()
    for file in files:
        # Two images of one name: the folder's name tells them apart, or else a number.
        name = file.stem if stems[file.stem] == 1 else f"{file.absolute().parent.name}_{file.stem}"
        unique, number = name, 1
        while unique in taken:
            number += 1
            unique = f"{name}_{number}"
        taken.add(unique)
        targets += [Target(file, page, unique + suffix) for page, suffix in _pages(file)]
    return targets, bad


def to_json(
    model: Segmenter, written: Sequence[Prediction], bad: Sequence[SetAside]
) -> dict[str, Any]:
    """What `overtile predict --json` prints."""
    return {
        "model": str(model.path),
        "classes": list(model.layout.classes),
        "predictions": [dataclasses.asdict(prediction) for prediction in written],
        "set_aside": [dataclasses.asdict(entry) for entry in bad],
    }


def _pages(file: Path) -> Iterator[tuple[int | None, str]]:
    try:
        pages = decode.page_count(file)
    except BadFileError:
        pages = 1  # not a TIFF; if it is damaged, reading it says how
    if pages == 1:
        yield None, ""
    else:
        width = len(str(pages - 1))
        yield from ((page, f"_page{page:0{width}}") for page in range(pages))


def _named(target: Target) -> str:
    return str(target.path) if target.page is None else f"{target.path} page {target.page}"
