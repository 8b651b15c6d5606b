"""Reads a page back, so that tests see what a browser would."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

_VOID = {"meta", "link", "img", "br", "wbr", "line", "polyline", "circle", "path"}


@dataclasses.dataclass
class Element:
    """One element: its name, attributes, and the text below it."""

    tag: str
    attributes: dict[str, str]
    text: str = ""


class Page(HTMLParser):
    """The elements of a page, in order.

    Attributes:
      elements: all of them.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {[element.tag for element in self._open]}"

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of a name with these attributes; `class_` stands for `class`."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            element
            for element in self.elements
            if element.tag == tag and wanted.items() <= element.attributes.items()
        ]

    def text(self, tag: str, **attributes: str) -> str:
        """The text of the one such element, its white space made even."""
        (element,) = self.all(tag, **attributes)
        return " ".join(element.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> inside <{self._open[-1].tag}>"
        self._open.pop()
        if tag in ("td", "th"):
            self.handle_data(" ")  # the next cell begins another word

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data
