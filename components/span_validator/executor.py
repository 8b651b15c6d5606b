"""Asks the last blessed model what it thinks of new labels. TFX's launcher calls `Executor.Do`."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tfx.dsl.components.base import base_executor
from tfx.utils import path_utils

from components import artifacts
from components.evaluation.confusion import confusion
from components.image_example_gen import spans
from components.records import EVAL, TRAIN, Layout, parse
from components.span_validator import agreement, blessing
from components.span_validator.agreement import Answers, Tile
from components.span_validator.blessing import Verdict

progress = logging.getLogger("overtile.progress")

FILE = "verdicts.json"

# Pixels on a side of a tile that are kept to compare it with others: a span's tiles fit in memory.
_THINNED = 64
_MOST_NAMED = 5


class Executor(base_executor.BaseExecutor):
    """Judges each span that this run ingested."""

    def Do(  # noqa: N802 - TFX's name
        self,
        input_dict: dict[str, list[Any]],
        output_dict: dict[str, list[Any]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Writes a verdict on each artifact; it raises nothing, since good spans go on.

        Args:
          input_dict: `examples`, this run's; `evaluation`, the frozen set; `model`, the last
            blessed one, or none.
          output_dict: `blessing`, one artifact.
          exec_properties: `layout`, JSON of the records'; `min_agreement`.
        """
        examples = input_dict["examples"]
        least = exec_properties["min_agreement"]
        verdicts = {one.id: Verdict(_name(one), True, least) for one in examples}
        models = input_dict.get("model")
        if models and least:
            layout = Layout.from_json(json.loads(exec_properties["layout"]))
            model = _Model(path_utils.serving_model_path(models[0].uri), layout)
            (evaluation,) = input_dict["evaluation"]
            reference, _ = model.answers(evaluation, EVAL)
            for one in examples:
                if one.get_string_custom_property(spans.KIND) == spans.TRAINS:
                    found, images = model.answers(one, TRAIN)
                    verdicts[one.id] = verdict(_name(one), found, images, reference, least)
                    _tell(verdicts[one.id])

        (output,) = output_dict["blessing"]
        output.set_string_custom_property(blessing.VERDICTS, blessing.encode(verdicts))
        folder = Path(output.uri)
        folder.mkdir(parents=True, exist_ok=True)
        told = [dataclasses.asdict(one) for one in verdicts.values()]
        (folder / FILE).write_text(json.dumps(told, indent=2) + "\n")


def verdict(
    name: str,
    found: Answers,
    images: Mapping[str, np.ndarray],
    reference: Answers,
    min_agreement: float,
) -> Verdict:
    """What there is to say of a span.

    Args:
      name: the span's.
      found: the last blessed model's answers to the span.
      images: confusion matrix of each image, by its name.
      reference: its answers to the evaluation set.
      min_agreement: see `agreement.judge`.
    """
    judged = agreement.judge(found, reference, min_agreement)
    return Verdict(
        name,
        judged.accepted,
        min_agreement,
        match=_number(judged.match),
        least_match=_number(judged.least_match),
        agreement=_number(judged.agreement),
        least_agreement=_number(judged.least_agreement),
        reason="" if judged.accepted else _reason(judged, images, reference),
    )


def _reason(
    judged: agreement.Judgement, images: Mapping[str, np.ndarray], reference: Answers
) -> str:
    """Each value with its limit, and the worst files."""
    clauses = []
    if judged.match < judged.least_match:
        clauses.append(
            "its labels seem to be mixed up: an image's own label fits the last blessed model's "
            f"mask better than another image's in {judged.match:.0%} of comparisons, where "
            f"{judged.least_match:.0%} are needed and 50% are chance"
        )
    if judged.agreement < judged.least_agreement:
        clauses.append(
            f"the last blessed model agrees with its labels to {judged.agreement:.2f} (Cohen's "
            f"kappa, 0 is chance), where {judged.least_agreement:.2f} are needed and it reaches "
            f"{agreement.kappa(reference.total):.2f} on the evaluation set"
        )
    shares = {image: agreement.accuracy(one) for image, one in images.items()}
    worst = sorted(shares, key=lambda image: (shares[image], image))[:_MOST_NAMED]
    named = ", ".join(f"{image} ({shares[image]:.0%})" for image in worst)
    return f"{'; '.join(clauses)}; fewest pixels agree in {named}"


class _Model:
    """An exported model's answers to records."""

    def __init__(self, path: str, layout: Layout) -> None:
        import tensorflow as tf

        self._owner = tf.saved_model.load(path)  # keeps the variables alive
        self._signature = self._owner.signatures["tensor"]
        self._layout = layout

    def answers(self, examples: Any, split: str) -> tuple[Answers, dict[str, np.ndarray]]:
        """To every record of a split; and the confusion matrix of each image, by its name."""
        import tensorflow as tf

        classes = len(self._layout.classes)
        records = tf.data.TFRecordDataset(artifacts.split_files([examples], split))
        count = sum(1 for _ in records)
        tiles = []
        images: dict[str, np.ndarray] = {}
        for done, record in enumerate(records.map(lambda one: parse(one, self._layout)), 1):
            mask = self._signature(image=record["image"][None])["mask"][0].numpy()
            label, name = record["mask"].numpy(), record["source"].numpy().decode()
            images.setdefault(name, np.zeros((classes, classes), np.int64))
            images[name] += confusion(label, mask, classes)
            step = max(1, max(label.shape) // _THINNED)
            tiles.append(Tile(name, label[::step, ::step], mask[::step, ::step]))
            progress.info("", extra={"what": "tile", "done": done, "total": count})
        total = sum(images.values(), np.zeros((classes, classes), np.int64))
        return Answers(tiles, total), images


def _number(value: float) -> float | None:
    """As JSON has it, which knows no NaN."""
    return None if np.isnan(value) else round(value, 4)


def _name(artifact: Any) -> str:
    name: str = artifact.get_string_custom_property(spans.NAME)
    return name


def _tell(found: Verdict) -> None:
    figures = [
        f"{name} {value:.2f}, at least {least:.2f}"
        for name, value, least in (
            ("match", found.match, found.least_match),
            ("agreement", found.agreement, found.least_agreement),
        )
        if value is not None and least is not None
    ]
    word = "its labels make sense" if found.accepted else "refused"
    text = f"{found.span}: {word} ({'; '.join(figures) or 'too little to compare'})."
    progress.info(text, extra={"note": text})
