"""What the formats have in common whose labels are shapes in files beside the images."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import shapes
from components.image_example_gen.config import DataConfig, Value
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import folder, folders, inside
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample
from components.image_example_gen.sources.scanning import image_files
from components.places import files_below


class Entry(NamedTuple):
    """One image as an annotation file tells of it.

    Attributes:
      file: the annotation file.
      image: the image's name there.
      shapes: as `shapes.to_json` gives them.
      split: side that the file gives it, as its own word; empty where it gives none.
      folder: name of the folder that the image should lie in, where there are several of its name.
      alias: another name that the image may have.
    """

    file: Path
    image: str
    shapes: str
    split: str = ""
    folder: str = ""
    alias: str = ""


class Images:
    """A data set's image files, found by what annotations call them."""

    def __init__(self, root: Path, files: Iterable[Path]):
        self._root = root
        self._by_name: dict[str, list[Path]] = {}
        for file in files:
            self._by_name.setdefault(file.name, []).append(file)

    def find(self, name: str, near: Path, folder: str = "", alias: str = "") -> Path:
        """The file of an image.

        Args:
          name: a path whose end is that of the file's; folders before it may be missing.
          near: the annotation file: of several images of one name, one below its folder is meant.
          folder: else one in a folder of this name.
          alias: what it may be called where no file has the name.

        Raises:
          BadFileError: there is no such file, there are several, or the name leads elsewhere.
        """
        text = inside.checked(name)
        if alias and text.rpartition("/")[2] not in self._by_name:
            text = inside.checked(alias)
        parts = tuple(text.split("/"))
        named = self._by_name.get(parts[-1], [])
        whole = [file for file in named if file.parts[-len(parts) :] == parts]
        found = whole or named
        for wanted in (near.parent / text, self._root / text):
            if wanted in found:
                return wanted
        if len(found) > 1:
            below = [file for file in found if file.is_relative_to(near.parent)]
            found = below if len(below) == 1 else found
        if len(found) > 1 and folder:
            inner = [f for f in found if folder in f.parent.relative_to(self._root).parts]
            found = inner if len(inner) == 1 else found
        if not found:
            raise BadFileError(f"there is no image {text}")
        if len(found) > 1:
            first, second = (file.relative_to(self._root).as_posix() for file in found[:2])
            raise BadFileError(f"{text} may be {first} or {second}; say which by its folder")
        return found[0]


def annotation_files(root: Path, suffix: str) -> list[Path]:
    """Files below a folder with this ending, in natural order; hidden ones are left out."""
    found = [file for file in files_below(root) if file.suffix.lower() == suffix]
    return sorted(found, key=lambda file: natural_key(file.as_posix()))


def side_word(name: str) -> str:
    """The word in a file's name that says a side, or an empty one: instances_train2017 -> train."""
    for word in re.split(r"[^a-z]+", name.lower()):
        if word and folders.sides({word}):
            return word
    return ""


def head(path: Path, count: int = 1 << 16) -> str:
    """The beginning of a text file; empty where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(count).decode("utf-8-sig", errors="replace")
    except OSError:
        return ""


def files(data: DataConfig, suffix: str) -> list[Path]:
    """Every image and every annotation file of this ending."""
    root = folder(data)
    return sorted([*image_files(root), *annotation_files(root, suffix)])


def listing(
    data: DataConfig,
    entries: Iterable[Entry | SetAside],
    labels: Iterable[str],
    sides: dict[str, str],
) -> Listing:
    """Puts images and what is told of them together.

    Args:
      data: the data set.
      entries: of its annotation files; SetAside for what cannot be used of these.
      labels: their names, in the order that the data set gives them; looked at last.
      sides: by the word of an entry's `split`.

    Raises:
      InputError: no image is labelled.
    """
    root = folder(data)
    paths = image_files(root)
    images = Images(root, paths)
    found: dict[Path, Entry] = {}
    lone = []
    for entry in entries:
        if isinstance(entry, SetAside):
            lone.append(entry)
            continue
        named = f"{Reference(str(entry.file)).name(root)}: image {entry.image[:200]}"
        try:
            path = images.find(entry.image, entry.file, entry.folder, entry.alias)
        except BadFileError as error:
            lone.append(SetAside(named, str(error)))
            continue
        if path in found:
            first = Reference(str(found[path].file)).name(root)
            lone.append(SetAside(named, f"has labels in {first} already; keep one of them"))
            continue
        found[path] = entry
    if not found:
        why = f", such as {lone[0].file}: {lone[0].reason}" if lone else ""
        raise InputError(f"{root}: no image has labels that can be used{why}.", lone)
    keys = keyed(root, found)
    samples = tuple(
        Sample(
            keys[path],
            Reference(str(path)),
            Reference(str(entry.file)),
            shapes=entry.shapes,
            split=sides.get(entry.split, ""),
        )
        for path, entry in sorted(found.items(), key=lambda pair: natural_key(keys[pair[0]]))
    )
    return Listing(
        samples,
        lone_masks=tuple(lone),
        labels=named_labels(labels),
        unlabelled=len(paths) - len(found),
    )


def damaged(file: Path, root: Path, error: BadFileError) -> InputError:
    """What stops a run whose annotations of many images cannot be read: none must go unnoticed."""
    name = Reference(str(file)).name(root)
    return InputError(
        f"{root / name}: {error}; mend it, or move it out of the data set's folder.",
        [SetAside(name, str(error))],
    )


def keyed(root: Path, paths: Iterable[Path]) -> dict[Path, str]:
    """A key for each image: its path without the ending, or with it where that is not its own."""
    whole = {path: path.relative_to(root).as_posix() for path in paths}
    short = {path: path.relative_to(root).with_suffix("").as_posix() for path in whole}
    seen: dict[str, int] = {}
    for key in short.values():
        seen[key] = seen.get(key, 0) + 1
    return {path: key if seen[key] == 1 else whole[path] for path, key in short.items()}


def named_labels(names: Iterable[str]) -> tuple[tuple[str, Value], ...]:
    """`Listing.labels` of shapes: background first."""
    order = dict.fromkeys([shapes.BACKGROUND, *names])
    return tuple((name, name) for name in order)


def readable(data: DataConfig, suffix: str) -> Iterator[Path | SetAside]:
    """The annotation files below the data set's folder, but for those that links hide."""
    root = folder(data)
    kept, out = inside.Fence(data).sorted_out(annotation_files(root, suffix), root)
    yield from out
    yield from kept


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int], top: shapes.Top) -> Labels:
    """Draws the shapes of a sample.

    Raises:
      BadFileError: they cannot be drawn; names the image, since many share a file.
    """
    try:
        return shapes.labels(
            shapes.from_json(sample.shapes, size),
            size,
            top,
            crowds_count=data.crowds == "label",
            unlabelled_counts=data.unlabelled == "background",
        )
    except BadFileError as error:
        raise BadFileError(f"image {sample.key}: {error}") from error
