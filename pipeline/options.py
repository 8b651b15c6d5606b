"""The options that subcommands share, and the configuration that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from components.errors import InputError

if TYPE_CHECKING:
    from pipeline.config import PipelineConfig

DEFAULT_CONFIG = Path("overtile.yaml")

ConfigOption = Annotated[
    Path | None, typer.Option("-c", "--config", help="[default: overtile.yaml]")
]
SetOption = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="In place of the file's: train.steps=100."),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object, for machines, and nothing else.")
]
DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
ModelOption = Annotated[
    Path | None,
    typer.Option("--model", help="A model's folder. [default: the newest pushed version]"),
]


def load(
    config: Path | None, settings: list[str], data: str | None
) -> tuple[PipelineConfig, Path | None]:
    """The configuration, and its file if it has one."""
    from components.places import place
    from pipeline import config as configuration

    overrides = dict(map(_setting, settings))
    if data is not None:
        overrides["data.path"] = str(place(data).absolute())
        if config is None:
            return configuration.parse({}, Path.cwd(), "the options", overrides), None
    file = config or DEFAULT_CONFIG
    return configuration.load(file, overrides), file


def load_for_model(config: Path | None, model: Path | None) -> PipelineConfig | None:
    """The configuration; none where a model is named and no configuration is."""
    if model is not None and config is None:
        return None
    return load(config, [], None)[0]


def model_folder(config: PipelineConfig | None, model: Path | None) -> Path:
    """Where the model is: the folder that --model names, or else the newest pushed version.

    Raises:
      InputError: nothing was pushed yet.
    """
    from pipeline import pushed

    if model is not None:
        return model
    assert config is not None, "load_for_model leaves it out only beside --model"
    return pushed.find(config.serving)


def _setting(text: str) -> tuple[str, Any]:
    import yaml

    key, equals, value = text.partition("=")
    if not key or not equals:
        raise InputError(f"--set {text}: write it as --set train.steps=100.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise InputError(f"--set {text}: {value} is not a YAML value.") from None
