"""Slices: metrics on the images of one value of an attribute."""

from __future__ import annotations

from collections.abc import Mapping

from components.records import ATTRIBUTE


def name(features: Mapping[str, str]) -> str:
    """How people are told of a slice.

    >>> name({"attribute/site": "A"})
    'site=A'
    >>> name({})
    ''

    Args:
      features: the records' features that it is made of, with their values.
    """
    return ", ".join(
        f"{feature.removeprefix(ATTRIBUTE)}={value}" for feature, value in features.items()
    )
