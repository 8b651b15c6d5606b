import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.errors import InputError
from pipeline import engines
from pipeline.config import PipelineConfig, parse
from pipeline.engines import IN_PROCESS, check, for_images, problems


def config(**beam: Any) -> PipelineConfig:
    return PipelineConfig(data={"path": "/data"}, beam=beam)


@pytest.fixture
def port() -> Iterator[int]:
    """Of something that answers."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def silent_port() -> int:
    """Of nothing."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        return server.getsockname()[1]


def test_this_machine_reads_with_a_thread_a_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joblib.cpu_count", lambda: 6)
    assert for_images(config()) == [*IN_PROCESS, "--image_workers=6", "--image_mode=auto"]
    assert for_images(config(workers=2, mode="processes", options=["--hdfs_host=h"])) == [
        *IN_PROCESS,
        "--image_workers=2",
        "--image_mode=processes",
        "--hdfs_host=h",
    ]
    assert list(problems(config())) == []


def test_each_engine_gets_its_options() -> None:
    shared = {"shared_folder": "gs://b/shared"}
    external = {"type": "external", "config": "pool:50000"}
    portable = config(
        runner="portable", portable={"job_endpoint": "jobs:8099", "environment": external}, **shared
    )
    assert for_images(portable) == [
        "--runner=PortableRunner",
        "--job_endpoint=jobs:8099",
        "--environment_type=EXTERNAL",
        "--environment_config=pool:50000",
        "--sdk_container_image=none",
        "--shared_folder=gs://b/shared",
    ]
    docker = {"config": "registry/overtile:1"}
    flink = config(
        runner="flink", flink={"master": "flink:8081", "job_server": "f.jar", "environment": docker}
    )
    assert for_images(flink) == [
        "--runner=FlinkRunner",
        "--flink_master=flink:8081",
        "--flink_job_server_jar=f.jar",
        "--environment_type=DOCKER",
        "--environment_config=registry/overtile:1",
        "--sdk_container_image=none",
    ]
    spark = config(runner="spark", spark={"master": "spark://s:7077", "environment": docker})
    assert for_images(spark)[:2] == ["--runner=SparkRunner", "--spark_master_url=spark://s:7077"]
    dataflow = {"project": "p", "region": "r", "temp_location": "gs://b/t", "image": "i:1"}
    assert for_images(config(runner="dataflow", dataflow=dataflow, **shared)) == [
        "--runner=DataflowRunner",
        "--project=p",
        "--region=r",
        "--temp_location=gs://b/t",
        "--job_name=overtile-images",
        "--sdk_container_image=i:1",
        "--shared_folder=gs://b/shared",
    ]


@pytest.mark.parametrize(
    ("beam", "words"),
    [
        ({"runner": "portable"}, "beam.portable.job_endpoint is not set"),
        ({"runner": "flink"}, "beam.flink.master is not set"),
        ({"runner": "spark"}, "beam.spark.master is not set"),
        ({"runner": "dataflow"}, "beam.dataflow.project is not set"),
        ({"runner": "dataflow"}, "beam.dataflow.image is not set"),
        ({"runner": "dataflow"}, "data.path: Dataflow's workers do not see /data"),
        ({"runner": "dataflow"}, "beam.shared_folder: Dataflow's workers need one on gs://"),
        (
            {"runner": "dataflow", "dataflow": {"setup_file": "/nowhere/setup.py"}},
            "beam.dataflow.setup_file: there is no file /nowhere/setup.py",
        ),
        (
            {"runner": "portable", "portable": {"job_endpoint": "embed"}},
            "beam.portable.environment.config is not set: name an image",
        ),
        (
            {"runner": "portable", "portable": {"environment": {"type": "external"}}},
            "beam.portable.environment.config: write HOST:PORT",
        ),
        (
            {"runner": "portable", "portable": {"environment": {"type": "process"}}},
            "beam.portable.environment.config: write a JSON object",
        ),
        (
            {"runner": "flink", "flink": {"job_server": "/nowhere/f.jar"}},
            "beam.flink.job_server: there is no file /nowhere/f.jar",
        ),
    ],
)
def test_what_is_missing_is_named(beam: dict[str, Any], words: str) -> None:
    assert any(problem.startswith(words) for problem in problems(config(**beam)))


def test_a_cluster_without_a_folder_that_all_see_is_refused(port: int) -> None:
    section = {
        "job_endpoint": f"localhost:{port}",
        "environment": {"type": "external", "config": "pool:50000"},
    }
    (problem,) = problems(config(runner="portable", portable=section))
    assert problem.startswith("beam.shared_folder is not set")
    check(config(runner="portable", portable=section, shared_folder="/net/shared"))


def test_java_is_asked_for_where_a_job_server_needs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.shutil, "which", lambda command: None)
    found = list(problems(config(runner="flink", flink={"environment": {"type": "loopback"}})))
    assert any("there is no command `java` here" in problem for problem in found)


def test_services_that_do_not_answer_are_named(silent_port: int) -> None:
    address = f"localhost:{silent_port}"
    loopback = {"environment": {"type": "loopback"}, "job_endpoint": address}
    with pytest.raises(InputError) as caught:
        check(config(runner="portable", portable=loopback, shared_folder="/net/shared"))
    assert str(caught.value) == (
        f"beam.portable.job_endpoint: nothing answers at {address} (connection refused)."
    )
    pool = {"job_endpoint": "embed", "environment": {"type": "external", "config": address}}
    with pytest.raises(InputError, match=r"environment\.config: nothing answers at"):
        check(config(runner="portable", portable=pool))


def test_further_options_are_options_that_no_key_sets() -> None:
    with pytest.raises(InputError, match="'max_num_workers=8' is no option"):
        parse({"beam": {"options": ["max_num_workers=8"]}}, Path("/"))
    with pytest.raises(InputError, match="--runner is set by the other keys of `beam`"):
        parse({"beam": {"options": ["--runner=SparkRunner"]}}, Path("/"))
    assert parse({"beam": {"options": ["--hdfs_host=h"]}}, Path("/")).beam.options


def test_relative_places_start_at_the_configuration() -> None:
    read = parse({"data": {"path": "x"}, "beam": {"shared_folder": "gs://b/s"}}, Path("/top"))
    assert (str(read.data.path), str(read.beam.shared_folder)) == ("/top/x", "gs://b/s")
    read = parse({"data": {"path": "s3://b/x"}, "beam": {"shared_folder": "s"}}, Path("/top"))
    assert (str(read.data.path), str(read.beam.shared_folder)) == ("s3://b/x", "/top/s")


def test_options_of_a_filesystem_are_known_before_beam_starts() -> None:
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import HadoopFileSystemOptions

    options = ["--hdfs_host=h", "--hdfs_port=50070", "--hdfs_user=u"]
    parse({"data": {"path": "hdfs:///x"}, "beam": {"options": options}}, Path("/"))
    try:
        assert FileSystems._pipeline_options.view_as(HadoopFileSystemOptions).hdfs_host == "h"
    finally:
        FileSystems.set_options(None)


def test_a_workspace_elsewhere_is_refused() -> None:
    with pytest.raises(InputError, match="workspace: gs://b/w is not on this machine"):
        parse({"workspace": "gs://b/w"}, Path("/"))
