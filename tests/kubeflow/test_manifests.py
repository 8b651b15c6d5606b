"""The manifests of serving, checked without a cluster."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

import kubeflow

FOLDER = Path(kubeflow.__file__).parent / "manifests"
# What KServe's API documents of V1beta1PredictorSpec and V1beta1ModelSpec, as far as it is used.
PREDICTOR = {"minReplicas": int, "maxReplicas": int, "timeout": int, "model": dict}
MODEL = {
    "modelFormat": dict,
    "runtimeVersion": str,
    "protocolVersion": str,
    "storageUri": str,
    "resources": dict,
}
# The line of TensorFlow that exports the models must be the one that serves them.
TENSORFLOW = importlib.metadata.version("tensorflow-serving-api")


def documents(name: str) -> dict[str, Any]:
    """Of a file, by kind."""
    return {found["kind"]: found for found in yaml.safe_load_all((FOLDER / name).read_text())}


def validate(document: dict[str, Any]) -> None:
    # The oldest line that is checked here still has clusters; the newest drops what it deprecated.
    for version in ("1.27", kubernetes_validate.latest_version()):
        kubernetes_validate.validate(document, version, strict=True)


def test_kubernetes_takes_them() -> None:
    found = documents("serving.yaml")
    assert set(found) == {"Deployment", "Service"}
    for document in found.values():
        validate(document)


def test_the_check_sees_what_is_wrong() -> None:
    broken = documents("serving.yaml")["Deployment"]
    broken["spec"]["template"]["spec"]["containers"][0]["port"] = 1
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(broken)


def test_the_parts_fit_each_other() -> None:
    found = documents("serving.yaml")
    template = found["Deployment"]["spec"]["template"]
    labels = template["metadata"]["labels"]
    assert found["Deployment"]["spec"]["selector"]["matchLabels"] == labels
    assert found["Service"]["spec"]["selector"] == labels

    (container,) = template["spec"]["containers"]
    assert container["image"] == f"tensorflow/serving:{TENSORFLOW}"
    arguments = dict(argument.removeprefix("--").split("=") for argument in container["args"])
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": int(arguments["port"]), "rest": int(arguments["rest_api_port"])}
    assert ports == {port["targetPort"]: port["port"] for port in found["Service"]["spec"]["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[probe]["httpGet"]
        assert asked == {"path": f"/v1/models/{arguments['model_name']}", "port": "rest"}
    # `<workspace>/serving/<name>`, as the pipeline pushes.
    assert arguments["model_base_path"].endswith(f"/serving/{arguments['model_name']}")
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    assert arguments["model_base_path"].startswith(mounts["models"]["mountPath"] + "/")
    assert mounts["models"]["readOnly"]
    assert set(mounts) == {volume["name"] for volume in template["spec"]["volumes"]}


def test_nothing_runs_as_root() -> None:
    pod = documents("serving.yaml")["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] > 0
    for container in pod["containers"]:
        context = container["securityContext"]
        assert not context["allowPrivilegeEscalation"]
        assert context["readOnlyRootFilesystem"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert "memory" in container["resources"]["limits"]


def test_kserve_has_these_fields() -> None:
    service = documents("kserve.yaml")["InferenceService"]
    assert service["apiVersion"] == "serving.kserve.io/v1beta1"
    assert set(service) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(service["spec"]) == {"predictor"}
    predictor = service["spec"]["predictor"]
    for values, fields in ((predictor, PREDICTOR), (predictor["model"], MODEL)):
        assert set(values) == set(fields)
        for name, kind in fields.items():
            assert isinstance(values[name], kind), name
    model = predictor["model"]
    assert model["modelFormat"] == {"name": "tensorflow"}
    assert model["runtimeVersion"] == TENSORFLOW
    assert model["storageUri"].startswith("pvc://")
    assert model["storageUri"].endswith(f"/serving/{service['metadata']['name']}")
    # The container's part is Kubernetes' own, so it can be checked as such.
    container = {"name": "c", "image": "i", "resources": model["resources"]}
    validate(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"},
            "spec": {"containers": [container]},
        }
    )


def test_every_file_here_is_checked() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {"serving.yaml", "kserve.yaml"}
