import io

from rich.console import Console

from pipeline import summary
from pipeline.runs import Result


def shown(result: Result, width: int = 80) -> list[str]:
    out = io.StringIO()
    summary.show_run(Console(file=out, width=width), result)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_a_refused_run() -> None:
    result = Result(
        "a",
        "now",
        status="refused",
        verdict="refused",
        metrics={"mean_iou": 0.4125, "iou/sky": 0.8, "dice/sky": 0.89},
        baseline={"mean_iou": 0.5, "iou/sky": 0.75, "iou/road": 0.25},
        gate=[
            {"rule": "min_mean_iou", "metric": "mean_iou", "limit": 0.3, "passed": True,
             "sentence": "mean_iou 0.412 reaches 0.300 (evaluate.min_mean_iou)"},
            {"rule": "min_iou.road", "metric": "iou/road", "limit": 0.1, "passed": False,
             "sentence": "iou/road undefined is below 0.100 (evaluate.min_iou.road)"},
            {"rule": "max_drop", "metric": "mean_iou", "limit": 0.5, "passed": False,
             "sentence": "mean_iou 0.412 is below 0.500 (evaluate.max_drop)"},
        ],
        serving={"path": "/s/7", "version": "7"},
        set_aside=[{"file": "images/[a].png", "reason": "empty file"}],
        seconds={"Start": 20.0, "Trainer": 60.4},
        cached=["Transform"],
        log="/w/logs/a.log",
        error="The model was not pushed: iou/road undefined is below 0.100.",
    )  # fmt: skip
    lines = shown(result)
    # The road is in nobody's labels: no IoU, though a baseline and a floor. The limit that comes
    # from the baseline is no floor.
    assert [line.split() for line in lines[1:5]] == [
        ["class", "IoU", "baseline", "floor"],
        ["sky", "0.800", "0.750"],
        ["road", "-", "0.250", "0.100"],
        ["mean", "0.412", "0.500", "0.300"],
    ]
    assert lines[6] == "✓ mean_iou 0.412 reaches 0.300 (evaluate.min_mean_iou)"
    assert lines[7].startswith("✗ iou/road undefined")
    assert "  images/[a].png  empty file" in lines
    assert lines[-2] == (
        "The model was not pushed: iou/road undefined is below 0.100. Version 7 goes on serving."
    )
    assert lines[-1] == "1:20, 1 component from cache; log /w/logs/a.log"


def test_what_became_of_the_model() -> None:
    version = {"path": "/s/7", "version": "7"}
    pushed = Result("a", "now", status="pushed", verdict="pushed", pushed=version)
    assert shown(pushed)[-2] == "Pushed version 7 to /s/7"
    unchanged = Result("a", "now", status="unchanged", verdict="unchanged", earlier=version)
    assert shown(unchanged)[-2] == "Unchanged: an earlier run pushed this model as version 7"


def test_where_the_report_is() -> None:
    told = Result("a", "now", status="pushed", verdict="pushed", report="/w/[x]/a.html", log="/l")
    assert shown(told)[-2:] == ["Report: /w/[x]/a.html", "0.0 s; log /l"]


def test_past_runs() -> None:
    out = io.StringIO()
    done = Result("b", "now", status="pushed", metrics={"mean_iou": 0.9}, seconds={"Trainer": 62.0},
                  pushed={"path": "/s/7", "version": "7"})  # fmt: skip
    summary.show_past(Console(file=out, width=80), [Result("a", "now", status="killed"), done])
    assert [line.split() for line in out.getvalue().splitlines()] == [
        ["run", "status", "mean", "IoU", "duration", "version"],
        ["a", "killed"],
        ["b", "pushed", "0.900", "1:02", "7"],
    ]


def test_what_is_worth_a_look_in_the_data() -> None:
    finding = {"check": "one_colour", "sentence": "train has 1 of 9 images of one colour: [a]."}
    result = Result("a", "now", status="pushed", verdict="pushed", findings=[finding])
    lines = shown(result)
    assert "Worth a look in the data:" in lines
    assert "  checks.one_colour  train has 1 of 9 images of one colour: [a]." in lines
