"""The `overtile` command. Imports nothing heavy until a subcommand needs it.

Exit codes: 0 done; 1 failed; 2 bad usage, configuration or input; 3 the model was not good enough
to be pushed; 130 stopped by hand.
"""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import InputError
from pipeline.commands import augment, compare, kubeflow, models, report, serving, watch
from pipeline.console import console, errors, quietly
from pipeline.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    DebugOption,
    JsonOption,
    ModelOption,
    SetOption,
    load,
    load_for_model,
    model_folder,
)

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from pipeline.predict import Segmenter
    from pipeline.runs import Result

app = typer.Typer(
    help="From labelled images to a served segmentation model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time, and reads as well
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """The entry point."""
    app(prog_name="overtile")


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where it is made.")] = Path("demo"),
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Run the whole pipeline on a small data set made for it."""
    with errors(as_json, debug):
        from pipeline import config as configuration
        from pipeline import demo as synthetic

        file, unlabelled = synthetic.write(folder)
        config = configuration.load(file)
        result = _run(config, file, debug)
        values: dict[str, Any] = result.to_json()
        if result.serving:
            told = _predict(config, None, [unlabelled], folder / "prediction")
            values["prediction"] = told["predictions"][0]
            values["served"] = serving.serve_once(config, unlabelled, values["prediction"]["mask"])
        text = json.dumps(values, indent=2)
        (folder / "result.json").write_text(text + "\n")
        if as_json:
            print(text)
        else:
            from pipeline import summary

            screen = console()
            summary.show_run(screen, result)
            if "prediction" in values:
                overlay = summary.short(values["prediction"]["overlay"])
                screen.print(
                    f"Prediction of an image it has not seen: {overlay}",
                    highlight=False,
                    soft_wrap=True,
                )
                told_served = serving.describe(values["served"], file)
                screen.print(told_served, highlight=False, soft_wrap=True)
    raise typer.Exit(result.exit_code)


@app.command()
def init(
    data: Annotated[
        str, typer.Argument(help="A folder of images and masks, or its URL: gs://bucket/folder.")
    ],
    target: Annotated[
        Path, typer.Option("-o", "--output", help="The configuration to write.")
    ] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace one that is there.")] = False,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Look at a data set and write a first overtile.yaml."""
    with errors(as_json, debug):
        from components.places import place
        from pipeline import planning

        if target.exists() and not force:  # before the data is looked at, which takes a while
            raise InputError(f"{target} exists already; --force replaces it, -o names another.")
        # Beam's filesystems take seconds to import, and their libraries warn of each other.
        with quietly(None, "init") as display:
            display.begin("Look at the data", data)
            findings = planning.inspect(place(data))
            display.end("done")
        planning.write_config(findings, target, overwrite=force)
        if as_json:
            print(json.dumps({**findings.to_json(), "config": str(target)}, indent=2))
            return
        screen = console()
        screen.print(planning.render(findings))
        option = "" if target == DEFAULT_CONFIG else f" -c {target}"
        screen.print(
            f"\nWrote {target}: look at the classes, then `overtile run{option}`.",
            highlight=False,
            soft_wrap=True,
        )


@app.command()
def run(
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    data: Annotated[
        str | None,
        typer.Option(help="A data set; without -c, everything else is by default."),
    ] = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Train a model, and push it if it is good enough."""
    with errors(as_json, debug):
        loaded, file = load(config, settings, data)
        result = _run(loaded, file, debug)
        if as_json:
            print(json.dumps(result.to_json(), indent=2))
        else:
            from pipeline import summary

            summary.show_run(console(), result)
    raise typer.Exit(result.exit_code)


app.command()(serving.serve)
app.add_typer(kubeflow.app, name="kubeflow")


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Images, or folders of them.")],
    out: Annotated[Path, typer.Option("-o", "--output", help="Folder of masks and overlays.")],
    config: ConfigOption = None,
    model: ModelOption = None,
    server: Annotated[
        str | None,
        typer.Option(help="Ask a served model: grpc://HOST:PORT or http://HOST:PORT."),
    ] = None,
    name: serving.NameOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Write masks and overlays, from a pushed model or a server."""
    with errors(as_json, debug):
        if server is None:
            loaded = load_for_model(config, model)
        else:
            loaded, name = serving.named(config, model, name)
        told = _predict(loaded, model, images, out, server, name)
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            from pipeline import summary

            screen = console()
            summary.show_set_aside(screen, told["set_aside"])
            done = len(told["predictions"])
            screen.print(
                f"{done} of {done + len(told['set_aside'])} images: "
                f"<name>_mask.png (class ids) and <name>_overlay.png in {out}",
                highlight=False,
                soft_wrap=True,
            )
    raise typer.Exit(2 if told["set_aside"] else 0)


@app.command()
def evaluate(
    config: ConfigOption = None,
    data: Annotated[
        str | None,
        typer.Option(help="Labelled images. [default: the configuration's eval split]"),
    ] = None,
    model: ModelOption = None,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Measure a pushed model on labelled images."""
    with errors(as_json, debug):
        loaded = load_for_model(config, model)
        if loaded is None and data is None:
            raise InputError("There is no configuration: name one by -c, or labels by --data.")
        with quietly(loaded.workspace if loaded else None, "evaluate") as display:
            display.begin("Load the model", "loading TensorFlow")
            from components.image_example_gen.config import DataConfig
            from components.image_example_gen.ingest_config import IngestConfig
            from components.places import place
            from pipeline import evaluate as evaluation
            from pipeline import pushed

            loaded_model = pushed.load(model_folder(loaded, model))
            display.end("done")
            display.begin("Evaluate")
            section = loaded.data if loaded else DataConfig()
            if data is not None:
                section = section.model_copy(update={"path": place(data).absolute()})
            ingest = loaded.ingest if loaded else IngestConfig()
            slices = loaded.evaluate.slices if loaded else ()
            found = evaluation.evaluate(loaded_model, section, ingest, data is not None, slices)
            display.end("done")
        if as_json:
            print(json.dumps(found.to_json(), indent=2))
        else:
            from pipeline import summary

            summary.show_evaluation(console(), found.to_json())


@app.command()
def runs(
    config: ConfigOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """List the past runs."""
    with errors(as_json, debug):
        from pipeline import runs as records

        loaded, _ = load(config, [], None)
        past = records.past(loaded.workspace)
        if as_json:
            print(json.dumps({"runs": [result.to_json() for result in past]}, indent=2))
        elif past:
            from pipeline import summary

            summary.show_past(console(), past)
        else:
            console().print(f"No run in {loaded.workspace} yet.", highlight=False, soft_wrap=True)


app.command()(augment.augment)
app.command()(report.report)
app.command()(watch.watch)
app.command()(models.models)
app.command()(compare.compare)


@app.command()
def doctor(
    config: ConfigOption = None, as_json: JsonOption = False, debug: DebugOption = False
) -> None:
    """Say what of this machine and installation is right and wrong."""
    with errors(as_json, debug):
        import dataclasses

        from pipeline import doctor as checks
        from pipeline import summary

        found = []
        screen = console()
        for check in checks.checks(config or DEFAULT_CONFIG, must_exist=config is not None):
            found.append(check)
            if not as_json:
                summary.show_check(screen, check)
        wrong = [check for check in found if check.state == "wrong"]
        if as_json:
            listed = [dataclasses.asdict(check) for check in found]
            print(json.dumps({"ok": not wrong, "checks": listed}, indent=2))
    raise typer.Exit(1 if wrong else 0)


def _run(config: PipelineConfig, file: Path | None, debug: bool) -> Result:
    from pipeline import local

    # A run that is told to end leaves a record that says so.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return local.run(config, file, debug)


def _predict(
    config: PipelineConfig | None,
    model: Path | None,
    images: list[Path],
    out: Path,
    server: str | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    with quietly(config.workspace if config else None, "predict") as display:
        if server is None:
            display.begin("Load the model", "loading TensorFlow")
        else:
            display.begin("Ask the server")
        from pipeline import predict as prediction

        loaded = _segmenter(config, model, server, name)
        display.end("done")
        display.begin("Predict")
        colours = config.data.colours if config else {}
        known = {name: colour for name, colour in colours.items() if name in loaded.layout.classes}
        written, bad = prediction.predict(loaded, images, out, known)
        display.end("done")
        return prediction.to_json(loaded, written, bad)


def _segmenter(
    config: PipelineConfig | None, model: Path | None, server: str | None, name: str | None
) -> Segmenter:
    """The served model where a server is named, else the pushed one."""
    if server is None:
        from pipeline import pushed

        return pushed.load(model_folder(config, model))
    from pipeline import served

    assert name is not None, "serving.named finds it or raises"
    return served.Served(server, name, list(config.data.classes) if config else [])
