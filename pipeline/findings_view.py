"""Findings as a terminal shows them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline.config_writer import percent, spelled

if TYPE_CHECKING:
    from pipeline.planning import Findings

_MOST_CLASSES = 30
_MOST_SIZES = 3


def render(findings: Findings) -> RenderableType:
    """What was found: facts, classes with their shares, and problems."""
    seen, data = findings.survey, findings.data
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column()
    pairs = len(seen.listing.samples)
    looked = "" if seen.looked_at == pairs else f" ({seen.looked_at} of them looked at)"
    facts.add_row("data", str(data.path))
    if data.spans:
        facts.add_row("spans", f"{data.spans.pattern}; what follows is about the first")
    facts.add_row("format", data.format)
    where = f": {data.images} with {data.masks}{_suffix(findings)}"
    named = data.format in ("paired", "stack", "voc")
    facts.add_row("pairs", f"{pairs}{looked}{where if named else ''}")
    facts.add_row("sizes", _sizes(seen.sizes))
    facts.add_row("pixels", f"{data.dtype}, {_channels(data.channels)}")
    facts.add_row("tile", f"{findings.ingest.tile} pixels a side")
    if any(sample.split for sample in seen.listing.samples):
        split = "the data set's own"
    elif data.split.train:
        split = f"train {', '.join(data.split.train)}; eval {', '.join(data.split.eval)}"
    else:
        split = f"by hash, {percent(data.split.eval_share)} of the images evaluate"
    facts.add_row("split", split)

    for place, sentence in enumerate(findings.evidence()):
        facts.add_row("" if place else "masks", Text(sentence))
    parts: list[RenderableType] = [facts, Text(), _classes(findings)]
    if findings.problems:
        parts += [Text(), Text("Look into this:", style="bold yellow")]
        parts += [Padding(Text(f"- {problem}"), (0, 0, 0, 2)) for problem in findings.problems]
    return Group(*parts)


def _classes(findings: Findings) -> Table:
    shares = findings.shares()
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("class")
    table.add_column("mask values")
    table.add_column("share", justify="right")
    rows = [*findings.data.classes.items()]
    for name, values in rows[:_MOST_CLASSES]:
        table.add_row(name, spelled(values), percent(sum(shares.get(v, 0) for v in values)))
    if len(rows) > _MOST_CLASSES:
        table.add_row(f"and {len(rows) - _MOST_CLASSES} more")
    if findings.data.ignore:
        share = sum(shares.get(value, 0) for value in findings.data.ignore)
        table.add_row("(ignored)", spelled(findings.data.ignore), percent(share), style="dim")
    return table


def _suffix(findings: Findings) -> str:
    data = findings.data
    added = {
        "": data.mask_prefix + data.mask_suffix,
        "images' ": data.image_prefix + data.image_suffix,
    }
    return "".join(f", whose {whose}names add {what}" for whose, what in added.items() if what)


def _sizes(sizes: Counter[tuple[int, int]]) -> str:
    named = [
        f"{width}x{height}" + (f" ({count})" if len(sizes) > 1 else "")
        for (width, height), count in sizes.most_common(_MOST_SIZES)
    ]
    more = f" and {len(sizes) - _MOST_SIZES} more" if len(sizes) > _MOST_SIZES else ""
    return ", ".join(named) + more


def _channels(channels: int | None) -> str:
    return {1: "grey", 3: "RGB"}.get(channels or 0, f"{channels} channels")
