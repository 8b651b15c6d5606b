"""`overtile augment --preview`: training tiles as augmentation changes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from components.errors import InputError
from pipeline.console import console, errors, quietly
from pipeline.options import ConfigOption, DebugOption, JsonOption, SetOption, load


def augment(
    preview: Annotated[
        bool, typer.Option("--preview", help="Write the sheet; all there is to do, so implied.")
    ] = True,
    config: ConfigOption = None,
    settings: SetOption = [],  # noqa: B006 - typer copies it
    target: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE.png", help="The sheet to write.")
    ] = Path("augmentation.png"),
    tiles: Annotated[int, typer.Option(min=1, max=40, help="Tiles to show.")] = 4,
    variants: Annotated[int, typer.Option(min=1, max=20, help="Changes of each.")] = 6,
    as_json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """Show training tiles as augmentation changes them, on one sheet."""
    del preview
    with errors(as_json, debug):
        if target.suffix.lower() != ".png":
            raise InputError(f"-o {target}: the sheet is a PNG file; give it a name in .png.")
        loaded, _ = load(config, settings, None)
        with quietly(loaded.workspace, "augment") as display:
            display.begin("Change tiles", "loading TensorFlow")
            from pipeline import contact_sheet, overlay
            from pipeline import preview as previewing

            found = previewing.preview(loaded, tiles, variants)
            sheet = contact_sheet.draw(
                found, loaded.augment, loaded.train.crop, loaded.data.colours, loaded.name
            )
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                overlay.write_png(target, sheet)
            except OSError as error:
                raise InputError(f"{target} cannot be written: {error.strerror}.") from None
            display.end("done")
        told = {
            "sheet": str(target),
            "read_from": found.read_from,
            "tiles": [{"image": shown.name, "tile": list(shown.tile)} for shown in found.shown],
            "variants": variants,
            "changes": contact_sheet.changes(loaded.augment),
        }
        if as_json:
            print(json.dumps(told, indent=2))
        else:
            console().print(
                f"{len(found.shown)} training tiles, each with {variants} changes: {target}",
                highlight=False,
                soft_wrap=True,
            )
