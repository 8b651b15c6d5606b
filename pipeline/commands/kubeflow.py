"""`overtile kubeflow`: compile, submit, schedule, run-local."""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline.console import console, errors, quietly
from pipeline.options import ConfigOption, DebugOption, JsonOption, SetOption, load

if TYPE_CHECKING:
    from kubeflow.runner import Compiled
    from pipeline.config import PipelineConfig

app = typer.Typer(
    help="Run the pipeline on Kubeflow Pipelines; see docs/kubeflow.md.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

PackageOption = Annotated[
    Path | None,
    typer.Option("--package", help="One that was compiled before. [default: compiled anew]"),
]
ParameterOption = Annotated[
    list[str],
    typer.Option(
        "-p",
        "--parameter",
        metavar="NAME=VALUE",
        help="In place of the package's: data_path, train_steps, min_mean_iou, workspace, "
        "metadata.",
    ),
]


@app.command("compile")
def compile_(
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    target: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The package. [default: NAME-kubeflow.yaml]"),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write the package that Kubeflow Pipelines runs."""
    with errors(as_json, debug):
        loaded, _ = load(config, settings, None)
        done = _compile(loaded, target or Path(f"{loaded.name}-kubeflow.yaml"))
        if as_json:
            print(json.dumps(done.to_json(), indent=2))
            return
        _say(
            f"Wrote {done.package}: {len(done.components)} components; parameters "
            f"{', '.join(done.parameters)}."
        )


@app.command()
def submit(
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    package: PackageOption = None,
    parameters: ParameterOption = [],  # noqa: B006 - typer copies it
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Start one run on the cluster."""
    with errors(as_json, debug):
        from kubeflow import schedule
        from kubeflow.parameters import parse

        # What is wrong is said before a minute of compiling.
        given = parse(parameters)
        loaded, _ = load(config, settings, None)
        schedule.host(loaded)
        with _package(loaded, package) as file, quietly(loaded.workspace, "kubeflow") as display:
            display.begin("Submit")
            done = schedule.submit(loaded, file, given)
            display.end("done")
        if as_json:
            print(json.dumps(done, indent=2))
        else:
            _say(f"Run {done['run']} in experiment {done['experiment']}: {done['url']}")


@app.command("schedule")
def schedule_(
    cron: Annotated[
        str, typer.Option(help="When: '30 3 * * *' is half past three every night, in UTC.")
    ],
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    package: PackageOption = None,
    parameters: ParameterOption = [],  # noqa: B006 - typer copies it
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run at certain times, in place of an earlier schedule."""
    with errors(as_json, debug):
        from kubeflow import schedule
        from kubeflow.parameters import parse

        # What is wrong is said before a minute of compiling.
        schedule.cron_expression(cron)
        given = parse(parameters)
        loaded, _ = load(config, settings, None)
        schedule.host(loaded)
        with _package(loaded, package) as file, quietly(loaded.workspace, "kubeflow") as display:
            display.begin("Schedule")
            done = schedule.schedule(loaded, file, given, cron)
            display.end("done")
        if as_json:
            print(json.dumps(done, indent=2))
        else:
            replaced = " in place of the one before" if done["replaced"] else ""
            _say(
                f"Scheduled {loaded.name} at '{done['cron']}' (seconds first){replaced}: "
                f"{done['url']}"
            )


@app.command("run-local")
def run_local(
    package: Annotated[Path, typer.Argument(help="What `overtile kubeflow compile` wrote.")],
    parameters: ParameterOption = [],  # noqa: B006 - typer copies it
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run a package here, each component in its own process."""
    with errors(as_json, debug):
        from kubeflow import local
        from kubeflow.parameters import parse
        from pipeline import summary

        signal.signal(signal.SIGTERM, signal.default_int_handler)
        result = local.run(package, parse(parameters), debug)
        if as_json:
            print(json.dumps(result.to_json(), indent=2))
        else:
            summary.show_run(console(), result)
    raise typer.Exit(result.exit_code)


def _compile(config: PipelineConfig, target: Path) -> Compiled:
    """Compiles, and says what looks like an oversight."""
    with quietly(config.workspace, "kubeflow") as display:
        display.begin("Compile", "loading TensorFlow and TFX")
        from kubeflow import runner

        done = runner.compile_package(config, target)
        display.end("done")
    for note in done.notes:
        console(stderr=True).print(note, style="yellow", highlight=False, soft_wrap=True)
    return done


@contextmanager
def _package(config: PipelineConfig, package: Path | None) -> Iterator[Path]:
    """The package that is named, or one that is compiled for the moment."""
    if package is not None:
        from kubeflow.package import read

        read(package)
        yield package
        return
    with tempfile.TemporaryDirectory() as folder:
        yield _compile(config, Path(folder) / f"{config.name}.yaml").package


def _say(text: Any) -> None:
    console().print(text, highlight=False, markup=False, soft_wrap=True)
