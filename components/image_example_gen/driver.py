"""Tells TFX's cache whether a data set has changed. TFX's launcher calls `Driver.run`."""

from __future__ import annotations

import copy
import hashlib
import os

from tfx.components.example_gen import utils
from tfx.dsl.components.base import base_driver
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import base_driver as portable_driver
from tfx.orchestration.portable import data_types
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import standard_component_specs

from components.image_example_gen import sources
from components.image_example_gen.config import DataConfig


class Driver(base_driver.BaseDriver, portable_driver.BaseDriver):
    """Puts the data set's fingerprint among what decides whether a cached result answers.

    The first base is what TFX's compiler asks for, the second what its launcher runs.
    """

    def __init__(self, metadata_handle: metadata.Metadata):
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Adds the fingerprint to the execution's properties and to the artifact.

        Raises:
          InputError: there is no such data set.
        """
        properties = execution_info.exec_properties
        digest = fingerprint(DataConfig.model_validate_json(properties["data"]))
        result = driver_output_pb2.DriverOutput()
        for key, value in {**properties, utils.FINGERPRINT_PROPERTY_NAME: digest}.items():
            data_types_utils.set_metadata_value(result.exec_properties[key], value)

        key = standard_component_specs.EXAMPLES_KEY
        artifact = copy.deepcopy(execution_info.output_dict[key][0].mlmd_artifact)
        artifact.properties[utils.SPAN_PROPERTY_NAME].int_value = properties["span"]
        artifact.custom_properties[utils.FINGERPRINT_PROPERTY_NAME].string_value = digest
        result.output_artifacts[key].artifacts.append(artifact)
        return result


def fingerprint(data: DataConfig) -> str:
    """A digest of name, size and time of change of each file of a data set.

    Raises:
      InputError: there is no such data set.
    """
    root = sources.folder(data)
    sha256 = hashlib.sha256()
    for path in sources.of(data).files(data):
        status = path.stat()
        # Not `relative_to`: data.images may lead out of the folder.
        line = f"{os.path.relpath(path, root)}\0{status.st_size}\0{status.st_mtime_ns}\n"
        sha256.update(line.encode())
    return sha256.hexdigest()
