"""A manifest: a CSV or JSONL file with a line an image.

    image,mask,split,group,weight,span,scanner
    images/1.png,masks/1.png,train,patient-7,1,3,A

`image` and `mask` are paths below the manifest's folder; the other columns are optional. Further
ones, such as `scanner`, are attributes of the image. A line without a mask is not labelled.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import label_files
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import (
    annotated,
    folder,
    folders,
    inside,
    json_text,
    paired,
)
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")
_KNOWN = ("image", "mask", "split", "group", "weight", "span")
_NEEDED = {"image", "mask"}
_DELIMITERS = ",;\t"
_HEAVIEST = 1e6
_LAST_SPAN = 2**31 - 1
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,64}")

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """A file in the folder whose first line names an image and a mask, and that names some."""
    for file in sorted(path.iterdir()):
        mine = file.suffix.lower() in SUFFIXES and inside.own(file, path)
        if mine and is_manifest(file) and _names_some(file):
            return {"format": "manifest", "manifest": file.name}
    return None


def is_manifest(file: Path) -> bool:
    """Whether a file's first line has an image and a mask."""
    line = annotated.head(file).split("\n")[0]
    try:
        names = _header(line) if _is_csv(file) else _object(line)
        return {*names} >= _NEEDED
    except BadFileError:
        return False


def files(data: DataConfig) -> list[Path]:
    """The manifest, and the files that it names, as far as they are there."""
    file = _file(data)
    named = {file}
    for _, row in _rows(file):
        if isinstance(row, dict):
            for key in _NEEDED:
                try:
                    named.add(file.parent / inside.checked(row.get(key)))
                except BadFileError:
                    continue
    return sorted(path for path in named if path.is_file())


def listing(data: DataConfig) -> Listing:
    """A sample a line; the lines that cannot be used are set aside.

    Raises:
      InputError: there is no manifest, it cannot be read, or no line can be used.
    """
    file, root = _file(data), folder(data)
    name = Reference(str(file)).name(root)
    lone: list[SetAside] = []
    found: dict[str, tuple[str, Sample]] = {}
    words: set[str] = set()
    unlabelled = 0
    for number, row in _rows(file):
        here = f"{name} line {number}"
        try:
            if isinstance(row, BadFileError):
                raise row
            sample = _sample(file, row)
        except BadFileError as error:
            lone.append(SetAside(here, str(error)))
            continue
        if sample is None:
            unlabelled += 1
        elif sample.key in found:
            lone.append(SetAside(here, f"names the image of {found[sample.key][0]} again"))
        else:
            found[sample.key] = here, sample
            words.add(sample.split)
    sides = folders.sides(words)
    for image, (here, sample) in [*found.items()]:
        if sample.split and not folders.sides({sample.split}):
            lone.append(SetAside(here, f"split {sample.split[:40]!r} is neither train nor eval"))
            del found[image]
    if not found:
        why = f", such as {lone[0].file}: {lone[0].reason}" if lone else ""
        raise InputError(f"{file} names no image and mask that can be used{why}.", lone)
    keys = annotated.keyed(file.parent, (file.parent / image for image in found))
    samples = [
        sample._replace(key=keys[file.parent / image], split=sides.get(sample.split, ""))
        for image, (_, sample) in found.items()
    ]
    return Listing(
        tuple(sorted(samples, key=lambda sample: natural_key(sample.key))),
        lone_images=tuple(lone),
        unlabelled=unlabelled,
    )


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """The mask's values or colours."""
    return label_files.read(sample.mask, data)


def _names_some(file: Path) -> bool:
    """Whether one of the first lines names an image and a mask that are there."""
    try:
        for _, row in islice(_rows(file), _LINES_TRIED):
            if isinstance(row, dict):
                try:
                    paths = [file.parent / inside.checked(row.get(key)) for key in _NEEDED]
                except BadFileError:
                    continue
                if all(path.is_file() for path in paths):
                    return True
    except InputError:
        return True  # so that its listing tells the fault
    return False


_LINES_TRIED = 50


def _file(data: DataConfig) -> Path:
    root = folder(data)
    if not data.manifest:
        keys = recognise(root)
        if keys is None:
            raise InputError(f"{root} holds no manifest; set data.manifest to a CSV or JSONL file.")
        return root / str(keys["manifest"])
    file = root / data.manifest
    if not file.is_file():
        raise InputError(f"data.manifest: there is no file {file}.")
    return file


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any] | BadFileError]]:
    """The lines of a manifest, each with its number from 1.

    Raises:
      InputError: the file as a whole cannot be read.
    """
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{file} cannot be opened: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is not UTF-8; save it as UTF-8.") from error
    if not _is_csv(file):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                try:
                    yield number, _object(line)
                except BadFileError as error:
                    yield number, error
        return
    try:
        header = _header(text.split("\n")[0])
    except BadFileError as error:
        raise InputError(f"{file}: {error}.") from error
    missing = sorted(_NEEDED - {*header})
    if missing:
        raise InputError(
            f"{file} has no column {' and no column '.join(missing)}: its first line must name the "
            f"columns, image and mask among them; it names {', '.join(header)[:200]}."
        )
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text.split("\n")[0]), strict=True)
    try:
        next(reader)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                fault = f"has {len(cells)} cells, where the first line has {len(header)}"
                yield reader.line_num, BadFileError(fault)
                continue
            yield reader.line_num, dict(zip(header, (cell.strip() for cell in cells)))
    except csv.Error as error:
        raise InputError(f"{file} line {reader.line_num}: corrupt CSV, {error}.") from error


def _is_csv(file: Path) -> bool:
    return file.suffix.lower() in (".csv", ".tsv", "")


def _delimiter(line: str) -> str:
    return max(_DELIMITERS, key=line.count)


def _header(line: str) -> list[str]:
    try:
        cells = next(csv.reader([line.strip("\r\n\ufeff ")], delimiter=_delimiter(line)), [])
    except csv.Error as error:
        raise BadFileError(f"corrupt CSV: {error}") from error
    names = [cell.strip() for cell in cells]
    names = [name.lower() if name.lower() in _KNOWN else name for name in names]
    for name in names:
        if not _NAME.fullmatch(name):
            raise BadFileError(f"{name[:40]!r} is no name of a column")
        if names.count(name) > 1:
            raise BadFileError(f"has two columns {name}")
    return names


def _object(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except RecursionError as error:
        raise BadFileError("corrupt JSON: nested too deep") from error
    except ValueError as error:
        raise json_text.damaged(error) from error
    if not isinstance(row, dict):
        raise BadFileError("is no JSON object")
    return row


def _sample(file: Path, row: dict[str, Any]) -> Sample | None:
    """One line's sample, its key being the image's path; None where it has no mask."""
    image = inside.checked(row.get("image"))
    if row.get("mask") in (None, ""):
        return None
    mask = inside.checked(row.get("mask"))
    attributes = []
    for name, value in row.items():
        if name in _KNOWN or value in (None, ""):
            continue
        if not _NAME.fullmatch(name) or isinstance(value, dict | list):
            raise BadFileError(f"the attribute {name[:40]!r} is neither a text nor a number")
        attributes.append((name, str(value)))
    return Sample(
        image,
        Reference(str(file.parent / image)),
        Reference(str(file.parent / mask)),
        split=_text(row, "split").lower(),
        group=_text(row, "group"),
        weight=_weight(row.get("weight")),
        attributes=tuple(sorted(attributes)),
        span=_span(row.get("span")),
    )


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, dict | list | bool):
        raise BadFileError(f"{key} is neither a text nor a number")
    return str(value).strip()


def _weight(value: Any) -> float:
    if value in (None, ""):
        return 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError, OverflowError):
        weight = math.nan
    if not 0 < weight <= _HEAVIEST:
        raise BadFileError(f"weight {str(value)[:40]!r} is no number above 0")
    return weight


def _span(value: Any) -> int | None:
    if value in (None, ""):
        return None
    text = str(value)
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) > _LAST_SPAN:
        raise BadFileError(f"span {text[:40]!r} is no whole number from 0")
    return int(text)
