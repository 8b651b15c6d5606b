"""A connection by REST: `/v1/models/...`; tensors travel as columns of JSON."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import requests

from serving.errors import HTTP_STATUS, Code, ServingError
from serving.transport import (
    METADATA,
    Signature,
    Target,
    Tensor,
    VersionStatus,
    is_here,
    tensor,
)


class Rest:
    """A Transport."""

    def __init__(self, host: str, url: str, limit: int) -> None:
        """Connects when it is first asked.

        Args:
          host: of the URL.
          url: in front of `/v1/models`.
          limit: bytes that an answer may have.
        """
        self._url, self._limit = url.rstrip("/"), limit
        self._session = requests.Session()
        self._session.trust_env = not is_here(host)

    def predict(
        self,
        target: Target,
        signature: str,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, Tensor],
        timeout: float,
    ) -> dict[str, np.ndarray]:
        """See Transport."""
        values = {name: _to_json(array) for name, array in inputs.items()}
        body = {"signature_name": signature, "inputs": values}
        told = self._call("POST", target, ":predict", timeout, body)["outputs"]
        if len(outputs) == 1:
            told = dict.fromkeys(outputs, told)
        return {name: _from_json(told[name], info) for name, info in outputs.items()}

    def status(self, target: Target, timeout: float) -> list[VersionStatus]:
        """See Transport."""
        told = self._call("GET", target, "", timeout)
        return [
            VersionStatus(
                int(version["version"]),
                version["state"],
                version.get("status", {}).get("error_message", ""),
            )
            for version in told["model_version_status"]
        ]

    def signatures(self, target: Target, timeout: float) -> tuple[int, dict[str, Signature]]:
        """See Transport."""
        told = self._call("GET", target, "/metadata", timeout)
        found = told["metadata"][METADATA][METADATA]
        return int(told["model_spec"]["version"]), {
            name: Signature(
                _tensors_of_json(signature.get("inputs", {})),
                _tensors_of_json(signature.get("outputs", {})),
            )
            for name, signature in found.items()
        }

    def close(self) -> None:
        """See Transport."""
        self._session.close()

    def _call(
        self, method: str, target: Target, suffix: str, timeout: float, body: Any = None
    ) -> Any:
        version = "" if target.version is None else f"/versions/{target.version}"
        url = f"{self._url}/v1/models/{target.name}{version}{suffix}"
        try:
            response = self._session.request(method, url, json=body, timeout=timeout)
        except requests.Timeout:
            raise ServingError(
                Code.DEADLINE_EXCEEDED, f"{self._url} did not answer in {timeout:.3g} s."
            ) from None
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            raise ServingError(
                Code.UNAVAILABLE, f"No REST server answers at {self._url}."
            ) from None
        except requests.RequestException as error:
            raise ServingError(Code.INVALID_ARGUMENT, f"{url}: {error}.") from None
        try:
            told = response.json()
        except ValueError:
            told = {}
        if response.status_code == 200 and told:
            return told
        words = told.get("error") if isinstance(told, dict) else None
        raise ServingError(
            _code(response.status_code),
            words or f"{url} answered {response.status_code} {response.reason}, not JSON.",
        )


def _code(status: int) -> Code:
    """The first code of a status; a proxy may give any."""
    if status in (429, 502):
        return Code.RESOURCE_EXHAUSTED if status == 429 else Code.UNAVAILABLE
    codes = (code for code, number in HTTP_STATUS.items() if number == status)
    return next(codes, Code.UNKNOWN)


def _tensors_of_json(infos: Mapping[str, Any]) -> dict[str, Tensor]:
    """Of metadata's JSON: DT_FLOAT, and sizes as text."""
    names = {"dt_float": "float32", "dt_double": "float64", "dt_half": "float16"}
    found = {}
    for name, info in infos.items():
        dtype, shape = info["dtype"].lower(), info["tensor_shape"]
        sizes = [int(dimension["size"]) for dimension in shape.get("dim", [])]
        found[name] = tensor(
            names.get(dtype, dtype.removeprefix("dt_")),
            None if shape.get("unknown_rank") else sizes,
        )
    return found


def _to_json(array: np.ndarray) -> Any:
    if array.dtype != object:
        return array.tolist()
    coded = np.empty(array.size, object)
    coded[:] = [{"b64": base64.b64encode(value).decode()} for value in array.ravel()]
    return coded.reshape(array.shape).tolist()


def _from_json(value: Any, info: Tensor) -> np.ndarray:
    if info.dtype != "object":
        return np.array(value, info.dtype)
    array = np.array(value, object)  # of text, or of {"b64": ...}
    coded = np.empty(array.size, object)
    coded[:] = [
        base64.b64decode(item["b64"]) if isinstance(item, dict) else item.encode()
        for item in array.ravel()
    ]
    return coded.reshape(array.shape)
