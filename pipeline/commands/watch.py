"""`overtile watch`: new labels start a new run."""

from __future__ import annotations

import json
import signal
import time
from typing import Annotated, Any

import typer

from components.errors import InputError
from pipeline.console import console, errors
from pipeline.failures import STOPPED
from pipeline.options import DEFAULT_CONFIG, ConfigOption, DebugOption, SetOption, load


def watch(
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    every: Annotated[
        float, typer.Option(min=1, help="Seconds between two looks at the folder.")
    ] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Look once, for cron.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, one an event.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Wait for new spans, and run on them one after another."""
    code = 0
    with errors(as_json, debug):
        from pipeline import watching

        loaded, _ = load(config, settings, None)
        screen = console()

        def tell(event: str, text: str, **values: Any) -> None:
            if as_json:
                now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
                print(json.dumps({"time": now, "event": event, "text": text, **values}), flush=True)
            else:
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                screen.print(f"{now}  {text}", markup=False, highlight=False, soft_wrap=True)

        # `kill` and a service manager stop it as Ctrl-C does.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        command = watching.run_command(str(config or DEFAULT_CONFIG), settings)
        try:
            code = watching.watch(loaded, command, tell, every, once)
        except KeyboardInterrupt:
            tell("stopped", "Stopped.")
            code = STOPPED
        except InputError as error:
            if not as_json or debug:
                raise
            tell("error", str(error))  # one line, as every event
            code = 2
    raise typer.Exit(code)
