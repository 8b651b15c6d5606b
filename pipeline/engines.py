"""Engines: what Beam is told for each `beam.runner`, and whether that can work."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from components.errors import InputError
from components.places import is_remote, place
from pipeline.beam_config import EnvironmentConfig
from pipeline.config import PipelineConfig

IN_PROCESS = (
    # By name: the default DirectRunner first tries to download another runner.
    "--runner=FnApiRunner",
    "--direct_running_mode=in_memory",
    # Of no effect in this process, but without it TFX packs its own sources for remote workers
    # before each component that uses Beam, which takes seconds.
    "--sdk_container_image=none",
)
"""For components whose work is small: Beam in the component's own process, in one thread."""

_SECONDS_TO_ANSWER = 5.0


def for_images(config: PipelineConfig) -> list[str]:
    """Beam's options for the component that reads images.

    Args:
      config: of the pipeline, checked by `check`.
    """
    beam = config.beam
    shared = [f"--shared_folder={beam.shared_folder}"] if beam.shared_folder else []
    chosen = {"portable": _portable, "flink": _flink, "spark": _spark, "dataflow": _dataflow}
    if beam.runner == "local":
        import joblib  # late: the command line must answer at once

        # Of a container as many as its quota has, not as the machine.
        workers = beam.workers or joblib.cpu_count()
        # Which mode it is to be is decided where the number of images is known.
        own = [*IN_PROCESS, f"--image_workers={workers}", f"--image_mode={beam.mode}"]
    else:
        own = chosen[beam.runner](config)
    return [*own, *shared, *beam.options]


def _portable(config: PipelineConfig) -> list[str]:
    portable = config.beam.portable
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={portable.job_endpoint}",
        *_environment(portable.environment),
    ]


def _flink(config: PipelineConfig) -> list[str]:
    flink = config.beam.flink
    jar = [f"--flink_job_server_jar={flink.job_server}"] if flink.job_server else []
    return [
        "--runner=FlinkRunner",
        f"--flink_master={flink.master}",
        *jar,
        *_environment(flink.environment),
    ]


def _spark(config: PipelineConfig) -> list[str]:
    spark = config.beam.spark
    jar = [f"--spark_job_server_jar={spark.job_server}"] if spark.job_server else []
    return [
        "--runner=SparkRunner",
        f"--spark_master_url={spark.master}",
        *jar,
        *_environment(spark.environment),
    ]


def _dataflow(config: PipelineConfig) -> list[str]:
    flow = config.beam.dataflow
    code = (
        f"--sdk_container_image={flow.image}" if flow.image else f"--setup_file={flow.setup_file}"
    )
    return [
        "--runner=DataflowRunner",
        f"--project={flow.project}",
        f"--region={flow.region}",
        f"--temp_location={flow.temp_location}",
        f"--job_name={config.name.replace('_', '-')}-images",
        code,
    ]


def _environment(environment: EnvironmentConfig) -> list[str]:
    config = [f"--environment_config={environment.config}"] if environment.config else []
    # As for IN_PROCESS: workers have what they need, so nothing is packed for them.
    none = "--sdk_container_image=none"
    return [f"--environment_type={environment.type.upper()}", *config, none]


def check(config: PipelineConfig) -> None:
    """Finds out, as far as this machine can tell, whether the engine will work; asks its services.

    Raises:
      InputError: it will not; names the key.
    """
    for problem in problems(config):
        raise InputError(problem)


def problems(config: PipelineConfig) -> Iterator[str]:
    """What is wrong with `beam`, a sentence each; what comes later takes longer to find."""
    beam = config.beam
    if beam.runner == "local":
        return
    section = getattr(beam, beam.runner)
    wanted = {
        "portable": ("job_endpoint",),
        "flink": ("master",),
        "spark": ("master",),
        "dataflow": ("project", "region", "temp_location"),
    }
    for key in wanted[beam.runner]:
        if not getattr(section, key):
            yield f"beam.{beam.runner}.{key} is not set, and beam.runner: {beam.runner} needs it."
    if beam.runner == "dataflow":
        yield from _dataflow_problems(config)
        return
    embedded = beam.runner == "portable" and section.job_endpoint == "embed"
    yield from _environment_problems(
        f"beam.{beam.runner}.environment", section.environment, embedded
    )
    if not beam.shared_folder and (not embedded or section.environment.type == "docker"):
        yield (
            "beam.shared_folder is not set: name a folder that this machine and the workers see, "
            "such as gs://bucket/folder or a network disk (the workspace, if it is on one)."
        )
    if beam.runner in ("flink", "spark"):
        yield from _job_server_problems(f"beam.{beam.runner}.job_server", section.job_server)
    address = section.job_endpoint if beam.runner == "portable" else section.master
    if address and ":" in address:
        key = "job_endpoint" if beam.runner == "portable" else "master"
        yield from _silence(f"beam.{beam.runner}.{key}", address.rpartition("//")[2])


def _environment_problems(
    key: str, environment: EnvironmentConfig, embedded: bool
) -> Iterator[str]:
    if environment.type == "docker":
        if not environment.config:
            yield f"{key}.config is not set: name an image with Beam's boot program and Overtile."
        elif embedded and not shutil.which("docker"):
            yield f"{key}.type: docker needs the command `docker`, which is not here."
    elif environment.type == "external":
        if ":" not in environment.config:
            yield f"{key}.config: write HOST:PORT of the pool of workers."
        elif embedded:  # else it is an address as the cluster sees it
            yield from _silence(f"{key}.config", environment.config)
    elif environment.type == "process":
        try:
            command = json.loads(environment.config)["command"]
        except (ValueError, KeyError, TypeError):
            yield f'{key}.config: write a JSON object such as {{"command": "/opt/beam/boot"}}.'
        else:
            if embedded and not shutil.which(command):
                yield f"{key}.config: there is no command {command}."


def _job_server_problems(key: str, jar: str | None) -> Iterator[str]:
    if not shutil.which("java"):
        yield (
            f"{key}: a job server runs in Java, and there is no command `java` here: install it, "
            "or run the job server elsewhere and set beam.runner: portable."
        )
    if jar and "://" not in jar and not Path(jar).is_file():
        yield f"{key}: there is no file {jar}."


def _dataflow_problems(config: PipelineConfig) -> Iterator[str]:
    flow, beam = config.beam.dataflow, config.beam
    if not (flow.image or flow.setup_file):
        yield "beam.dataflow.image is not set: name an image with Overtile, or set setup_file."
    if flow.setup_file and not flow.setup_file.is_file():
        yield f"beam.dataflow.setup_file: there is no file {flow.setup_file}."
    if config.data.path and not is_remote(config.data.path):
        yield (
            f"data.path: Dataflow's workers do not see {config.data.path}; "
            "put the images on gs:// and give that."
        )
    if not (beam.shared_folder and is_remote(beam.shared_folder)):
        yield "beam.shared_folder: Dataflow's workers need one on gs://, to write records to."
    if importlib.util.find_spec("apache_beam.runners.dataflow.internal.apiclient") is None:
        yield "beam.runner: dataflow needs the package apache-beam[gcp]: install it."
    if flow.temp_location:
        try:
            place(flow.temp_location).exists()
        except InputError as error:
            yield f"beam.dataflow.temp_location: {error}"


def _silence(key: str, address: str) -> Iterator[str]:
    """Says so where nothing answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        yield f"{key}: nothing answers at {address} ({str(reason).lower()})."
