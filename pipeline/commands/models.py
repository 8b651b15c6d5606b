"""`overtile models`: the architectures, what they cost and what they let you choose."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import InputError
from pipeline.console import console, errors, quietly
from pipeline.options import DebugOption, JsonOption

if TYPE_CHECKING:
    from rich.console import Console

CHANNELS, CLASSES = 3, 2
"""What costs are stated for, beside the size of the image."""


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="One, with its options and its paper.")
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the architectures and what they cost."""
    with errors(as_json, debug):
        from trainer.models import registry

        if name is not None and name not in registry.NAMES:
            close = difflib.get_close_matches(name, registry.NAMES, n=1)
            hint = (
                f"did you mean {close[0]}?" if close else f"there are {', '.join(registry.NAMES)}."
            )
            raise InputError(f"There is no model {name!r}; {hint}")
        names = registry.NAMES if name is None else (name,)
        with quietly(None, "models") as display:
            display.begin("Measure the models", "loading TensorFlow")
            from trainer.cost import SIDE

            found: list[dict[str, Any]] = []
            for one in names:
                display.update("model", len(found), len(names), one)
                found.append(describe(one))
            display.end("done")
        if as_json:
            image = {"height": SIDE, "width": SIDE, "channels": CHANNELS, "classes": CLASSES}
            print(json.dumps({"image": image, "models": found}, indent=2))
        elif name is None:
            show_all(console(), found)
        else:
            show_one(console(), found[0])


def describe(name: str) -> dict[str, Any]:
    """One architecture at its default options, in JSON values."""
    from trainer.cost import cost
    from trainer.models import catalogue

    of_it = cost(name, {}, CHANNELS, CLASSES)
    field = of_it.field
    return {
        "name": name,
        "summary": catalogue.summary(name),
        "details": catalogue.details(name),
        "parameters": of_it.parameters,
        "multiply_adds": of_it.multiply_adds,
        "input_side": of_it.input_side,
        "receptive_field": None if field.height is None else [field.height, field.width],
        "stride": field.stride,
        "options": [dataclasses.asdict(option) for option in catalogue.options(name)],
    }


def show_all(screen: Console, found: list[dict[str, Any]]) -> None:
    """A line each."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", no_wrap=True)
    for column in ("parameters", "receptive field", "stride", "multiply-adds"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in found:
        table.add_row(
            one["name"],
            f"{one['parameters']:,}",
            field(one),
            str(one["stride"]),
            amount(one["multiply_adds"]),
        )
    screen.print(table)
    screen.print()
    screen.print(_conditions(found), style="dim")
    screen.print(
        "`overtile models NAME` shows what a model lets you choose, and its paper.", style="dim"
    )


def show_one(screen: Console, one: dict[str, Any]) -> None:
    """What it is, what it costs, and its options."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    # A width at which prose can be read.
    width = min(screen.width, 100)
    screen.print(Text(one["name"], style="bold"))
    for paragraph in [one["summary"], *one["details"].splitlines()]:
        screen.print(Text(paragraph), width=width)
        screen.print()
    facts = Table.grid(padding=(0, 3))
    for what, value in (
        ("parameters", f"{one['parameters']:,}"),
        ("multiply-adds", amount(one["multiply_adds"])),
        ("receptive field", field(one)),
        ("stride", str(one["stride"])),
    ):
        facts.add_row(Text(what, style="dim"), value)
    screen.print(Padding(facts, (0, 0, 1, 2)))
    screen.print(Text("model.options", style="bold"))
    options = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    options.add_column("  option", no_wrap=True)
    options.add_column("default", no_wrap=True)
    options.add_column("what it is", overflow="fold")
    for option in one["options"]:
        default = json.dumps(option["default"]).strip('"')
        meaning = Text(option["meaning"])
        if "|" in option["allowed"]:
            meaning = Text(f"{option['allowed']}: ", style="cyan").append(
                option["meaning"], style="default"
            )
        options.add_row(f"  {option['name']}", default, meaning)
    screen.print(options, width=width)
    screen.print()
    screen.print(_conditions([one]), style="dim", width=width)


def field(one: dict[str, Any]) -> str:
    """A receptive field as people read it."""
    if one["receptive_field"] is None:
        return "whole image"
    height, width = one["receptive_field"]
    return f"{height} x {width}"


def amount(number: float) -> str:
    """A large number in three digits.

    >>> amount(54_833_111_040), amount(913_000_000), amount(12), amount(1.2e12)
    ('54.8 G', '913 M', '12', '1.20 T')
    """
    for unit, power in (("T", 12), ("G", 9), ("M", 6), ("k", 3)):
        value = number / 10**power
        if value >= 0.9995:
            digits = 2 - math.floor(math.log10(max(value, 1)) + 1e-9)
            return f"{value:.{digits}f} {unit}"
    return f"{number:.0f}"


def _conditions(found: list[dict[str, Any]]) -> str:
    from trainer.cost import SIDE

    told = (
        f"By default options, for {CHANNELS} channels and {CLASSES} classes; multiply-adds of an "
        f"image of {SIDE} x {SIDE}."
    )
    larger = [one for one in found if one["input_side"] != SIDE]
    if larger:
        sizes = ", ".join(f"{one['name']} {one['input_side']}" for one in larger)
        told += f" A network that does not pad needs a larger input for it: {sizes}."
    return told
