"""`overtile serve`: a pushed model behind TensorFlow Serving's API, on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import InputError
from pipeline.console import errors, log_file, quietly
from pipeline.options import (
    DEFAULT_CONFIG,
    ConfigOption,
    DebugOption,
    JsonOption,
    ModelOption,
    load,
    load_for_model,
)

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig
    from serving.announcement import Announcement

NameOption = Annotated[
    str | None, typer.Option("--name", help="The model's name. [default: the configuration's]")
]
# What a browser's or a shell's user may send as it is.
_FILES = (".png", ".jpg", ".jpeg")


def serve(
    config: ConfigOption = None,
    model: ModelOption = None,
    name: NameOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    grpc_port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8500,
    rest_port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8501,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Serve the newest pushed model, and each newer one as it appears."""
    with errors(as_json, debug):
        from rich.console import Console

        from pipeline.progress import Display
        from pipeline.quiet import quiet

        loaded = load_for_model(config, model)
        folder, name = _what(loaded, model, name)
        from serving import ports
        from serving.errors import ServingError

        try:
            ports.check(host, grpc_port, rest_port)
            with contextlib.ExitStack() as stack:
                terminal = stack.enter_context(
                    quiet(log_file(loaded.workspace if loaded else None, "serve"))
                )
                with Display(Console(file=terminal.err)) as display:
                    display.begin("Load the model", "loading TensorFlow")
                    from serving import server

                    options = server.Options(name, folder, host, grpc_port, rest_port)
                    announcement = stack.enter_context(server.running(options))
                    ended = server.told_to_end()
                    display.end("done")
                if as_json:
                    told = announcement.to_json()
                else:
                    told = screen(announcement, name, folder, _example_image(loaded))
                print(told, file=terminal.out)
                ended.wait()
        except ServingError as error:
            raise InputError(error.message) from error


def named(
    config: Path | None, model: Path | None, name: str | None
) -> tuple[PipelineConfig | None, str]:
    """The configuration, if there is one, and the name of a model that is served somewhere.

    Raises:
      InputError: neither says the name.
    """
    if model is not None:
        raise InputError("--server asks a served model, --model loads one here: give one of them.")
    there = config is not None or DEFAULT_CONFIG.is_file()
    loaded = load(config, [], None)[0] if there else None
    if name is None and loaded is None:
        raise InputError("Name the served model by --name, or its configuration by -c.")
    return loaded, name or loaded.name  # type: ignore[union-attr]


def serve_once(config: PipelineConfig, image: Path, mask: str) -> dict[str, Any]:
    """`pipeline.served.compare` of the pushed model, while a person sees what is done."""
    with quietly(config.workspace, "serve") as display:
        display.begin("Serve", "a server of its own loads the model")
        from pipeline import served

        log = config.workspace / "logs" / "server.log"
        told = served.compare(config.serving, config.name, image, Path(mask), log)
        display.end("done")
    return told


def describe(served: dict[str, Any], config: Path) -> str:
    """What `serve_once` returned, in a line, and how to go on with it."""
    differing = max(served["differing"].values())
    same = (
        "the same mask"
        if not differing
        else f"a mask that differs in {differing:,} of {served['pixels']:,} pixels"
    )
    return (
        f"Served: version {served['version']} gives {same} by gRPC and by REST; "
        f"`overtile serve -c {config}` serves it to you."
    )


def screen(announcement: Announcement, name: str, folder: Path, image: Path | None) -> str:
    """What a person reads while the server runs.

    Args:
      announcement: where it listens.
      name: of the model.
      folder: that it watches.
      image: one to try it with; None leaves the place to be filled in.
    """
    url = f"{announcement.rest}/v1/models/{name}"
    file = shlex.quote(_near(image)) if image else "IMAGE.png"
    return f"""
Serving {name}, version {announcement.version}, of {_near(folder)}; a newer one takes its place \
as it appears.

  gRPC  grpc://{announcement.grpc}
  REST  {url}

Ask for the mask of {"this image" if image else "an image"}, in another terminal:

{curl(url, file)}

  overtile predict {file} -o masks --server {announcement.rest} --name {name}

Ctrl-C ends it."""


def curl(url: str, file: str) -> str:
    """A command that writes an image's mask as `mask.png`.

    Args:
      url: of the model.
      file: the image, quoted for the shell.
    """
    # By way of a pipe: an argument may have 128 KiB only.
    return f"""\
  (printf '{{"instances": [{{"b64": "'; base64 -w0 {file}; printf '"}}]}}') | \\
  curl -s -d @- {url}:predict | \\
  sed -n 's/.*"b64": "\\([^"]*\\)".*/\\1/p' | base64 -d > mask.png"""


def _what(config: PipelineConfig | None, model: Path | None, name: str | None) -> tuple[Path, str]:
    """The folder that is watched, and the model's name.

    Raises:
      InputError: nothing was pushed yet, or no name is known.
    """
    from pipeline import pushed

    if model is None:
        assert config is not None, "load_for_model leaves it out only beside --model"
        pushed.find(config.serving)
        return config.serving, name or config.name
    folder = model if (model / "saved_model.pb").is_file() else pushed.newest(model)
    if folder is None:
        raise InputError(f"{model} holds no model: no saved_model.pb and no version.")
    return model, name or (config.name if config else _own_name(folder))


def _own_name(folder: Path) -> str:
    """What the model was called when it was trained."""
    try:
        return str(json.loads((folder / "assets.extra" / "overtile.json").read_text())["name"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{folder} does not say what it is called: name it by --name.") from None


def _example_image(config: PipelineConfig | None) -> Path | None:
    """An image of the data set that a server can decode, if it has one."""
    from components.image_example_gen import sources, spans

    if config is None:
        return None
    try:
        data = spans.one_of(config.data)
        samples = sources.listing(data).samples
    except InputError:
        return None  # the data has moved; the model serves without it
    files = (Path(sample.image.path) for sample in samples if sample.image.page is None)
    return next((file for file in files if file.suffix.lower() in _FILES), None)


def _near(path: Path) -> str:
    """Relative to here where that is shorter."""
    relative = os.path.relpath(path)
    return min(str(path), relative, key=len)
