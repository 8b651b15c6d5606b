"""Compiles the DAG to a package of Kubeflow Pipelines: one container component a node.

TFX has two runners for Kubeflow Pipelines. The older needs the kfp 1.8 SDK. The newer targets
Vertex AI: open-source Kubeflow answers "resolver not implemented" to its packages, and they leave
out ExampleGen's driver. So here Kubeflow starts the containers in the DAG's order, and `entrypoint`
does in each of them what TFX's own launcher does anywhere.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import math
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.errors import InputError
from components.places import is_remote
from kubeflow import entrypoint, parameters
from kubeflow.parameters import PARAMETERS

if TYPE_CHECKING:
    from kubeflow.config import ComponentConfig, KubeflowConfig
    from pipeline.config import PipelineConfig

_MODULE = ["python", "-m", "kubeflow.entrypoint"]
_BACKOFF = {"backoff_duration": "30s", "backoff_factor": 2.0, "backoff_max_duration": "600s"}


@dataclasses.dataclass(frozen=True)
class Compiled:
    """What was compiled.

    Attributes:
      package: the file.
      name: of the pipeline.
      components: each with those that it comes after.
      parameters: each with its default.
      notes: what looks like an oversight, a sentence each.
    """

    package: Path
    name: str
    components: Mapping[str, tuple[str, ...]]
    parameters: Mapping[str, Any]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """What `overtile kubeflow compile --json` prints."""
        return {**dataclasses.asdict(self), "package": str(self.package)}


def compile_package(config: PipelineConfig, target: Path) -> Compiled:
    """Writes the package of a pipeline.

    Args:
      config: where its data set can be reached from here, what it does not say is found by looking.
      target: the file to be written, .yaml.

    Raises:
      InputError: kfp is not installed, or a key is missing or does not fit the others.
    """
    need_kfp()
    from kfp import compiler, dsl

    section = config.kubeflow
    if not section.image:
        raise InputError(
            "kubeflow.image is not set: it names the image that kubeflow/Dockerfile makes; "
            "docs/kubeflow.md says how."
        )
    if target.suffix not in (".yaml", ".yml"):
        raise InputError(f"{target} is no name for a package: it ends with .yaml.")
    config = in_cluster(config)
    upstream = _upstream(config)
    fixed = {"dag": entrypoint.digest(upstream)}
    defaults = parameters.defaults(config)

    def tasks(*values: Any) -> None:
        given = dict(zip(PARAMETERS, values))
        started: dict[str, Any] = {}
        for node, before in upstream.items():
            own = section.of(node)
            component = _component(node, section.image, {**fixed, "config": _json(config, own)})
            # KFP puts the run's id in where a component takes it as an input, and only there.
            task = component(run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, **given)
            task.after(*(started[name] for name in before))
            _equip(task, section, own)
            started[node] = task.set_display_name(node)

    tasks.__name__ = config.name
    _sign(tasks, defaults)
    description = "From labelled images to a pushed segmentation model, by Overtile."
    pipeline = dsl.pipeline(name=config.name.replace("_", "-"), description=description)(tasks)
    target.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(pipeline, str(target))
    return Compiled(target, pipeline.name, upstream, defaults, notes(config, upstream))


def in_cluster(config: PipelineConfig) -> PipelineConfig:
    """The configuration as the components see it: complete, with their paths.

    Raises:
      InputError: it is not complete and its data set cannot be looked at from here, or a path
        is on no volume.
    """
    section, data, ingest = config.kubeflow, config.data, config.ingest
    if data.path is None and section.data is None:
        raise InputError("There is no data set: set data.path, and kubeflow.data if it differs.")
    if data.path and data.path.exists():
        from pipeline import planning

        data, ingest = planning.complete(data, ingest)
    elif not (data.channels and data.dtype and data.classes):
        raise InputError(
            f"{data.path or section.data} cannot be looked at from here: data.channels, "
            "data.dtype and data.classes must be given, as `overtile init` writes them."
        )
    there = config.model_copy(
        update={
            "workspace": section.workspace or config.workspace,
            "data": data.model_copy(update={"path": section.data or data.path}),
            "ingest": ingest,
        }
    )
    paths = {
        "kubeflow.workspace": there.workspace,
        "kubeflow.data": there.data.path,
        "push.path": there.push.path,
    }
    for key, path in paths.items():
        if not path or is_remote(path) or not section.volumes:
            continue
        if not any(map(path.is_relative_to, section.volumes.values())):
            mounts = ", ".join(map(str, section.volumes.values()))
            raise InputError(
                f"{key}: {path} is on none of the volumes that the components share ({mounts}); "
                "give it as they see it."
            )
    return there


def _component(node: str, image: str | None, fixed: Mapping[str, str]) -> Any:
    """A container component that runs a node; its inputs are `run` and the parameters."""
    from kfp import dsl

    def component(*inputs: Any) -> Any:
        options = {"node": node, **fixed, **dict(zip(["run", *PARAMETERS], inputs))}
        arguments = [word for name, value in options.items() for word in (f"--{name}", value)]
        return dsl.ContainerSpec(image=image, command=_MODULE, args=arguments)

    # ImageExampleGen -> image_example_gen, from which KFP makes the task's name.
    component.__name__ = re.sub(r"\W|(?<=[a-z0-9])(?=[A-Z])", "_", node).lower()
    _sign(component, {}, "run")
    return dsl.container_component(component)


def _sign(function: Any, defaults: Mapping[str, Any], *others: str) -> None:
    """Gives a function the pipeline's parameters, which KFP reads from its signature."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signed = [inspect.Parameter(name, kind, annotation=str) for name in others]
    for name, parameter in PARAMETERS.items():
        default = defaults.get(name, inspect.Parameter.empty)
        signed.append(inspect.Parameter(name, kind, annotation=parameter.type, default=default))
    function.__signature__ = inspect.Signature(signed)


def _equip(task: Any, section: KubeflowConfig, own: ComponentConfig) -> None:
    """Resources, volumes, secrets and retries of a task."""
    from kfp import kubernetes

    from kubeflow import metadata

    task.set_caching_options(False)  # TFX's cache answers, here as everywhere
    task.set_cpu_limit(f"{own.cpu:g}").set_memory_limit(own.memory)
    # TensorFlow would start a thread for each core of the machine, whatever the container has.
    task.set_env_variable("TF_NUM_INTRAOP_THREADS", str(math.ceil(own.cpu)))
    if own.gpu:
        task.set_accelerator_type(section.gpu_resource).set_accelerator_limit(own.gpu)
    else:
        # Where containers see the machine's GPUs unasked, it would grab their memory.
        task.set_env_variable("CUDA_VISIBLE_DEVICES", "-1")
    if own.retries:
        task.set_retry(own.retries, **_BACKOFF)
    for claim, path in section.volumes.items():
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=str(path))
    if section.metadata_secret:
        name, key = section.metadata_secret.split("/")
        kubernetes.use_secret_as_env(task, name, {key: metadata.PASSWORD})


def _json(config: PipelineConfig, own: ComponentConfig) -> str:
    """The configuration for a command."""
    values = config.model_dump(mode="json", exclude={"kubeflow"})
    # TFX's cache key has Beam's options: the machine's own number of cores would, on another
    # machine, ingest anew.
    values["beam"]["workers"] = config.beam.workers or math.ceil(own.cpu)
    text = json.dumps(values, separators=(",", ":"))
    # Kubernetes puts variables in for $(NAME), Argo and KFP values for {{name}}: neither may stand
    # in a regular expression of the configuration.
    return text.replace("$", "\\u0024").replace("{{", "{\\u007b")


def _upstream(config: PipelineConfig) -> dict[str, tuple[str, ...]]:
    """Each node of the DAG with those that it comes after, in an order that fits."""
    from pipeline import graph, nodes

    # The DAG makes its workspace's folders, and the components' is not on this machine.
    with tempfile.TemporaryDirectory() as workspace:
        here = config.model_copy(update={"workspace": Path(workspace)})
        return nodes.Dag(graph.build_pipeline(here), run="compiled").upstream


def notes(config: PipelineConfig, nodes: Iterable[str]) -> list[str]:
    """What looks like an oversight, a sentence each.

    Args:
      config: of a pipeline.
      nodes: of its DAG.
    """
    section = config.kubeflow
    found = [
        f"kubeflow.components names {name}, which this pipeline does not have: it has "
        f"{', '.join(nodes)}."
        for name in section.components
        if name not in nodes
    ]
    if not section.volumes:
        found.append(
            "kubeflow.volumes is empty: the components share no disk unless the cluster gives "
            "them one."
        )
    if section.metadata == "sqlite":
        found.append(
            "kubeflow.metadata is sqlite, which is for tests: components that run at the same "
            "time lock each other out."
        )
    return found


def need_kfp() -> None:
    """Raises InputError where the SDK, which is an extra, is not installed."""
    try:
        import kfp.kubernetes  # noqa: F401
    except ImportError:
        raise InputError(
            "Kubeflow Pipelines' SDK is not installed: add the extra `kubeflow`, as in "
            "`uv sync --extra kubeflow`."
        ) from None
