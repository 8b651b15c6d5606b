"""Classes from the names that a data set itself gives to what it labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.errors import InputError
from components.image_example_gen.config import Value
from components.image_example_gen.shapes import BACKGROUND
from components.records import IGNORE
from pipeline.guessing import IGNORED_NAMES, Meaning

_BACKGROUND = "background"


def meaning(labels: Sequence[tuple[str, Value]], values: Mapping[Value, int]) -> Meaning | None:
    """The classes, background first; None where masks hold values that have no name.

    Args:
      labels: names and values, in the order that the data set gives them.
      values: pixels of each value.

    Raises:
      InputError: there are more classes than a record can hold.
    """
    strange = values.keys() - {value for _, value in labels}
    if strange - {IGNORE}:
        return None
    classes: dict[str, tuple[Value, ...]] = {}
    ignore: list[Value] = [*strange]
    if len(labels) > IGNORE:
        labels = [(name, value) for name, value in labels if value in values]
    for name, value in labels:
        if IGNORED_NAMES.fullmatch(name):
            ignore.append(value)
            continue
        plain = _BACKGROUND if name == BACKGROUND else name
        classes[plain] = (*classes.get(plain, ()), value)
    if len(classes) > IGNORE:
        raise InputError(
            f"{len(classes)} labels, but at most {IGNORE} classes: list those you want in "
            "data.classes, and the others beside them or in data.ignore."
        )
    first = {name: found for name, found in classes.items() if name == _BACKGROUND}
    return Meaning({**first, **classes}, tuple(ignore), given=True)
