"""Tells TFX's cache whether a data set has changed. TFX's launcher calls `Driver.run`."""

from __future__ import annotations

import copy
import logging

from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import standard_component_specs

from components.image_example_gen import spans
from components.image_example_gen.config import DataConfig, SpansConfig
from components.image_example_gen.fingerprint import fingerprint
from components.image_example_gen.ingest_config import IngestConfig
from components.resolving import ledger

progress = logging.getLogger("overtile.progress")


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts what the data is like among what decides whether a cached result answers.

    The first base is what TFX's compiler asks for, the second what its launcher runs.
    """

    def __init__(self, metadata_handle: metadata.Metadata):
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds the fingerprint to the execution's properties and to the artifact.

        With spans it decides which to ingest.

        Raises:
          InputError: there is no such data set, or no span is whole.
        """
        properties = execution_info.exec_properties
        data = DataConfig.model_validate_json(properties["data"])
        if properties.get("spans"):
            data = data.model_copy(
                update={"spans": SpansConfig.model_validate_json(properties["spans"])}
            )
            recipe = spans.recipe(data, IngestConfig.model_validate_json(properties["ingest"]))
            with self._mlmd_connection as handle:
                known = ledger.read(handle.store, execution_info.pipeline_info.id, recipe)
            request = decide(data, known)
            changed = {"spans": request.to_json()}
            labels = {spans.RECIPE: recipe, spans.REQUEST: request.to_json()}
            number = request.spans[-1].number
        else:
            digest = fingerprint(data)
            changed = labels = {utils.FINGERPRINT_PROPERTY_NAME: digest}
            number = properties["span"]

        key = standard_component_specs.EXAMPLES_KEY
        artifact = copy.deepcopy(execution_info.output_dict[key][0].mlmd_artifact)
        artifact.properties[utils.SPAN_PROPERTY_NAME].int_value = number
        for name, label in labels.items():
            artifact.custom_properties[name].string_value = label
        result = driver_output_pb2.DriverOutput()
        for name, value in {**properties, **changed}.items():
            data_types_utils.set_metadata_value(result.exec_properties[name], value)
        result.output_artifacts[key].artifacts.append(artifact)
        return result


def decide(data: DataConfig, known: ledger.Ledger) -> spans.Request:
    """Which spans to ingest; without new ones the last request again, which the cache answers.

    Raises:
      InputError: no span is whole and none was ingested before.
    """
    assert data.spans is not None
    found = spans.find(data)
    if found.waiting:
        _note(f"Not whole yet, without {data.spans.marker}: {', '.join(found.waiting)}.")
    if not found.whole and not known.last_request:
        spans.first(data)  # raises, and says what there is
    # Of a data set whose older spans were removed only what is there can be looked at.
    wanted = spans.needed(found.whole, data.spans.window, frozen=known.evaluation is not None)
    looked_at = [spans.look(data, span) for span in wanted]
    settled = known.settled(data.spans.min_agreement)
    pending = spans.pending(looked_at, settled)
    if not pending:
        return spans.Request.from_json(known.last_request)
    before = known.fingerprints
    again = [
        span.name
        for span in pending
        if before.get(span.number, span.fingerprint) != span.fingerprint
    ]
    if again:
        _note(f"Changed since it was ingested, so ingested anew: {', '.join(again)}.")
    new = [span.name for span in pending if span.name not in again]
    if new:
        _note(f"New: {', '.join(new)}.")
    return spans.Request(
        tuple(pending),
        known.evaluation.uri if known.evaluation else "",
        known.before(pending[0].number),
    )


def _note(text: str) -> None:
    progress.info(text, extra={"note": text})
