"""The `beam` section of overtile.yaml."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, PositiveInt, field_validator

from components.places import Place

# Options that the section has keys for, or that Overtile sets by itself.
_OWN = re.compile(
    r"--(runner|direct_\w+|job_endpoint|environment_(type|config)|flink_(master|job_server_jar)"
    r"|spark_(master_url|job_server_jar)|project|region|temp_location|setup_file"
    r"|sdk_container_image|shared_folder|image_\w+)\b"
)


class EnvironmentConfig(BaseModel, extra="forbid", frozen=True):
    """What Beam's workers are; they need Overtile installed, in the version that submits."""

    type: Literal["docker", "process", "external", "loopback"] = Field(
        "docker",
        description="docker: containers that the job service starts; process: a command that it "
        "starts; external: a pool of workers that runs already; loopback: this process, to try "
        "things out",
    )
    config: str = Field(
        "",
        description="the image (docker), a JSON object with the command (process), or HOST:PORT "
        "of the pool (external)",
    )


class PortableConfig(BaseModel, extra="forbid", frozen=True):
    """Any runner with a job service, such as Flink's and Spark's job servers."""

    job_endpoint: str | None = Field(
        None, description="HOST:PORT of the job service; `embed` runs one here, to try things out"
    )
    environment: EnvironmentConfig = EnvironmentConfig()

    @field_validator("job_endpoint")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value not in (None, "embed") and not re.fullmatch(r"\S+:\d+", str(value)):
            raise ValueError("write HOST:PORT, or embed")
        return value


class FlinkConfig(BaseModel, extra="forbid", frozen=True):
    """A Flink cluster; a job server is started here, which takes Java."""

    master: str | None = Field(None, description="HOST:PORT of the cluster's REST API")
    job_server: str | None = Field(
        None, description="the job server's jar, file or URL; default: Beam fetches it from Maven"
    )
    environment: EnvironmentConfig = EnvironmentConfig()


class SparkConfig(BaseModel, extra="forbid", frozen=True):
    """A Spark cluster; a job server is started here, which takes Java."""

    master: str | None = Field(
        None,
        pattern=r"^(spark://\S+:\d+|local(\[.*\])?)$",
        description="the cluster: spark://HOST:PORT",
    )
    job_server: str | None = Field(
        None, description="the job server's jar, file or URL; default: Beam fetches it from Maven"
    )
    environment: EnvironmentConfig = EnvironmentConfig()


class DataflowConfig(BaseModel, extra="forbid", frozen=True):
    """Google Cloud Dataflow."""

    project: str | None = Field(None, description="of Google Cloud")
    region: str | None = Field(None, description="such as europe-west1")
    temp_location: str | None = Field(
        None, pattern=r"^gs://[^/]+(/.*)?$", description="gs://BUCKET/FOLDER for Dataflow's own use"
    )
    image: str | None = Field(
        None, description="container image with Beam's boot program and Overtile"
    )
    setup_file: Path | None = Field(
        None, description="in place of an image: Overtile's setup.py, from which workers install it"
    )


class BeamConfig(BaseModel, extra="forbid", frozen=True):
    """Where Apache Beam reads images and writes records; see docs/data.md, Engines.

    The other components that use Beam look at a few hundred bytes an image, and run in the process
    that runs them, whatever this section says.
    """

    runner: Literal["local", "portable", "flink", "spark", "dataflow"] = Field(
        "local", description="local: this machine; each of the others has a section of its name"
    )
    mode: Literal["auto", "threads", "processes"] = Field(
        "auto",
        description="how `local` uses several cores; auto: threads, or processes where that was "
        "measured to be faster",
    )
    workers: PositiveInt | None = Field(
        None, description="threads or processes of `local`; default: one a core"
    )
    shared_folder: Place | None = Field(
        None,
        description="folder that this machine and all workers see, a path or a URL: workers write "
        "there, and the records are brought to the workspace",
    )
    portable: PortableConfig = PortableConfig()
    flink: FlinkConfig = FlinkConfig()
    spark: SparkConfig = SparkConfig()
    dataflow: DataflowConfig = DataflowConfig()
    options: tuple[str, ...] = Field(
        (), description="further options of Beam's, word by word: [--max_num_workers=8]"
    )

    @field_validator("options")
    @classmethod
    def _are_options(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for option in value:
            if not re.match(r"--\w", option):
                raise ValueError(f"{option!r} is no option: write --NAME=VALUE")
            if _OWN.match(option):
                raise ValueError(f"{option.split('=')[0]} is set by the other keys of `beam`")
        return value
