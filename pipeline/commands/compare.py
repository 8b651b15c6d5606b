"""`overtile compare`: several models on one data set, side by side on one page."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import InputError
from pipeline.console import console, errors, quietly
from pipeline.options import ConfigOption, DebugOption, JsonOption, SetOption

if TYPE_CHECKING:
    from rich.console import Console


def compare(
    what: Annotated[
        list[str],
        typer.Argument(
            metavar="A B ...",
            help="Configurations (run first where they have no run with this data), ids of runs, "
            "or folders of workspaces, whose newest run is taken.",
        ),
    ],
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    baselines: Annotated[
        bool,
        typer.Option("--baselines", help="Add thresholds, k-means and other classical methods."),
    ] = False,
    layer: Annotated[
        list[str],
        typer.Option(
            "--layer",
            metavar="NAME",
            help="Whose feature maps are shown; may be repeated, since models have their own. "
            "[default: the last before the scores]",
        ),
    ] = [],  # noqa: B006 - typer copies it
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The page. [default: in the workspace's reports/]"),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Compare models: cost, curves, IoU, predictions."""
    with errors(as_json, debug):
        from pipeline.comparison import subjects

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        wanted = subjects.parse(what, config, settings)
        if len(wanted) < 2 and not baselines:
            raise InputError(
                f"{what[0]} is to be compared with what? Name a second configuration or run, or "
                "add --baselines."
            )
        workspace = wanted[0].workspace
        with quietly(workspace, "compare") as display:
            display.begin("Find the runs", "loading TensorFlow")
            # Everything that can be wrong with a run is said before another one is trained.
            found = [subjects.recorded(one) for one in wanted]
            display.end("done")
        for place, one in enumerate(wanted):
            if found[place] is None:
                wanted[place] = subjects.train(one, settings)
        with quietly(workspace, "compare") as display:
            display.begin("Load", "loading TensorFlow")
            for place, one in enumerate(wanted):
                found[place] = found[place] or subjects.recorded(one)
            from pipeline.comparison import comparing, page

            display.end("done")
            told = comparing.compare(
                [one for one in found if one is not None],
                subjects.names(wanted, found),
                display,
                classical=baselines,
                layers=layer,
                command=_command(what, config, settings, baselines, layer),
            )
            display.begin("Write the page")
            stamp = time.strftime("%Y%m%d-%H%M%S")
            file = target or workspace / "reports" / f"compare-{stamp}.html"
            page.write(told, file)
            display.end("done")
        if as_json:
            print(json.dumps({**told.to_json(), "page": str(file.absolute())}, indent=2))
        else:
            show(console(), told.to_json(), file)


def show(screen: Console, told: dict[str, Any], file: Path) -> None:
    """The short table, what it comes to, and where the page is."""
    from rich.table import Table
    from rich.text import Text

    from pipeline import summary
    from pipeline.commands.models import amount
    from pipeline.progress import format_seconds

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("model", overflow="fold", min_width=10)
    for column in ("parameters", "multiply-adds", "trained", "mean IoU", "95 %"):
        table.add_column(column, justify="right", no_wrap=True)
    for one in told["models"]:
        interval = one["intervals"].get("mean_iou")
        value = one["metrics"].get("mean_iou")
        table.add_row(
            Text(one["name"]),
            f"{one['parameters']:,}" if one["parameters"] is not None else "-",
            amount(one["multiply_adds"]) if one["multiply_adds"] is not None else "-",
            format_seconds(one["seconds"]) if one["seconds"] is not None else "-",
            Text("-" if value is None else f"{value:.3f}"),
            f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else "-",
        )
    screen.print()
    screen.print(table)
    screen.print()
    for sentence in (told["conclusion"], *told["notes"]):
        screen.print(Text(sentence), soft_wrap=True)
    screen.print(Text(f"Page: {summary.short(str(file.absolute()))}"), soft_wrap=True)


def _command(
    what: list[str],
    config: Path | None,
    settings: list[str],
    baselines: bool,
    layers: list[str],
) -> list[str]:
    """What makes the page again."""
    options = ["-c", str(config)] if config else []
    for name, values in (("--set", settings), ("--layer", layers)):
        options += [part for value in values for part in (name, value)]
    return ["overtile", "compare", *what, *options, *(["--baselines"] if baselines else [])]
