"""One version of a model in memory: its signatures, and how they are called."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from serving import tensors
from serving.errors import Code, ServingError, invalid

DEFAULT_SIGNATURE = "serving_default"
# As TensorFlow Serving limits them.
_MOST_WARM_UP_REQUESTS = 1000
_MOST_WORDS = 300
# What tells of nodes in TensorFlow's messages, and which kind of node failed.
_NOISE = re.compile(
    r"Graph execution error:|Detected at node.*|Node: .*|File \".*|\d+ root error.*"
    r"|\(0\) [A-Z_]+:|\{\{[^}]*\}\}|\s*\[\[.*|\s*\[Op:.*|, value: '.*|jpeg::Uncompress failed\."
)
_DECODER = re.compile(r"node \S*Decode(Png|Jpeg|Image|Gif|Bmp)")


class Model:
    """A SavedModel.

    Attributes:
      signatures: SignatureDef by name.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        """Loads it and plays its warm-up requests.

        Args:
          folder: of the SavedModel.
          limit: bytes that a tensor of a request may take.

        Raises:
          ServingError: it cannot be loaded, or does not answer its warm-up requests.
        """
        self._limit = limit
        try:
            saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
            graphs = [graph for graph in saved.meta_graphs if "serve" in graph.meta_info_def.tags]
            self.signatures: Mapping[str, Any] = dict(graphs[0].signature_def)
            self._owner = tf.saved_model.load(str(folder), tags=["serve"])
            self._functions = dict(self._owner.signatures)
        except Exception as error:  # TensorFlow raises many kinds for a damaged file
            raise ServingError(
                Code.FAILED_PRECONDITION, f"{folder} cannot be loaded: {_words(error)}."
            ) from error
        if not self._functions:
            raise ServingError(Code.FAILED_PRECONDITION, f"{folder} has no signature to call.")
        try:
            for request in _warm_up_requests(folder):
                self.answer(request)
        except Exception as error:
            raise ServingError(
                Code.FAILED_PRECONDITION,
                f"{folder} does not answer its own warm-up requests: {_words(error)}.",
            ) from error

    def signature(self, name: str) -> Any:
        """A SignatureDef.

        Raises:
          ServingError: there is none of this name.
        """
        if name not in self._functions:
            known = ", ".join(sorted(self._functions))
            raise invalid(f'Serving signature key "{name}" not found; there are {known}.')
        return self.signatures[name]

    def answer(self, request: Any) -> dict[str, np.ndarray]:
        """What a PredictRequest asks for; its model's name and version are not looked at.

        Raises:
          ServingError: the request is at fault, or the model failed on it.
        """
        name = request.model_spec.signature_name or DEFAULT_SIGNATURE
        # Before any of them takes memory.
        _check_names(self.signature(name), request.inputs)
        inputs = {
            key: tensors.to_array(value, self._limit) for key, value in request.inputs.items()
        }
        return self.predict(name, inputs, request.output_filter)

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], wanted: Sequence[str] = ()
    ) -> dict[str, np.ndarray]:
        """The outputs of a signature.

        Args:
          name: of the signature.
          inputs: arrays by the signature's names; strings as objects that are bytes.
          wanted: names of outputs; all if there is none.

        Raises:
          ServingError: the inputs do not fit the signature, or the model failed on them.
        """
        signature = self.signature(name)
        _check(signature, inputs)
        for place, output in enumerate(wanted):
            if output not in signature.outputs:
                known = ", ".join(sorted(signature.outputs))
                raise invalid(f'The signature "{name}" has no output "{output}"; it has {known}.')
            if output in wanted[:place]:
                raise invalid(f'The output "{output}" is asked for twice.')
        try:
            given = {
                key: tf.constant(value, tf.dtypes.as_dtype(signature.inputs[key].dtype))
                for key, value in inputs.items()
            }
            outputs = self._functions[name](**given)
            return {key: outputs[key].numpy() for key in wanted or sorted(signature.outputs)}
        except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
            # The latter where TensorFlow's message quotes bytes of the request.
            what = "An image cannot be decoded" if _DECODER.search(str(error)) else "Bad request"
            raise invalid(f"{what}: {_words(error)}.") from error
        except (tf.errors.ResourceExhaustedError, MemoryError) as error:
            raise ServingError(
                Code.RESOURCE_EXHAUSTED, "The request needs more memory than there is."
            ) from error
        except Exception as error:
            raise ServingError(
                Code.INTERNAL, f"The model failed on the request: {_words(error)}."
            ) from error


def _check(signature: Any, inputs: Mapping[str, np.ndarray]) -> None:
    """Raises ServingError where inputs are not those of the signature."""
    _check_names(signature, inputs)
    for name, array in inputs.items():
        wanted = signature.inputs[name]
        kind = tensors.KINDS.get(wanted.dtype)
        if kind is None or array.dtype != np.dtype(kind.name):
            given = "string" if array.dtype == object else array.dtype.name
            raise invalid(
                f'The input "{name}" is {tensors.name_of(wanted.dtype)}; the request gives {given}.'
            )
        if not _fits(wanted.tensor_shape, array.shape):
            shape = _shape(dimension.size for dimension in wanted.tensor_shape.dim)
            raise invalid(
                f'The input "{name}" has the shape {shape}; the request gives '
                f"{_shape(array.shape)}."
            )
        if array.size == 0:
            raise invalid(f'The input "{name}" of shape {_shape(array.shape)} holds nothing.')


def _check_names(signature: Any, inputs: Iterable[str]) -> None:
    if set(inputs) != set(signature.inputs):
        raise invalid(
            f"The signature takes {_listed(signature.inputs)}; the request gives "
            f"{_listed(inputs) or 'nothing'}."
        )


def _fits(wanted: Any, shape: Sequence[int]) -> bool:
    """Whether a shape is one that a TensorShapeProto allows."""
    sizes = [dimension.size for dimension in wanted.dim]
    return wanted.unknown_rank or (
        len(sizes) == len(shape) and all(size in (-1, given) for size, given in zip(sizes, shape))
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in sorted(names))


def _shape(sizes: Iterable[int]) -> str:
    return f"[{', '.join('?' if size < 0 else str(size) for size in sizes)}]"


def _words(error: BaseException) -> str:
    """What a client understands of an exception: TensorFlow's tell of nodes and tracebacks."""
    if isinstance(error, ServingError):
        return error.message.rstrip(".")
    if isinstance(error, UnicodeDecodeError):
        text = error.object.decode("utf-8", "replace")
    else:
        text = str(error)
    text = text.rpartition("<stack traces unavailable>")[2]
    lines = [_NOISE.sub("", line).strip(" .\t") for line in text.splitlines()]
    words = next(filter(None, lines), "")[:_MOST_WORDS]
    words = "".join(letter if letter.isprintable() else "?" for letter in words)
    return words or type(error).__name__


def _warm_up_requests(folder: Path) -> Iterable[Any]:
    """The PredictRequests that lie beside the model."""
    file = folder / "assets.extra" / "tf_serving_warmup_requests"
    if not file.is_file():
        return
    for record in tf.data.TFRecordDataset(str(file)).take(_MOST_WARM_UP_REQUESTS):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.HasField("predict_log"):
            yield log.predict_log.request
