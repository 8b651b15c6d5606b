"""Draws the sheet of tiles and their changes that `overtile augment --preview` writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from components.display import TAILS, Colour, colours
from components.records import IGNORE
from pipeline import overlay

if TYPE_CHECKING:
    from pipeline.preview import Preview, Shown
    from trainer.config import AugmentConfig

_CELL, _GAP, _MARGIN, _LINE = 192, 6, 20, 22
_INK, _FAINT, _PAPER = (32, 32, 32), (110, 110, 110), (255, 255, 255)
# Ignored pixels are greyed and hatched, since a class may have any colour.
_HATCH, _HATCH_WIDTH, _GREY = 8, 2, 90

_UNITS = {
    "rotation": "±{:g}°",
    "scale": "up to {:g} times",
    "shear": "±{:g}°",
    "brightness": "±{:g} deviations",
    "contrast": "±{:.0%}",
    "gamma": "up to {:g}",
    "blur": "up to {:g} px",
    "noise": "up to {:g} deviations",
}


def changes(augment: AugmentConfig) -> list[str]:
    """What is on, a phrase each, with `strength` multiplied in."""
    amounts = augment.amounts()
    told = []
    if amounts.flip:
        told.append("flip" if amounts.flip is True else f"flip {amounts.flip}".replace("_", "-"))
    if amounts.quarter_turns:
        told.append("quarter turns")
    if amounts.elastic:
        told.append(f"elastic ({amounts.elastic_sigma:g} px)")
    for name, unit in _UNITS.items():
        if value := getattr(amounts, name):
            shown = 1 + value if name in ("scale", "gamma") else value
            told.append(f"{name} ({unit.format(shown)})")
    return told


def draw(
    found: Preview, augment: AugmentConfig, crop: int | None, chosen: Mapping[str, str], name: str
) -> np.ndarray:
    """The sheet.

    Args:
      found: the tiles, at least one.
      augment: what changed them.
      crop: side of the squares that were cut from them, if any were.
      chosen: colours of classes as #rrggbb, for some of them.
      name: of the pipeline.

    Returns:
      uint8 [H, W, 3]; red, green, blue.
    """
    palette = colours(found.layout.classes, chosen)
    weighted = any(shown.weights for shown in found.shown)
    columns = len(found.shown[0].images)
    block = _LINE + (_CELL + _GAP) * (2 if weighted else 1) + _GAP
    width = 2 * _MARGIN + columns * _CELL + (columns - 1) * _GAP + 2 * _GAP
    told = _wrapped(
        [*([f"crop ({crop} px)"] if crop else []), *changes(augment)] or ["no changes"], width
    )
    top = _MARGIN + (1 + len(told)) * _LINE
    most = max(
        (float(weight.max()) for shown in found.shown for weight in shown.weights), default=0
    )
    legend = _legend(found.layout.classes, palette, most if weighted else None, width)
    bottom = top + len(found.shown) * block + _GAP
    sheet = Image.new("RGB", (width, bottom + legend.height + _MARGIN), _PAPER)
    pen = ImageDraw.Draw(sheet)
    title = f"{name}: training tiles, as they are and changed"
    pen.text((_MARGIN, _MARGIN - 6), title, _INK, _font(17))
    for line, text in enumerate(told):
        pen.text((_MARGIN, _MARGIN + (1 + line) * _LINE - 4), text, _FAINT, _font(13))

    for row, shown in enumerate(found.shown):
        y = top + row * block
        height, wide = shown.masks[0].shape
        where = f"{shown.name}, tile at {shown.tile[0]}, {shown.tile[1]}, {wide} x {height} px"
        pen.text((_MARGIN, y + 2), where, _FAINT, _font(13))
        for column, (image, mask) in enumerate(
            zip(_to_bytes(shown, found.layout.dtype), shown.masks)
        ):
            # The tile as it is stands a little apart from its changes.
            x = _MARGIN + column * (_CELL + _GAP) + (2 * _GAP if column else 0)
            tinted = _hatched(overlay.overlay(image, mask, palette), mask)
            sheet.paste(_cell(tinted), (x, y + _LINE))
            if weighted and shown.weights:
                heat = _heat(shown.weights[column], most)
                sheet.paste(_cell(_hatched(heat, mask)), (x, y + _LINE + _CELL + _GAP))
    sheet.paste(legend, (0, bottom))
    return np.asarray(sheet)


def _wrapped(phrases: Sequence[str], width: int) -> list[str]:
    """Phrases, with commas between them, in lines that fit into the sheet."""
    lines: list[str] = []
    for phrase in phrases:
        longer = f"{lines[-1]}, {phrase}" if lines else phrase
        if lines and _font(13).getlength(longer) <= width - 2 * _MARGIN:
            lines[-1] = longer
        else:
            lines.append(phrase)
    return lines


def _legend(
    classes: Sequence[str], palette: Sequence[Colour | None], most: float | None, width: int
) -> Image.Image:
    """What colours and hatching mean, in as many lines as that takes."""
    font, side = _font(13), 14
    ignored = _hatched(np.full((side, side, 3), 150), np.full((side, side), IGNORE))
    swatches = [np.full((side, side, 3), colour or _PAPER, np.uint8) for colour in palette]
    entries = [*zip(classes, swatches), ("ignored: it counts nowhere", ignored)]
    if most is not None:
        levels = np.tile(np.linspace(0, most, side), (side, 1))
        told = f"what pixels count beside their class, from 0 to {most:.3g}"
        entries.append((told, _heat(levels, most)))
    places, x, y = [], _MARGIN, 0
    for name, _ in entries:
        length = side + 6 + int(font.getlength(name))
        if x > _MARGIN and x + length > width - _MARGIN:
            x, y = _MARGIN, y + _LINE
        places.append((x, y))
        x += length + 18
    drawn = Image.new("RGB", (width, y + _LINE), _PAPER)
    pen = ImageDraw.Draw(drawn)
    for (name, swatch), (x, y) in zip(entries, places):
        drawn.paste(Image.fromarray(np.ascontiguousarray(swatch)), (x, y + 1))
        pen.rectangle((x, y + 1, x + side - 1, y + side), outline=_FAINT)
        pen.text((x + side + 6, y - 1), name, _INK, font)
    return drawn


def _to_bytes(shown: Shown, dtype: str) -> list[np.ndarray]:
    """uint8 images, all by the scale of the tile as it is, so that changes of light are seen."""
    low, high = 0.0, 255.0
    if dtype != "uint8":
        low, high = (float(np.percentile(shown.images[0], tail)) for tail in TAILS)
    factor = 255 / max(high - low, 1e-6)
    return [
        np.rint(np.clip((image - low) * factor, 0, 255)).astype(np.uint8) for image in shown.images
    ]


def _hatched(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """With what is ignored greyed and under slanting lines."""
    ignored = mask == IGNORE
    grey = (image.astype(np.float32) * 0.35 + _GREY * 0.65).astype(np.uint8)
    rows, columns = np.indices(mask.shape)
    # As wide on the sheet, whatever the tile's size.
    scale = max(max(mask.shape) / _CELL, 1 / 16)
    lines = ((rows + columns) / scale) % _HATCH < _HATCH_WIDTH
    hatched = np.where(lines[..., None], 200, grey)
    return np.where(ignored[..., None], hatched, image).astype(np.uint8)


def _heat(weight: np.ndarray, most: float) -> np.ndarray:
    levels = np.rint(np.clip(weight / max(most, 1e-6), 0, 1) * 255).astype(np.uint8)
    return cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]


def _cell(image: np.ndarray) -> Image.Image:
    """Within `_CELL` pixels a side."""
    height, width = image.shape[:2]
    scale = _CELL / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    return Image.fromarray(cv2.resize(np.ascontiguousarray(image), size, interpolation=how))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
