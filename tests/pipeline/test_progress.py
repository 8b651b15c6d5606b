import io
import logging

from rich.console import Console

from pipeline.progress import LOGGER, Display, format_seconds

progress = logging.getLogger(LOGGER)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def step(done: int, total: int = 100, detail: str = "") -> None:
    progress.info(
        "", extra={"what": "step", "done": done, "total": total, "detail": detail or None}
    )


def screen(display: Display, width: int = 80) -> list[str]:
    """What a terminal of this width would show."""
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as captured:
        console.print(display)
    return [line.rstrip() for line in captured.get().splitlines()]


def plain() -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, width=80), out


def test_a_plain_stream_gets_a_line_every_five_seconds_and_no_control_codes() -> None:
    console, out = plain()
    clock = Clock()
    with Display(console, ["Trainer"], clock) as display:
        display.begin("Trainer")
        for second in range(13):
            clock.now = float(second)
            step(second)
        display.end("done")
    # Of the steps of seconds 0 to 12 only those at 5 and 10 are told. Five steps took five
    # seconds, so the 95 left take 95, and after ten the 90 left take 90.
    assert out.getvalue().splitlines() == [
        "[ 0.0 s] Trainer: running",
        "[ 5.0 s] Trainer: step 5 of 100, 1:35 left",
        "[  10 s] Trainer: step 10 of 100, 1:30 left",
        "[  12 s] Trainer: done in 12 s",
    ]
    assert "\x1b" not in out.getvalue()


def test_a_resumed_training_is_not_taken_for_a_fast_one() -> None:
    clock = Clock()
    display = Display(plain()[0], ["Trainer"], clock)
    with display:
        display.begin("Trainer")
        step(60)
        clock.now = 10.0
        step(70)
        # Ten steps in ten seconds: the 30 left take 30, not 70 / 10 of them.
        assert screen(display)[1].endswith("70%  30 s left")


def test_lines_show_what_waits_runs_and_is_done() -> None:
    clock = Clock()
    with Display(plain()[0], ["Transform", "Trainer", "Pusher"], clock) as display:
        display.begin("Transform")
        display.end("cached")
        display.begin("Trainer")
        progress.info("", extra={"note": "goes on from step 20 of 40"})
        step(20, 40, "loss 0.21, IoU 0.83")
        clock.now = 65.0
        assert screen(display) == [
            "✓ Transform   cached",
            "▸ Trainer       1:05  step 20/40  loss 0.21, IoU 0.83",
            "    " + "━" * 50 + "  50%",
            "    goes on from step 20 of 40",
            "· Pusher",
        ]
        display.end("failed")
        assert screen(display)[1] == "✗ Trainer       1:05  step 20/40  loss 0.21, IoU 0.83"


def test_nothing_is_wider_than_the_terminal() -> None:
    with Display(plain()[0], ["ImageExampleGen"], Clock()) as display:
        display.begin("ImageExampleGen")
        step(123456, 654321, "a detail that is far too long for so narrow a terminal, surely")
        progress.info("", extra={"note": "and a note that has to be wrapped to be read at all"})
        for width in (40, 80):
            assert max(map(len, screen(display, width))) <= width


def test_what_fails_inside_is_marked() -> None:
    console, out = plain()
    try:
        with Display(console, ["Trainer"], Clock()) as display:
            display.begin("Trainer")
            raise ValueError
    except ValueError:
        pass
    assert out.getvalue().splitlines()[-1] == "[ 0.0 s] Trainer: failed in 0.0 s"
    step(1)  # nobody listens any more
    assert len(out.getvalue().splitlines()) == 2


def test_seconds_for_people() -> None:
    told = [format_seconds(value) for value in (0.04, 9.94, 9.96, 59.6, 3599.6)]
    # 59.6 s is rounded to a minute, 3599.6 s to an hour.
    assert told == ["0.0 s", "9.9 s", "10 s", "1:00", "1:00:00"]
    assert format_seconds(4.26, coarse=True) == "4 s"
