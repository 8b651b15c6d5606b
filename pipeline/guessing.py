"""What a data set's mask values probably mean, and how its images should be split and tiled."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from components.image_example_gen.config import DataConfig, SplitConfig, Value
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.ordering import natural_key
from components.image_example_gen.sources import inside
from components.records import IGNORE
from pipeline import codings

_NAME_FILES = ("classes.txt", "labels.txt", "label_names.txt", "names.txt")
IGNORED_NAMES = re.compile(r"_*(un-?label+ed|void|ignored?|don.?t.?care|unknown)_*", re.I)


@dataclasses.dataclass(frozen=True)
class Meaning:
    """What mask values mean.

    Attributes:
      classes: mask values of each class.
      ignore: mask values that count nowhere.
      smeared: the values scatter around few, as after a lossy compression.
      instances: the values number objects.
      names_from: the file that gave the names, if any.
      tolerance: within which colours are one of those of the classes.
      inverted: the background is the greater of two values.
      given: the data set itself names the values.
    """

    classes: dict[str, tuple[Value, ...]]
    ignore: tuple[Value, ...] = ()
    smeared: bool = False
    instances: bool = False
    names_from: Path | None = None
    tolerance: int = 0
    inverted: bool = False
    given: bool = False


def meaning(
    values: Mapping[Value, int], lossy: bool, names: dict[int, str], objects: bool = False
) -> Meaning:
    """Guesses the classes.

    Args:
      values: pixels of each mask value.
      lossy: the masks are JPEG.
      names: of the values, if a file gives them.
      objects: the values number objects.
    """
    if codings.holds_colours(values):
        return _of_colours(values, lossy)
    if any(isinstance(value, str) for value in values):
        return _of_words([value for value in values if isinstance(value, str)])
    numbers = {int(value): count for value, count in values.items()}
    return _numbering(numbers) if objects else _of_numbers(numbers, lossy, names)


def _of_words(words: Sequence[str]) -> Meaning:
    """Names of labels: each is a class of its own."""
    ignore = tuple(word for word in words if IGNORED_NAMES.fullmatch(word))
    return Meaning({word: (word,) for word in sorted(words) if word not in ignore}, ignore)


def _of_colours(values: Mapping[Value, int], lossy: bool) -> Meaning:
    """Colours: black is the background, each other a class of its own."""
    found = codings.colours_of(values, lossy)
    names = {
        colour: "background" if colour == "#000000" else f"colour_{colour[1:]}"
        for colour in found.values
    }
    if len(names) == 2 and "#000000" in names:
        names[max(names)] = "foreground"
    return Meaning({name: (colour,) for colour, name in names.items()}, tolerance=found.tolerance)


def _numbering(values: Mapping[int, int]) -> Meaning:
    """Numbers of objects: 0 is none."""
    top = max(255, 2 ** max(values).bit_length() - 1)
    return Meaning({"background": (0,), "foreground": tuple(range(1, top + 1))}, instances=True)


def upside_down(meant: Meaning) -> Meaning:
    """With the greater of two values as the background."""
    low, high = meant.classes.values()
    return dataclasses.replace(
        meant, classes={"background": high, "foreground": low}, inverted=True
    )


def _of_numbers(values: Mapping[int, int], lossy: bool, names: dict[int, str]) -> Meaning:
    present = sorted(values)
    peaks = [] if names else _peaks(values, lossy)
    if peaks:
        edges = [(low + high + 1) // 2 for low, high in pairwise(peaks)]
        parts = pairwise([0, *edges, 256])
        return Meaning(
            dict(
                zip(
                    _plain_names(peaks, range(len(peaks))),
                    (tuple(range(*part)) for part in parts),
                    strict=True,
                )
            ),
            smeared=True,
        )
    if not names and len(present) > _MOST_CLASSES:
        return _numbering(values)

    ignore = {value for value, name in names.items() if IGNORED_NAMES.fullmatch(name)}
    others = [value for value in present if value != IGNORE]
    if IGNORE in present and IGNORE not in names and len(others) > 1 and max(others) < 100:
        ignore.add(IGNORE)
    kept = sorted({*present, *names} - ignore)
    plain = dict(zip(kept, _plain_names(kept, kept), strict=True))
    labels = _unique({value: names.get(value, plain[value]) for value in kept})
    return Meaning({labels[value]: (value,) for value in kept}, tuple(sorted(ignore)))


# More values than this, without names, number objects rather than kinds.
_MOST_CLASSES = 64


def _plain_names(values: Sequence[int], numbers: Sequence[int]) -> list[str]:
    if len(values) == 2:
        return ["background", "foreground"]
    return [f"class_{number}" for number in numbers]


def _unique(labels: dict[int, str]) -> dict[int, str]:
    """A file may name two values alike; a class has one name."""
    seen = Counter(labels.values())
    return {value: name if seen[name] == 1 else f"{name}_{value}" for value, name in labels.items()}


def _peaks(values: Mapping[int, int], lossy: bool) -> list[int]:
    """The few values that the others scatter around, or [] where each value stands for itself."""
    if len(values) < 3 or min(values) < 0 or max(values) > 255:
        return []
    total = sum(values.values())
    left, peaks = dict(values), []
    while left and max(left.values()) >= _LEAST_PEAK * total:
        peak = max(left, key=lambda value: left[value])
        # A smeared 0 is counted at 0, 1, 2...: the sum around says whether it is one at all.
        left = {value: count for value, count in left.items() if abs(value - peak) > _REACH}
        peaks.append(peak)
    peaks.sort()
    if not 2 <= len(peaks) <= _MOST_PEAKS or set(peaks) == set(values):
        return []
    if any(high - low < 1.5 * _REACH for low, high in pairwise(peaks)):
        return []
    if lossy:
        return peaks
    off = [value for value in values if value not in peaks]
    if len(values) > _REACH:  # a whole range of greys, as of a PNG made from a JPEG
        return peaks if peaks[0] < 16 and peaks[-1] > 239 and not _like_ids(values) else []
    # A few stray values, such as 128 beside 127, but no small ids.
    astray = sum(
        values[value]
        for value in off
        if not any(abs(value - peak) <= 2 and _REACH < peak < 250 for peak in peaks)
    )
    small_ids = any(0 < value < _REACH for value in off)
    return peaks if not small_ids and astray < _MOST_ASTRAY * total else []


_REACH = 32
_LEAST_PEAK = 0.01
_MOST_PEAKS = 8
_MOST_ASTRAY = 0.005


def _like_ids(values: Mapping[int, int]) -> bool:
    """Whether nearly all values but 255 are small and next to each other."""
    return max(value for value in values if value != IGNORE) < 192


def class_names(root: Path, masks: Path) -> tuple[dict[int, str], Path | None]:
    """Names of the mask values from a file beside the data: "id name" a line, or one name a line.

    Returns:
      the names by value, and the file; ({}, None) if there is none.
    """
    for folder in (root, masks.parent, masks):
        for file in (folder / name for name in _NAME_FILES):
            if file.is_file() and inside.own(file, root, folder):
                text = file.read_text(encoding="utf-8", errors="replace")
                lines = [line.strip() for line in text.splitlines()]
                names = _parse_names([line for line in lines if line and line[0] != "#"])
                if len(names) > 1:
                    return names, file
    return {}, None


def _parse_names(lines: list[str]) -> dict[int, str]:
    numbered = [re.fullmatch(r"(\d+)[\s:,;=]+(.+)", line) for line in lines]
    if lines and all(numbered):
        return {int(match[1]): match[2].strip() for match in numbered if match}
    return dict(enumerate(lines))


def related_frames(keys: Sequence[str], thumbnails: np.ndarray) -> bool:
    """Whether neighbours by name are much more alike than images far apart, as frames are.

    Args:
      keys: in natural order, none left out.
      thumbnails: float32 [keys, 32, 32].
    """
    if len(keys) < 8 or not all(re.search(r"\d", key) for key in keys):
        return False
    flat = thumbnails.reshape(len(keys), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat /= np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6

    def likeness(distance: int) -> float:
        return float(np.median((flat[distance:] * flat[:-distance]).sum(axis=1)))

    near, far = likeness(1), likeness(len(keys) // 2)
    return near > 0.3 and 1 - near < _ALIKE * (1 - far)


_ALIKE = 0.7


def split_by_order(keys: Sequence[str]) -> SplitConfig:
    """The last fifth of the images evaluates."""
    ordered = sorted(keys, key=natural_key)
    first_eval = len(ordered) - max(1, round(0.2 * len(ordered)))
    train, evaluate = ordered[:first_eval], ordered[first_eval:]
    return SplitConfig(
        train=(_span(train),),
        eval=(_span(evaluate),),
    )


def _span(keys: Sequence[str]) -> str:
    return keys[0] if len(keys) == 1 else f"{keys[0]}..{keys[-1]}"


def tile_side(sizes: Counter[tuple[int, int]]) -> int:
    """A side that holds a whole image if that is small, else the one that wastes less.

    Args:
      sizes: images of each (width, height).
    """
    longest = max(max(size) for size in sizes)
    if longest <= 512:
        return -(-longest // 32) * 32

    def stored(tile: int) -> float:
        return sum(
            count * -(-width // tile) * -(-height // tile) * tile**2
            for (width, height), count in sizes.items()
        )

    # A larger tile has more context; it may store a little more for that.
    return 512 if stored(512) <= 1.25 * stored(256) else 256


def completed(data: DataConfig, found: DataConfig) -> DataConfig:
    """`data` with what it does not say taken from `found`."""
    given = data.model_fields_set
    taken = {key: getattr(found, key) for key in found.model_fields_set if key not in given}
    # Classes and ignored values are one guess: half of it may contradict what is given.
    if "classes" in given:
        taken.pop("ignore", None)
    return DataConfig.model_validate({**data.model_dump(exclude_unset=True), **taken})


def completed_ingest(ingest: IngestConfig, tile: int) -> IngestConfig:
    """`ingest` with the tile, unless it says one."""
    return ingest if "tile" in ingest.model_fields_set else ingest.model_copy(update={"tile": tile})
