"""What a person reads at the end: tables of a run, an evaluation, a prediction, the past runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline import span_outcome
from pipeline.progress import format_seconds

if TYPE_CHECKING:
    from pipeline.doctor import Check
    from pipeline.runs import Result

_STYLES = {
    "pushed": "bold green",
    "unchanged": "green",
    "refused": "bold yellow",
    "running": "cyan",
    "failed": "bold red",
    "killed": "red",
    "stopped": "yellow",
}
_MOST_SET_ASIDE = 50
_CHECK_WIDTH = len("import tensorflow_addons")


def show_run(console: Console, result: Result) -> None:
    """Metrics, gate, what was set aside, verdict."""
    console.print()
    if result.metrics:
        limits = {rule["metric"]: rule["limit"] for rule in result.gate if not _compares(rule)}
        console.print(iou_table(result.metrics, result.baseline, limits))
        console.print()
        if result.slices:
            console.print(slice_table(result.slices))
            console.print()
        for rule in [*result.gate, *_served(result)]:
            mark, style = ("✓", "green") if rule["passed"] else ("✗", "bold red")
            if console.options.ascii_only:
                mark = "+" if rule["passed"] else "x"
            line = Text(f"{mark} ", style=style).append(rule["sentence"], style="default")
            console.print(line, soft_wrap=True)
        console.print()
    show_set_aside(console, result.set_aside)
    show_findings(console, result.findings)
    if result.spans:
        for sentence, tone in span_outcome.lines(result):
            console.print(Text(sentence, style=tone), soft_wrap=True)
    console.print(_verdict(result), soft_wrap=True)
    if result.report:
        console.print(Text(f"Report: {short(result.report)}"), soft_wrap=True)
    took = sum(result.seconds.values())
    cached = f", {_count(len(result.cached), 'component')} from cache" if result.cached else ""
    console.print(
        Text(f"{format_seconds(took)}{cached}; log {short(result.log)}", style="dim"),
        soft_wrap=True,
    )


def _served(result: Result) -> list[dict[str, Any]]:
    """What the model lacked behind a server; in one line where it lacked nothing."""
    failed = [check for check in result.validation if not check["passed"]]
    if failed or not result.validation:
        return failed
    latency = [check["value"] for check in result.validation if check["name"] == "latency"]
    took = f", in {latency[0]:.0f} ms an image" if latency else ""
    return [{"passed": True, "sentence": f"served, it answers as it must{took} (push.validation)"}]


def show_set_aside(console: Console, set_aside: Sequence[Mapping[str, str]]) -> None:
    """Each bad file and its reason."""
    if not set_aside:
        return
    files = "1 file was" if len(set_aside) == 1 else f"{len(set_aside)} files were"
    console.print(Text(f"{files} set aside:", style="yellow"))
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(style="dim", overflow="fold")
    for bad in set_aside[:_MOST_SET_ASIDE]:
        table.add_row(Text(bad["file"]), Text(bad["reason"]))
    if len(set_aside) > _MOST_SET_ASIDE:
        table.add_row(f"and {len(set_aside) - _MOST_SET_ASIDE} more", "--json lists them all")
    console.print(Padding(table, (0, 0, 1, 2)))


def show_findings(console: Console, findings: Sequence[Mapping[str, Any]]) -> None:
    """What is worth a look in images and labels, and the key that each limit has."""
    if not findings:
        return
    console.print(Text("Worth a look in the data:", style="yellow"))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for finding in findings:
        table.add_row(f"checks.{finding['check']}", Text(finding["sentence"]))
    console.print(Padding(table, (0, 0, 1, 2)))


def show_evaluation(console: Console, values: Mapping[str, Any]) -> None:
    """The metrics of a model on a data set; `values` as `Evaluation.to_json` gives them."""
    console.print(iou_table(values["metrics"], None, {}))
    console.print()
    if "seg" in values["metrics"]:
        console.print(f"Objects are told apart with a SEG of {values['metrics']['seg']:.3f}.\n")
    if values["slices"]:
        console.print(slice_table(values["slices"]))
        console.print()
    show_set_aside(console, values["set_aside"])
    facts = Text(f"{_count(values['images'], 'image')} of {short(values['data'])}, model ")
    console.print(facts.append(short(values["model"])), style="dim", soft_wrap=True)


def show_past(console: Console, past: Sequence[Result]) -> None:
    """One line a run, the newest last."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("run", "status", "mean IoU", "duration", "version"):
        table.add_column(name, justify="right" if name in ("mean IoU", "duration") else "left")
    for result in past:
        iou = result.metrics.get("mean_iou")
        table.add_row(
            result.run,
            Text(result.status, style=_STYLES[result.status]),
            "" if iou is None else f"{iou:.3f}",
            format_seconds(sum(result.seconds.values())) if result.seconds else "",
            result.pushed["version"] if result.pushed else "",
        )
    console.print(table)


def iou_table(
    metrics: Mapping[str, float],
    baseline: Mapping[str, float] | None,
    limits: Mapping[str, float],
) -> Table:
    """IoU a class and mean, beside the last blessed model's and the gate's floor."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("class", max_width=30, no_wrap=True)
    table.add_column("IoU", justify="right")
    if baseline:
        table.add_column("baseline", justify="right", style="dim")
    if limits:
        table.add_column("floor", justify="right", style="dim")
    names = [name for name in {**metrics, **limits} if name.startswith("iou/")]
    for name in [*names, "mean_iou"]:
        mean = name == "mean_iou"
        row = ["mean" if mean else name.removeprefix("iou/"), _number(metrics.get(name))]
        if baseline:
            row.append(_number(baseline.get(name)))
        if limits:
            row.append(_number(limits.get(name), absent=""))
        table.add_row(*map(Text, row), style="bold" if mean else None)
    return table


def slice_table(slices: Mapping[str, Mapping[str, float]]) -> Table:
    """Mean IoU and pixel accuracy on the images of each value of an attribute."""
    table = Table(box=None, padding=(0, 3, 0, 0), header_style="dim")
    table.add_column("images of", max_width=40, no_wrap=True)
    for name in ("mean IoU", "pixel accuracy"):
        table.add_column(name, justify="right")
    for name, metrics in slices.items():
        values = (metrics.get("mean_iou"), metrics.get("pixel_accuracy"))
        table.add_row(Text(name), *map(_number, values))
    return table


def _verdict(result: Result) -> Text:
    text = Text()
    label = result.status.capitalize()
    text.append(label, style=_STYLES[result.status])
    if result.pushed:
        text.append(f" version {result.pushed['version']} to {short(result.pushed['path'])}")
    elif result.earlier:
        text.append(f": an earlier run pushed this model as version {result.earlier['version']}")
    elif result.error:
        text = Text(result.error, style=_STYLES[result.status])
        if result.verdict == "refused" and result.serving:
            text.append(f" Version {result.serving['version']} goes on serving.", style="default")
    return text


def _compares(rule: Mapping[str, Any]) -> bool:
    """Whether a rule's limit comes from the baseline, which has a column of its own."""
    return rule["rule"] == "max_drop"


def _number(value: float | None, absent: str = "-") -> str:
    return absent if value is None else f"{value:.3f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def short(path: str) -> str:
    """A path relative to where the user is, if it is below."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def show_check(console: Console, check: Check) -> None:
    """One line of the doctor's, and below it what to do."""
    style, mark = {"ok": ("green", "✓"), "warning": ("yellow", "!"), "wrong": ("bold red", "✗")}[
        check.state
    ]
    if console.options.ascii_only:
        mark = {"✓": "+", "✗": "x"}.get(mark, mark)
    line = Table.grid(padding=(0, 1))
    line.add_column(width=1)
    line.add_column(width=_CHECK_WIDTH)
    line.add_column(overflow="fold")
    line.add_row(Text(mark, style=style), check.name, Text(check.found))
    if check.advice:
        line.add_row("", "", Text(check.advice, style=style))
    console.print(line)
