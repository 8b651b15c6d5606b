"""Spans: labelled data that keeps coming, each delivery in a folder or a manifest of its own.

A span is whole once its marker file is there; until then nobody looks at it. Which spans there are
is found here and nowhere else, so that another way of listing them needs no change elsewhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from components.errors import InputError
from components.image_example_gen import sources
from components.image_example_gen.config import SPAN, DataConfig, SpansConfig
from components.image_example_gen.fingerprint import fingerprint
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.measuring import DIGESTS


class Span(NamedTuple):
    """One delivery of labelled images.

    Attributes:
      number: orders the spans, and is never given twice.
      name: of its folder below `data.path`, or of its manifest without the ending.
      fingerprint: changes with its content; empty where that was not looked at.
      manifest: name of the file below `data.path` that lists it; empty where it is a folder.
    """

    number: int
    name: str
    fingerprint: str = ""
    manifest: str = ""


class Found(NamedTuple):
    """What lies below `data.path`.

    Attributes:
      whole: the spans that have their marker, by number.
      waiting: names of those that do not.
    """

    whole: list[Span]
    waiting: list[str]


def find(data: DataConfig) -> Found:
    """The spans that there are, without a look into them.

    Raises:
      InputError: there is no folder `data.path`, or two spans have one number.
    """
    spans = _section(data)
    expression = re.compile(re.escape(spans.pattern).replace(re.escape(SPAN), r"(\d+)"))
    listed = _is_manifest(spans.pattern)
    paths: dict[int, Path] = {}
    for path in sorted(sources.folder(data).iterdir()):
        match = expression.fullmatch(path.name)
        if match is None or not (path.is_file() if listed else path.is_dir()):
            continue
        number = int(match[1])
        if number in paths:
            raise InputError(
                f"{data.path} has two spans of number {number}, {paths[number].name} and "
                f"{path.name}: rename one of them."
            )
        paths[number] = path
    whole, waiting = [], []
    for number, path in sorted(paths.items()):
        if _marker(path, spans.marker, listed).exists():
            whole.append(
                Span(number, path.stem, manifest=path.name) if listed else Span(number, path.name)
            )
        else:
            waiting.append(path.name)
    return Found(whole, waiting)


def recognise(path: Path) -> SpansConfig | None:
    """The section that finds spans in a folder, or None where none has a marker."""
    marker = SpansConfig().marker
    for folder in sorted(path.iterdir()):
        numbered = re.fullmatch(r"(.*?)\d+(\D*)", folder.name)
        listed = _is_manifest(folder.name)
        if numbered and _marker(folder, marker, listed).exists():
            return SpansConfig(pattern=f"{numbered[1]}{SPAN}{numbered[2]}")
    return None


def _is_manifest(name: str) -> bool:
    """Whether a span of this name, or pattern, is a manifest and no folder."""
    return Path(name).suffix.lower() in (".csv", ".tsv", ".jsonl", ".ndjson")


def _marker(span: Path, marker: str, listed: bool) -> Path:
    """The file that says that a span is whole: in its folder, or beside its manifest."""
    return span.with_name(span.name + marker) if listed else span / marker


def first(data: DataConfig) -> Span:
    """The whole span of the lowest number.

    Raises:
      InputError: no span is whole.
    """
    found = find(data)
    if found.whole:
        return found.whole[0]
    spans = _section(data)
    listed = _is_manifest(spans.pattern)
    if found.waiting:
        wait = "waits" if len(found.waiting) == 1 else "wait"
        raise InputError(
            f"No span in {data.path} is whole: {', '.join(found.waiting)} {wait} for the file "
            f"{found.waiting[0] if listed else ''}{spans.marker}; make it when all images and "
            "masks are there."
        )
    if listed:
        one = spans.pattern.replace(SPAN, "1")
        raise InputError(
            f"{data.path} has no manifest {spans.pattern}: list the first labelled images in {one} "
            f"and make a file {one}{spans.marker} beside it, or set data.spans.pattern to the "
            "names of your manifests."
        )
    raise InputError(
        f"{data.path} has no folder {spans.pattern}: put the first labelled images into "
        f"{spans.pattern.replace(SPAN, '1')} and make a file {spans.marker} there, or set "
        "data.spans.pattern to the names of your folders."
    )


def within(data: DataConfig, span: Span) -> DataConfig:
    """The section that describes one span alone, as if it were the whole data set."""
    assert data.path is not None
    if span.manifest:
        own: dict[str, Any] = {"format": "manifest", "manifest": span.manifest}
    else:
        own = {"path": data.path / span.name}
    return data.model_copy(update={**own, "spans": None})


def one_of(data: DataConfig) -> DataConfig:
    """The section of a single data set: of the first span, or `data` itself without spans.

    Raises:
      InputError: no span is whole.
    """
    return within(data, first(data)) if data.spans else data


def look(data: DataConfig, span: Span) -> Span:
    """The span with its fingerprint.

    Raises:
      InputError: it holds no data set; names the span.
    """
    try:
        return span._replace(fingerprint=fingerprint(within(data, span)))
    except InputError as error:
        raise InputError(f"{span.name}: {error}") from None


def state(data: DataConfig) -> dict[str, str]:
    """Names and fingerprints of the spans that a run would look at; it changes when one does.

    Raises:
      InputError: as `find`.
    """
    seen = {}
    for span in needed(find(data).whole, _section(data).window, frozen=False):
        try:
            seen[span.name] = look(data, span).fingerprint
        except InputError as error:
            seen[span.name] = str(error)  # a run will say it; once it is mended it is news
    return seen


def needed(whole: Sequence[Span], window: int, frozen: bool) -> list[Span]:
    """The spans that a run has to know: the window's, and the first, if it is to evaluate.

    Args:
      whole: by number.
      window: how many train.
      frozen: whether there is an evaluation set already.
    """
    last = list(whole[-window:])
    return last if frozen or not whole or whole[0] in last else [whole[0], *last]


def pending(looked_at: Sequence[Span], settled: Mapping[int, str]) -> list[Span]:
    """Those whose present content has not been ingested and judged.

    Args:
      looked_at: the spans that are needed.
      settled: the fingerprint of each number's records.
    """
    return [span for span in looked_at if settled.get(span.number) != span.fingerprint]


@dataclasses.dataclass(frozen=True)
class Request:
    """What one execution ingests; the driver decides it, the executor and TFX's cache obey.

    Attributes:
      spans: to be read, by number.
      frozen: folder of the evaluation set's records; empty where the first of `spans` is to be
        split and makes it.
      before: folder of the records of the span before the first of `spans`; empty where there is
        none.
    """

    spans: tuple[Span, ...]
    frozen: str = ""
    before: str = ""

    def to_json(self) -> str:
        """`from_json` reads it."""
        return json.dumps({"spans": self.spans, "frozen": self.frozen, "before": self.before})

    @classmethod
    def from_json(cls, text: str) -> Request:
        """What `to_json` wrote."""
        values = json.loads(text)
        return cls(
            tuple(Span(*span) for span in values["spans"]),
            values["frozen"],
            values.get("before", ""),
        )


def recipe(data: DataConfig, ingest: IngestConfig) -> str:
    """A digest of what, beside the files, decides the records; other records are not mixed in."""
    told = [
        data.model_dump(mode="json", exclude={"colours", "spans"}),
        ingest.model_dump(mode="json", exclude={"bad_input_limit"}),
        DIGESTS,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _section(data: DataConfig) -> SpansConfig:
    assert data.spans is not None, "only a data set of spans has some"
    return data.spans


# What an Examples artifact of a span says of itself in ML Metadata, beside TFX's own `span`.
KIND, RECIPE, NAME, REQUEST = "kind", "recipe", "span_name", "request"
TRAINS, EVALUATES = "train", "evaluate"
