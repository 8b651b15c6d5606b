"""`overtile report`: opens the page that a run left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from components.errors import InputError
from pipeline.console import console, errors
from pipeline.options import ConfigOption, DebugOption, JsonOption, load

if TYPE_CHECKING:
    from pipeline.runs import Result


def report(
    config: ConfigOption = None,
    run: Annotated[
        str | None,
        typer.Option(metavar="ID", help="As `overtile runs` lists it. [default: the newest]"),
    ] = None,
    no_open: Annotated[
        bool, typer.Option("--no-open", help="Only print where the report is.")
    ] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Open a run's report in the browser."""
    with errors(as_json, debug):
        from pipeline import runs, summary

        loaded, _ = load(config, [], None)
        result = find(runs.past(loaded.workspace), run, loaded.workspace)
        assert result.report is not None, "find looks for one that is there"
        if as_json:
            print(json.dumps({"run": result.run, "report": result.report}, indent=2))
            return
        if no_open:
            print(result.report)
            return
        import webbrowser

        path = summary.short(result.report)
        opened = webbrowser.open(Path(result.report).as_uri())
        console().print(
            f"Opened {path}" if opened else f"No browser was found; the report is {path}",
            highlight=False,
            soft_wrap=True,
        )


def find(past: list[Result], run: str | None, workspace: Path) -> Result:
    """The run whose report is asked for.

    Args:
      past: the runs, oldest first.
      run: its id; without one, the newest that has a report.
      workspace: for the words of an error.

    Raises:
      InputError: there is no such run or no report.
    """
    if run is None:
        for result in reversed(past):
            if _is_there(result):
                return result
        raise InputError(f"No run in {workspace} has a report yet; `overtile run` writes one.")
    for result in past:
        if result.run == run:
            if _is_there(result):
                return result
            if result.report:
                raise InputError(f"The report of run {run} is gone: there is no {result.report}.")
            raise InputError(f"Run {run} ({result.status}) left no report.")
    raise InputError(f"There is no run {run} in {workspace}; `overtile runs` lists them.")


def _is_there(result: Result) -> bool:
    return result.report is not None and Path(result.report).is_file()
