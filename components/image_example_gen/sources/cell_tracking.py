"""Cell Tracking Challenge: 01/t000.tif with objects in 01_GT/SEG/man_seg000.tif, and so on.

Ulman et al. 2017, "An objective comparison of cell-tracking algorithms", and
http://celltrackingchallenge.net: a sequence is a group. Gold truth (GT) has few frames, some
labelled in part; silver truth (ST) has all. Where both are, gold counts.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from components.errors import BadFileError, InputError, SetAside
from components.image_example_gen import decode, label_files
from components.image_example_gen.config import DataConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import folder, paired
from components.image_example_gen.sources.contract import Labels, Listing, Reference, Sample

CLASSES = ("background", "cell")

_SEQUENCE = re.compile(r"\d\d")
_FRAME = re.compile(r"t(\d{3,4})\.tiff?", re.I)
_OBJECTS = re.compile(r"man_seg(\d{3,4})\.tiff?", re.I)
_MARKERS = re.compile(r"man_track(\d{3,4})\.tiff?", re.I)
_TRUTHS = ("GT", "ST")

digest = paired.digest
read_image = paired.read_image


def recognise(path: Path) -> dict[str, Any] | None:
    """Folders 01, 02, ... with 01_GT/SEG or 01_ST/SEG beside one of them."""
    labelled = any(_numbered(_segments(one, truth), _OBJECTS) for one in _sequences(path)
                   for truth in _TRUTHS)  # fmt: skip
    return {"format": "cell_tracking"} if labelled else None


def files(data: DataConfig) -> list[Path]:
    """Frames, objects and markers."""
    root = folder(data)
    found: set[Path] = set()
    for sequence in _sequences(root):
        found |= {*_numbered(sequence, _FRAME).values(), *_objects(sequence).values()}
        found |= {*_markers(sequence).values()}
    return sorted(found)


def listing(data: DataConfig) -> Listing:
    """The frames that have objects drawn; the others are not labelled.

    Raises:
      InputError: no frame is labelled.
    """
    root = folder(data)
    samples: list[Sample] = []
    lone: list[SetAside] = []
    unlabelled = 0
    for sequence in _sequences(root):
        frames, objects = _numbered(sequence, _FRAME), _objects(sequence)
        markers, group = _markers(sequence), sequence.relative_to(root).as_posix()
        for number, mask in sorted(objects.items()):
            if number not in frames:
                reason = f"mask without image: there is no {group}/t{number:03}.tif"
                lone.append(SetAside(Reference(str(mask)).name(root), reason))
                continue
            further = (Reference(str(markers[number])),) if number in markers else ()
            samples.append(
                Sample(
                    f"{group}/{frames[number].stem}",
                    Reference(str(frames[number])),
                    Reference(str(mask)),
                    further=further,
                    group=group,
                )
            )
        unlabelled += len(frames.keys() - objects.keys())
    if not samples:
        raise InputError(
            f"{root}: no frame 01/t000.tif has objects in 01_GT/SEG/man_seg000.tif; "
            "see the Cell Tracking Challenge's layout, or set data.format."
        )
    return Listing(
        tuple(sorted(samples, key=lambda sample: natural_key(sample.key))),
        lone_masks=tuple(lone),
        labels=tuple((name, name) for name in CLASSES),
        unlabelled=unlabelled,
    )


def read_labels(sample: Sample, data: DataConfig, size: tuple[int, int]) -> Labels:
    """Cells and background, each cell an instance.

    With `data.unlabelled: ignore` what is no cell counts nowhere in a frame that is labelled in
    part: of which a marker of 01_GT/TRA lies in no cell, or of which there are no markers.
    """
    numbers = decode.decode_mask(sample.mask.path, sample.mask.page, sample.mask.box)
    labels = label_files.numbered(numbers)
    cells = labels.values > 0
    region = None
    if data.unlabelled == "ignore" and _in_part(sample, cells):
        region = cells
    return Labels(cells.astype(np.uint8), CLASSES, labels.instances, region)


def _in_part(sample: Sample, cells: np.ndarray) -> bool:
    if not sample.further:
        return True
    try:
        markers = decode.decode_mask(sample.further[0].path)
    except BadFileError as error:
        raise BadFileError(f"{Path(sample.further[0].path).name}: {error}") from error
    if markers.shape != cells.shape:
        raise BadFileError(f"{Path(sample.further[0].path).name} has another size")
    return bool({*np.unique(markers).tolist()} - {0, *np.unique(markers[cells]).tolist()})


def _sequences(root: Path) -> list[Path]:
    """The folders of a data set, or of several that lie beside each other."""
    here = [one for one in sorted(root.iterdir()) if one.is_dir() and one.name[0] != "."]
    if not any(_SEQUENCE.fullmatch(one.name) for one in here):
        here = [one for top in here[:_MOST_SETS] for one in sorted(top.iterdir()) if one.is_dir()]
    return [one for one in here if _SEQUENCE.fullmatch(one.name)]


_MOST_SETS = 64


def _segments(sequence: Path, truth: str) -> Path:
    return sequence.with_name(f"{sequence.name}_{truth}") / "SEG"


def _objects(sequence: Path) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for truth in reversed(_TRUTHS):
        found |= _numbered(_segments(sequence, truth), _OBJECTS)
    return found


def _markers(sequence: Path) -> dict[int, Path]:
    return _numbered(sequence.with_name(f"{sequence.name}_GT") / "TRA", _MARKERS)


def _numbered(top: Path, name: re.Pattern[str]) -> dict[int, Path]:
    """Files of a folder by the number in their names."""
    if not top.is_dir():
        return {}
    found: dict[int, Path] = {}
    for path in sorted(top.iterdir()):
        match = name.fullmatch(path.name)
        if match:
            found.setdefault(int(match[1]), path)
    return found
