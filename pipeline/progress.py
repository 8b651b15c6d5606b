"""Shows how far a run is: one line a component, alive on a terminal, plain text elsewhere.

Components tell of their progress through `logging.getLogger("overtile.progress")`, whose records
carry in `extra` either

    what, done, total, detail    "step", 340, 2000 and, where there is more to say, "loss 0.21"
    note                         a line to keep: "goes on from step 300 of 2000"

so that they know nothing of terminals.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from rich.live import Live
from rich.padding import Padding
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

LOGGER = "overtile.progress"

State = Literal["waiting", "running", "done", "cached", "failed"]

_MARKS = {
    "waiting": ("·", ".", "dim"),
    "running": ("▸", ">", "bold cyan"),
    "done": ("✓", "+", "green"),
    "cached": ("✓", "+", "green"),
    "failed": ("✗", "x", "bold red"),
}
_REFRESH_PER_SECOND = 4
_PLAIN_EVERY = 5.0
_LONGEST_BAR = 50
_INDENT = 4


@dataclasses.dataclass
class _Line:
    """What is known of one component."""

    name: str
    state: State = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    what: str = ""
    done: int = 0
    total: int = 0
    detail: str = ""
    # When the present `what` was first heard of, and how much was done by then: a resumed
    # training does not start at zero, and its rate must not pretend so.
    first: tuple[float, int] = (0.0, 0)
    notes: list[str] = dataclasses.field(default_factory=list)


class Display:
    """The lines of a run on a console; a context manager that listens to the progress logger.

    Args:
      console: where to show them.
      names: the components, in the order in which they run.
      clock: seconds, growing.
    """

    def __init__(
        self,
        console: Console,
        names: Sequence[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._console = console
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._running: _Line | None = None
        self._opened = clock()
        self._spoke = clock()
        self._handler = _Handler(self)
        live = console.is_terminal and not console.is_dumb_terminal
        self._live = (
            Live(
                self,
                console=console,
                refresh_per_second=_REFRESH_PER_SECOND,
                # The streams are the log file by now; Live must not take them back.
                redirect_stdout=False,
                redirect_stderr=False,
            )
            if live
            else None
        )
        self.expect(names)

    def __enter__(self) -> Display:
        logger = logging.getLogger(LOGGER)
        logger.addHandler(self._handler)
        logger.setLevel(logging.INFO)
        if self._live:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind and self._running:
            self.end("failed")
        logging.getLogger(LOGGER).removeHandler(self._handler)
        if self._live:
            self._live.stop()

    def expect(self, names: Sequence[str]) -> None:
        """Adds components that will run."""
        self._lines |= {name: _Line(name) for name in names}

    @property
    def running(self) -> str | None:
        """The component that runs."""
        return self._running.name if self._running else None

    def begin(self, name: str, detail: str = "") -> None:
        """A component starts."""
        line = self._lines.setdefault(name, _Line(name))
        line.state, line.began, line.detail = "running", self._clock(), detail
        self._running = line
        self._say(f"{name}: {detail or 'running'}")

    def end(self, state: Literal["done", "cached", "failed"]) -> float:
        """The component that runs has ended; returns the seconds it took."""
        line = self._running
        if line is None:
            return 0.0
        if not line.what:
            line.detail = ""  # it said what was being done
        line.state, line.seconds = state, self._clock() - line.began
        self._running = None
        took = format_seconds(line.seconds)
        self._say(f"{line.name}: {'from cache' if state == 'cached' else f'{state} in {took}'}")
        return line.seconds

    def note(self, text: str) -> None:
        """Keeps a line below the component that runs."""
        if self._running:
            self._running.notes.append(text)
            self._say(f"{self._running.name}: {text}")

    def update(self, what: str, done: int, total: int, detail: str = "") -> None:
        """Tells how far the component that runs is."""
        line = self._running
        if line is None:
            return
        now = self._clock()
        if what != line.what or done < line.done:
            line.first = (now, done)
        line.what, line.done, line.total, line.detail = what, done, total, detail
        if now - self._spoke >= _PLAIN_EVERY:
            left = self._left(line)
            self._say(
                f"{line.name}: {what} {done} of {total}"
                + (f", {detail}" if detail else "")
                + (f", {left} left" if left else "")
            )

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in list(self._lines.values()):
            yield self._row(line, options.ascii_only)
            if line is self._running and line.total > 0:
                yield self._bar(line, options.max_width, options.ascii_only)
            for note in line.notes:
                yield Padding(Text(note, style="yellow"), (0, 0, 0, _INDENT))

    def _say(self, text: str) -> None:
        """One plain line, where nothing can be redrawn."""
        if self._live:
            return
        self._spoke = self._clock()
        stamp = format_seconds(self._spoke - self._opened)
        self._console.print(f"[{stamp:>6}] {text}", markup=False, highlight=False, soft_wrap=True)

    def _left(self, line: _Line) -> str:
        """How long until `total`, from the mean rate since the first word of it."""
        began, at = line.first
        fresh = line.done - at
        elapsed = self._clock() - began
        if fresh <= 0 or elapsed <= 0 or line.done >= line.total:
            return ""
        return format_seconds(elapsed / fresh * (line.total - line.done), coarse=True)

    def _row(self, line: _Line, ascii_only: bool) -> Text:
        fine, plain, style = _MARKS[line.state]
        longest = max(map(len, self._lines))
        running = line is self._running
        name_style = "dim" if line.state == "waiting" else "bold" if running else ""
        row = Text(no_wrap=True, overflow="crop" if ascii_only else "ellipsis")
        row.append(f"{plain if ascii_only else fine} ", style)
        row.append(f"{line.name:<{longest}}", name_style)
        row.append(f" {self._time(line):>8}", "cyan" if running else "dim")
        if line.what:
            row.append(f"  {line.what} {line.done}/{line.total}", "" if running else "dim")
        if line.detail:
            row.append(f"  {line.detail}", "" if running else "dim")
        return row

    def _time(self, line: _Line) -> str:
        if line.state == "waiting":
            return ""
        if line.state == "cached":
            return "cached"
        if line.state == "running":
            return format_seconds(self._clock() - line.began, coarse=True)
        return format_seconds(line.seconds)

    def _bar(self, line: _Line, width: int, ascii_only: bool) -> Text:
        share = min(line.done / line.total, 1.0)
        left = self._left(line)
        words = f" {share:>4.0%}" + (f"  {left} left" if left else "")
        length = max(min(width - _INDENT - len("  100%  10:00:00 left"), _LONGEST_BAR), 0)
        full = round(length * share)
        bar = Text(" " * _INDENT, no_wrap=True, overflow="crop")
        bar.append(("#" if ascii_only else "━") * full, "cyan")
        bar.append(("." if ascii_only else "━") * (length - full), "bright_black")
        return bar.append(words)


class _Handler(logging.Handler):
    """Passes the progress logger's records to a display."""

    def __init__(self, display: Display):
        super().__init__()
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        told: dict[str, Any] = vars(record)
        if "note" in told:
            self._display.note(told["note"])
        elif "what" in told:
            detail = told.get("detail") or ""
            self._display.update(told["what"], told["done"], told["total"], detail)


def format_seconds(seconds: float, coarse: bool = False) -> str:
    """Seconds for people.

    >>> format_seconds(4.26), format_seconds(42.6), format_seconds(62), format_seconds(3723)
    ('4.3 s', '43 s', '1:02', '1:02:03')

    Args:
      seconds: a duration.
      coarse: no tenths, for a number that changes while one looks at it.
    """
    if seconds < 9.95 and not coarse:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
