"""What there is to tell of each architecture before it is trained."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.models import registry

_WORDS = {"bool": "true | false", "int": "whole number", "float": "number", "str": "text"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One thing that an architecture lets you choose.

    Attributes:
      name: its key below `model.options`; `section.key` of one in a section of its own.
      default: what it is where nothing is said.
      allowed: the values that there are, or their kind.
      meaning: what it does.
    """

    name: str
    default: Any
    allowed: str
    meaning: str


def summary(name: str) -> str:
    """The first paragraph of an architecture's module: what it is, and its paper."""
    return " ".join(registry.document(name).split("\n\n")[0].split())


def details(name: str) -> str:
    """The rest of what the module says of itself, a paragraph a line."""
    paragraphs = registry.document(name).split("\n\n")[1:]
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def options(name: str) -> list[Option]:
    """The options of an architecture, in their order."""
    return list(_options(registry.options(name, {})))


def _options(values: BaseModel, within: str = "") -> Iterator[Option]:
    for key, field in type(values).model_fields.items():
        value = getattr(values, key)
        if isinstance(value, BaseModel):
            yield from _options(value, f"{within}{key}.")
        else:
            default = list(value) if isinstance(value, tuple) else value
            yield Option(within + key, default, _allowed(field), field.description or "")


def _allowed(field: FieldInfo) -> str:
    kind = field.annotation
    if get_origin(kind) is Literal:
        return " | ".join(str(value) for value in get_args(kind))
    if get_origin(kind) in (tuple, list):
        return "list"
    if get_args(kind):  # `X | None`
        (kind, *_) = (one for one in get_args(kind) if one is not type(None))
    return _WORDS.get(getattr(kind, "__name__", ""), "text")
