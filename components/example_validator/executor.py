"""TFX's ExampleValidator writes anomalies down; this one also stops the run."""

from __future__ import annotations

import os
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.components.example_validator import executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_component_specs

from components.errors import InputError


class Executor(executor.Executor):
    """Validates as TFX does, then refuses what has anomalies."""

    def Do(self, input_dict: Any, output_dict: Any, exec_properties: Any) -> Any:  # noqa: N802
        """Called by TFX.

        Raises:
          InputError: a feature is not as the schema says; names it, its split, and what is wrong.
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
        return result


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
