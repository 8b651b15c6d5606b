"""Findings -> the text of an overtile.yaml, with only the keys worth changing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from components.image_example_gen import tiff
from components.image_example_gen.config import DataConfig, SpansConfig, SplitConfig, Value
from components.places import is_remote

if TYPE_CHECKING:
    from pipeline.planning import Findings

_COMMENTS_AT = 34
_CROP = 256


def text(findings: Findings, target: Path) -> str:
    """The file's text.

    Args:
      findings: of a data set.
      target: the file to be written; the data set's path is given relative to it if it is near.
    """
    data, shares = findings.data, findings.shares()
    assert data.path is not None
    kind = "file" if Path(data.images).suffix.lower() in tiff.SUFFIXES else "folder"
    pairs = len(findings.survey.listing.samples)
    of_spans = " in the first span" if data.spans else ""
    lines = [
        f"# {pairs} labelled images{of_spans}. "
        "Every other key has a default; unknown keys are errors.",
        "",
        "data:",
        _line(2, "path", _scalar(_near(data.path, target)), "relative to this file"),
        _line(2, "format", data.format, "of the data set; docs/data.md lists them"),
    ]
    if data.format in ("paired", "stack", "voc"):
        lines += [
            _line(2, "images", _scalar(data.images), f"{kind} of the images"),
            _line(2, "masks", _scalar(data.masks), f"{kind} of the masks"),
        ]
    lines += [
        _line(2, key, _scalar(getattr(data, key)), comment)
        for key, comment in _OF_FILES.items()
        if getattr(data, key) != DataConfig.model_fields[key].default
    ]
    if data.tolerance:
        lines.append(_line(2, "tolerance", str(data.tolerance), "how far colours may be off"))
    lines += [
        _line(2, "channels", str(data.channels), "1 grey, 3 RGB; images are brought to it"),
        _line(2, "dtype", str(data.dtype), "images of another type are set aside"),
        f"{'  classes:':<{_COMMENTS_AT}}  # give them names; [the mask values that mean each]",
    ]
    for name, values in data.classes.items():
        share = sum(shares.get(value, 0) for value in values)
        lines.append(_line(4, _scalar(name), f"[{spelled(values)}]", f"{percent(share)} of pixels"))
    if data.ignore:
        share = sum(shares.get(value, 0) for value in data.ignore)
        lines.append(
            _line(2, "ignore", f"[{spelled(data.ignore)}]", f"count nowhere; {percent(share)}")
        )
    own = any(sample.split for sample in findings.survey.listing.samples)
    lines += [
        *(_OWN_SPLIT if own else _split(data.split)),
        *_spans(data.spans),
        "",
        "ingest:",
        _line(2, "tile", str(findings.ingest.tile), "side in pixels of what the model sees"),
        "",
        "model:",
        _line(2, "name", "unet", "the architecture"),
        "",
        "train:",
        _line(2, "steps", "2000", "each on `batch_size` tiles; more of both reaches further"),
        *_crop(findings.ingest.tile),
    ]
    return "\n".join(lines) + "\n"


_OF_FILES = {
    "manifest": "lists images and masks",
    "image_prefix": "what images' names have before their keys",
    "image_suffix": "what images' names have after their keys",
    "mask_prefix": "what a mask's name has before its image's key",
    "mask_suffix": "what a mask's name adds to its image's key",
    "mask_per": "several masks an image, which are merged",
    "regions": "folder of masks: labels count where they are not black",
    "region_suffix": "what their names add to their images' keys",
    "coding": "how masks are coded: values, colours, objects",
}

_OWN_SPLIT = [
    "  # The data set is split already; data.split.train and .eval, lists of names, override it.",
]


def _crop(tile: int) -> list[str]:
    """Training on whole large tiles takes a processor hours."""
    if tile <= _CROP:
        return []
    return [_line(2, "crop", str(_CROP), "random squares of a tile; larger ones see more at once")]


def _split(split: SplitConfig) -> list[str]:
    if split.train:
        return [
            "  # Patterns or ranges a..b of the images' names; others are not used.",
            "  split:",
            f"    train: {_flow(split.train)}",
            f"    eval: {_flow(split.eval)}",
        ]
    return [
        "  # Images of one patient, slide or video belong on one side: a bracket finds them, as",
        "  # group: (.*)_",
        "  split:",
        _line(4, "eval_share", f"{split.eval_share:g}", "of the images, chosen by a hash"),
    ]


def _spans(section: SpansConfig | None) -> list[str]:
    if section is None:
        return []
    return [
        "  # Deliveries of labels, a folder each; the split above is about the first. Later ones",
        "  # only train: docs/retraining.md.",
        "  spans:",
        _line(4, "pattern", _scalar(section.pattern), "the folders' names"),
        _line(4, "marker", _scalar(section.marker), "a file that says that a folder is whole"),
        _line(4, "window", str(section.window), "how many of them train, the newest ones"),
    ]


def _line(indent: int, key: str, value: str, comment: str) -> str:
    return f"{' ' * indent + key + ': ' + value:<{_COMMENTS_AT}}  # {comment}"


def _scalar(value: str) -> str:
    """A string as YAML writes it, quoted where it must be."""
    return yaml.safe_dump(value, allow_unicode=True, width=10**6).removesuffix("\n...\n").strip()


def _flow(values: Sequence[str]) -> str:
    dumped = yaml.safe_dump(list(values), default_flow_style=True, allow_unicode=True, width=10**6)
    return dumped.strip()


def spelled(values: Sequence[Value]) -> str:
    """Mask values, runs of three and more numbers as ranges: 0..127, 255."""
    parts = []
    known = sorted(value for value in values if isinstance(value, int))
    for _, run in groupby(enumerate(known), key=lambda pair: pair[1] - pair[0]):
        numbers = [value for _, value in run]
        parts += [f"{numbers[0]}..{numbers[-1]}"] if len(numbers) > 2 else [str(n) for n in numbers]
    parts += [_scalar(value) for value in values if isinstance(value, str)]
    return ", ".join(parts)


def percent(share: float) -> str:
    """A share, with two digits where it is small: 22 %, 0.26 %."""
    return f"{100 * share:.0f} %" if share >= 0.1 or share == 0 else f"{100 * share:.2g} %"


def _near(path: Path, target: Path) -> str:
    """Relative to the file's folder if that is shorter to say and not far up."""
    if is_remote(path):
        return str(path)
    relative = os.path.relpath(path, target.absolute().parent)
    return path.as_posix() if relative.count("..") > 2 else Path(relative).as_posix()
