"""What every subcommand shares: where output goes, and how errors become sentences."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer

from components.errors import InputError, SetAside

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.progress import Display


@contextlib.contextmanager
def quietly(workspace: Path | None, name: str) -> Iterator[Display]:
    """A display for a command that is no run.

    Args:
      workspace: whose `logs/<name>.log` gets the libraries' chatter; without one it is lost.
      name: of the command.
    """
    from rich.console import Console

    from pipeline.progress import Display
    from pipeline.quiet import quiet

    with (
        quiet(log_file(workspace, name)) as terminal,
        Display(Console(file=terminal.err)) as display,
    ):
        yield display


def log_file(workspace: Path | None, name: str) -> Path:
    """Where the libraries' chatter goes: `logs/<name>.log` of the workspace, or nowhere."""
    if workspace and os.access(workspace, os.W_OK):
        return workspace / "logs" / f"{name}.log"
    return Path(os.devnull)


@contextlib.contextmanager
def errors(as_json: bool, debug: bool) -> Iterator[None]:
    """Turns what goes wrong into one sentence and an exit code.

    Args:
      as_json: whether the sentence is part of a JSON object on standard output.
      debug: whether the traceback is shown as well.
    """
    try:
        yield
    except InputError as error:
        if debug:
            traceback.print_exc()
        _fail(str(error), 2, as_json, error.set_aside)
    except KeyboardInterrupt:
        _fail("Stopped.", 130, as_json)
    except BrokenPipeError:
        # Whoever read the output has gone (`overtile runs | head`); nothing is left to say.
        sys.stdout = None  # type: ignore[assignment]
        raise typer.Exit(0) from None
    except Exception as error:
        from pipeline import failures

        if debug:
            traceback.print_exc()
        hint = "" if debug else " (--debug shows the traceback)"
        _fail(f"{failures.describe(error)}{hint}.", 1, as_json)


def _fail(text: str, code: int, as_json: bool, set_aside: list[SetAside] | None = None) -> NoReturn:
    from pipeline import failures, summary

    bad = [{"file": entry.file, "reason": entry.reason} for entry in set_aside or []]
    text = failures.sentence(text)
    if as_json:
        failed = {"verdict": "failed", "error": text, "set_aside": bad, "exit_code": code}
        print(json.dumps(failed, indent=2))
    else:
        screen = console(stderr=True)
        summary.show_set_aside(screen, bad)
        screen.print(text, style="bold red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def console(stderr: bool = False) -> Console:
    """Where a person reads the outcome."""
    from rich.console import Console

    return Console(stderr=stderr)
