"""Writes the reference of overtile.yaml from the sections themselves.

python -m pipeline.reference > docs/configuration.md
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic import BaseModel

from pipeline.config import PipelineConfig
from trainer.models import registry

_INTRODUCTION = """\
# overtile.yaml

Written by `python -m pipeline.reference`; a test compares. Every key has a default. An unknown key
is an error, and so is a value that is not allowed; the message names the key, the value and what is
allowed. On the command line `--set KEY=VALUE` replaces a key for one run: `--set train.steps=500`.
"""


def markdown() -> str:
    """The reference, a table a section."""
    parts = [_INTRODUCTION]
    rows, sections = [], []
    for name, field in PipelineConfig.model_fields.items():
        section: Any = field.annotation
        if _is_section(section):
            sections.append((name, section))
        else:
            rows.append(_row(name, field))
    parts.append(_table("At the top", "", rows))
    for name, section in sections:
        parts.append(_table(f"`{name}`", section.__doc__ or "", _rows(section)))
    for name in registry.NAMES:
        options = registry.options(name, {})
        title = f"`model.options` of `{name}`"
        parts.append(_table(title, type(options).__doc__ or "", _rows(type(options))))
    return "\n".join(parts)


def _rows(section: type[BaseModel], prefix: str = "") -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        part: Any = field.annotation
        if _is_section(part):
            rows += _rows(part, f"{prefix}{name}.")
        else:
            rows.append(_row(prefix + name, field))
            if type(None) in get_args(part):
                for optional in filter(_is_section, get_args(part)):
                    rows += _rows(optional, f"{prefix}{name}.")
    return rows


def _row(name: str, field: Any) -> str:
    default = field.get_default(call_default_factory=True)
    shown = "" if default in (None, (), {}, "") else f"`{_plain(default)}`"
    if field.is_required():
        shown = "to be given"
    description = f"{field.description or ''}{_choices(field.annotation)}"
    return f"| `{name}` | {shown} | {description.replace('|', '/')} |"


def _choices(annotation: Any) -> str:
    words = [word for word in get_args(annotation) if isinstance(word, str)]
    return f" ({', '.join(words)})" if words else ""


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_plain(part)}" for key, part in value.items())
    if isinstance(value, BaseModel):
        return f"{{{_plain(value.model_dump())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _table(title: str, text: str, rows: list[str]) -> str:
    paragraphs = re.sub(r"\n +", "\n", text.strip())
    head = f"## {title}\n\n{paragraphs}\n\n" if paragraphs else f"## {title}\n\n"
    return head + "\n".join(["| key | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


if __name__ == "__main__":
    print(markdown(), end="")
