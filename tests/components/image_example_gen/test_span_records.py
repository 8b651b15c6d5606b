"""The records of spans: a frozen evaluation set, and nothing of it in training, ever."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from components.errors import InputError
from components.image_example_gen import duplicates, integrity, spans
from components.image_example_gen.config import SpansConfig
from components.image_example_gen.executor import Executor
from components.image_example_gen.frozen import Frozen
from components.image_example_gen.ingest_config import IngestConfig
from components.image_example_gen.spans import Request, Span
from tests.components.image_example_gen.conftest import data_of, make_pair

# Key `p1_x` is image x of patient 1; in the first span patient 2 evaluates.
KEYS: dict[str, Any] = {
    "group": r"^(p\d)_",
    "split": {"train": ("p1_*",), "eval": ("p2_*",)},
    "spans": SpansConfig(),
}
INGEST = IngestConfig(tile=64)


class Artifacts(NamedTuple):
    by_name: dict[str, Any]

    def folder(self, name: str) -> Path:
        return Path(self.by_name[name].uri)

    def sources(self, name: str, split: str) -> list[str]:
        files = sorted(map(str, (self.folder(name) / f"Split-{split}").iterdir()))
        assert files, "a reader wants a file, though it be empty"
        found = []
        for record in tf.data.TFRecordDataset(files):
            features = tf.train.Example.FromString(record.numpy()).features.feature
            found.append(
                f"{features['source'].bytes_list.value[0].decode()} "
                f"of {features['span'].int64_list.value[0]}"
            )
        return sorted(found)


def ingest(root: Path, request: Request, folder: Path) -> Artifacts:
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    skeleton = standard_artifacts.Examples()
    skeleton.uri = str(folder)
    artifacts = {"examples": [skeleton]}
    context = BaseBeamExecutor.Context(beam_pipeline_args=["--runner=FnApiRunner"])
    Executor(context).Do(
        {},
        artifacts,
        {
            "data": data_of(root, **KEYS).model_dump_json(exclude={"spans"}),
            "ingest": INGEST.model_dump_json(),
            "span": 0,
            "spans": request.to_json(),
        },
    )
    return Artifacts({Path(one.uri).name: one for one in artifacts["examples"]})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("spans")
    for seed, key in enumerate(("p1_a", "p1_b", "p2_a", "p2_b")):
        make_pair(root / "span-1", key, seed)
    # Of the first span's patients, and a new one; one image is a copy of one that evaluates, under
    # another name and another patient's.
    for seed, key in enumerate(("p1_a", "p2_c", "p3_a"), 10):
        make_pair(root / "span-2", key, seed)
    shutil.copy(root / "span-1/images/p2_b.png", root / "span-2/images/p3_copy.png")
    shutil.copy(root / "span-1/masks/p2_b.png", root / "span-2/masks/p3_copy.png")
    (root / "span-2/images/p3_bad.png").write_bytes(b"")
    shutil.copy(root / "span-1/masks/p2_b.png", root / "span-2/masks/p3_bad.png")
    return root


@pytest.fixture(scope="module")
def first(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    request = Request((Span(1, "span-1", "f1"),))
    return ingest(root, request, tmp_path_factory.mktemp("records") / "1")


def test_the_first_span_makes_the_evaluation_set(first: Artifacts) -> None:
    assert list(first.by_name) == ["span-1-evaluate", "span-1-train"]
    assert first.sources("span-1-train", "train") == ["span-1/p1_a of 1", "span-1/p1_b of 1"]
    assert first.sources("span-1-train", "eval") == []
    assert first.sources("span-1-evaluate", "eval") == ["span-1/p2_a of 1", "span-1/p2_b of 1"]
    assert first.sources("span-1-evaluate", "train") == []
    counts, set_aside = integrity.read(first.folder("span-1-train"))
    assert counts.used == {"train": 2, "eval": 2}
    assert set_aside == []


def test_the_artifacts_say_what_they_are(first: Artifacts) -> None:
    training, evaluation = (first.by_name[name] for name in ("span-1-train", "span-1-evaluate"))
    assert training.get_string_custom_property(spans.KIND) == spans.TRAINS
    assert evaluation.get_string_custom_property(spans.KIND) == spans.EVALUATES
    assert training.span == 1
    assert training.get_string_custom_property(spans.NAME) == "span-1"
    assert training.get_string_custom_property("input_fingerprint") == "f1"


def test_a_later_span_trains_but_for_what_evaluates(
    root: Path, first: Artifacts, tmp_path: Path
) -> None:
    frozen = first.folder("span-1-evaluate")
    hidden = root / "span-1"
    hidden.rename(root / "elsewhere")  # an old span is not read again
    try:
        request = Request((Span(2, "span-2", "f2"),), str(frozen))
        second = ingest(root, request, tmp_path / "2")
    finally:
        (root / "elsewhere").rename(hidden)
    assert list(second.by_name) == ["span-2-train"]
    # Lists of the split are about the first span: p3 is in neither and trains all the same.
    assert second.sources("span-2-train", "train") == ["span-2/p1_a of 2", "span-2/p3_a of 2"]
    assert second.sources("span-2-train", "eval") == []

    folder = second.folder("span-2-train")
    counts, set_aside = integrity.read(folder)
    # Five images: two train, one of patient 2 and one copy are held back, one is empty.
    assert (counts.images, counts.used["train"], counts.held_back, counts.set_aside) == (5, 2, 2, 1)
    assert [entry.file for entry in set_aside] == ["span-2/images/p3_bad.png"]
    held_back = {entry.file: entry.reason for entry in integrity.read_held_back(folder)}
    assert held_back == {
        "span-2/images/p2_c.png": "of the group p2, which evaluates since span-1",
        "span-2/images/p3_copy.png": "a copy of span-1/images/p2_b.png, which evaluates",
    }


def test_several_spans_at_once(root: Path, tmp_path: Path) -> None:
    request = Request((Span(1, "span-1", "f1"), Span(2, "span-2", "f2")))
    both = ingest(root, request, tmp_path / "3")
    assert list(both.by_name) == ["span-1-evaluate", "span-1-train", "span-2-train"]
    # As if the second had come later.
    assert both.sources("span-2-train", "train") == ["span-2/p1_a of 2", "span-2/p3_a of 2"]


def test_too_much_bad_input_names_the_span(root: Path, first: Artifacts, tmp_path: Path) -> None:
    broken = tmp_path / "data"
    shutil.copytree(root / "span-2", broken / "span-3")
    for key in ("p1_a", "p3_a"):
        (broken / f"span-3/images/{key}.png").write_bytes(b"")
    request = Request((Span(3, "span-3", "f3"),), str(first.folder("span-1-evaluate")))
    with pytest.raises(InputError, match=r"^span-3: 3 bad files among 5 images") as raised:
        ingest(broken, request, tmp_path / "4")
    assert [bad.file for bad in raised.value.set_aside] == [
        "span-3/images/p1_a.png",
        "span-3/images/p3_a.png",
        "span-3/images/p3_bad.png",
    ]
    # It outlives the execution's folder, which TFX removes.
    assert (tmp_path / "4.set_aside.jsonl").is_file()


def test_why_an_image_is_held_back() -> None:
    frozen = Frozen("span-1", frozenset({"p2"}), {"00ff": "span-1/images/x.png"})
    assert frozen.why_held_back("p3", "00ff") == "a copy of span-1/images/x.png, which evaluates"
    assert frozen.why_held_back("p2", "1234") == "of the group p2, which evaluates since span-1"
    assert frozen.why_held_back("p3", "1234") is None


def test_pixels_of_the_evaluation_set_never_train(root: Path, tmp_path: Path) -> None:
    first = ingest(root, Request((Span(1, "span-1", "f1"),)), tmp_path / "first")
    evaluation = first.folder("span-1-evaluate")
    later = tmp_path / "labels"
    for seed, key in enumerate(("p4_a", "p4_b", "p4_c"), 40):
        make_pair(later / "span-2", key, seed)
    # The same picture in another format, and one that only looks the same.
    evaluated = Image.open(root / "span-1/images/p2_a.png")
    evaluated.save(later / "span-2/images/p4_b.bmp")
    (later / "span-2/images/p4_b.png").unlink()
    darker = (np.asarray(evaluated) * 0.8).astype(np.uint8)
    Image.fromarray(darker).save(later / "span-2/images/p4_c.png")

    request = Request((Span(2, "span-2", "f2"),), frozen=str(evaluation))
    made = ingest(later, request, tmp_path / "second")
    assert made.sources("span-2-train", "train") == ["span-2/p4_a of 2", "span-2/p4_c of 2"]
    folder = made.folder("span-2-train")
    (held,) = integrity.read_held_back(folder)
    assert (held.file, held.reason) == (
        "span-2/images/p4_b.bmp",
        "has the pixels of span-1/images/p2_a.png, which evaluates",
    )
    counts, set_aside = integrity.read(folder)
    assert (counts.images, counts.held_back, set_aside) == (3, 1, [])
    assert counts.used == {"train": 2, "eval": 0}
    (pair,) = duplicates.read(folder / duplicates.FILE)
    assert (pair.eval, pair.train) == ("span-1/p2_a", "span-2/p4_c")
