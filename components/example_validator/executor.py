"""TFX's ExampleValidator writes anomalies down; this one also stops the run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

import pyarrow.compute as pc
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs

from components.errors import InputError
from components.example_validator import checks
from components.example_validator.config import ChecksConfig
from components.image_example_gen import duplicates, image_table, spans
from components.places import place
from components.records import EVAL, SPLITS, TRAIN


class Executor(executor.Executor):
    """Validates as TFX does, refuses what has anomalies, then looks at the images."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> Any:  # noqa: N802
        """Called by TFX.

        Raises:
          InputError: a feature is not as the schema says; names it, its split, and what is
            wrong; or the images are past a limit of `checks` that is set to stop.
        """
        result = super().Do(input_dict, output_dict, exec_properties)
        artifacts = output_dict[standard_component_specs.ANOMALIES_KEY]
        found = []
        for split in artifact_utils.decode_split_names(artifacts[0].split_names):
            file = os.path.join(
                artifact_utils.get_split_uri(artifacts, split), executor.DEFAULT_FILE_NAME
            )
            with fileio.open(file, "rb") as stream:
                anomalies = anomalies_pb2.Anomalies.FromString(stream.read())
            found += [f"{split}: {clause}" for clause in explain(anomalies)]
        if found:
            raise InputError(
                f"The records are not as the schema says: {'; '.join(found)}. Look at the images "
                "of that split; components/schema.pbtxt says what every record must be like."
            )
        told = look(
            input_dict["examples"],
            tuple(json.loads(exec_properties["classes"])),
            ChecksConfig.model_validate_json(exec_properties["checks"]),
        )
        checks.write(place(artifacts[0].uri) / checks.FILE, told)
        stops = [one for one in told if one.stops]
        if stops:
            keys = ", ".join(dict.fromkeys(f"checks.{one.check}" for one in stops))
            raise InputError(
                f"{'; '.join(one.sentence.rstrip('.') for one in stops)}. Mend the data, raise "
                f"{keys}, or take it out of checks.stop."
            )
        return result


def look(
    examples: Sequence[types.Artifact], classes: tuple[str, ...], limits: ChecksConfig
) -> list[checks.Finding]:
    """What is worth a look in the images of a run.

    Args:
      examples: that were ingested; of spans one each, after the evaluation set where it is new.
      classes: by id.
      limits: from which on.
    """
    found = []
    sides = []
    for artifact in examples:
        span = artifact.get_string_custom_property(spans.NAME)
        table = image_table.of([artifact.uri], checks.Images.COLUMNS)
        for split in SPLITS:
            rows = table.filter(pc.equal(table["split"], split))
            name = f"{span} ({split})" if span and split == EVAL else span or split
            if rows.num_rows:
                sides.append((split, checks.Images(name, rows)))
    for _, images in sides:
        found += checks.of_one(images, classes, limits)

    request = examples[0].get_string_custom_property(spans.REQUEST)
    asked = spans.Request.from_json(request) if request else None
    evaluating = [images for split, images in sides if split == EVAL]
    if asked and asked.frozen:
        evaluating = [_known(asked.frozen, EVAL, "the evaluation set")]
    known = _known(asked.before, TRAIN, "the span before it") if asked and asked.before else None
    for images in (images for split, images in sides if split == TRAIN):
        if evaluating:
            found += checks.of_two(images, evaluating[0], "skew", classes, limits)
        if known:
            found += checks.of_two(images, known, "drift", classes, limits)
        known = images
    for artifact in examples:
        pairs = duplicates.read(place(artifact.uri) / duplicates.FILE)
        found += checks.of_pairs(pairs, limits)
    return found


def _known(uri: str, split: str, name: str) -> checks.Images:
    """Images of an earlier run; none where their records are gone."""
    table = image_table.of([uri], checks.Images.COLUMNS)
    rows = table.filter(pc.equal(table["split"], split))
    sources = rows["source"].to_pylist()
    span = sources[0].partition("/")[0] if sources else name
    return checks.Images(f"{span} (eval)" if split == EVAL else span, rows)


def explain(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One clause an anomaly: the feature and what is wrong with it."""
    clauses = [
        f"{name} {info.description or info.short_description}".rstrip(".")
        for name, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        clauses.append(anomalies.dataset_anomaly_info.description.rstrip("."))
    if anomalies.data_missing:
        clauses.append("there are no records")
    return clauses
