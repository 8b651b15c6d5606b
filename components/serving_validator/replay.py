"""Compares what a served model answers with what the same model says when it is called directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import psutil
import tensorflow as tf

from components import records
from components.evaluation.confusion import confusion
from components.records import Layout
from components.serving_validator.checks import Check, limited
from components.serving_validator.config import ValidationConfig
from components.serving_validator.requests import Answer, Server
from serving.announcement import Announcement

# Sums in another order may tip a pixel that stands between two classes.
_DIFFERENT = 1e-3
_MOST_WORDS = 300


def replay(
    model: str,
    layout: Layout,
    serialized: list[bytes],
    served: Announcement,
    name: str,
    config: ValidationConfig,
) -> list[Check]:
    """Asks for the masks of records, in every way that a client may.

    Args:
      model: folder of the SavedModel.
      layout: of the records.
      serialized: records, each of another image.
      served: the server that has loaded the model.
      name: of the model there.
      config: the limits.

    Returns:
      The checks: signatures, answers, and the limits.
    """
    with Server(name, served.grpc, served.rest) as server:
        wanted = {"evaluate", "serving_default", "tensor"}
        if layout.has_file_format:
            wanted.add("probabilities")
        try:
            missing = wanted - server.signatures()
        except grpc.RpcError as error:
            told = f"the server does not tell the model's signatures: {_reason(error)}"
            return [Check("signatures", None, None, False, told)]
        if missing:
            told = f"the model has no signature {', '.join(sorted(missing))}"
            return [Check("signatures", None, None, False, told)]
        has_all = Check("signatures", None, None, True, f"it has {', '.join(sorted(wanted))}")
        try:
            expected = _Direct(model, layout, serialized)
        except tf.errors.OpError as error:
            told = f"the model cannot answer at all: {_shortened(error.message)}"
            return [has_all, Check("answers", None, None, False, told)]
        answers, found = _ask(server, expected, layout)
    memory = _peak_memory(served.pid) / 1e9
    if not answers:
        return [has_all, *found]
    latency = 1000 * float(np.median([answer.seconds for answer in answers]))
    size = max(answer.octets for answer in answers) / 1e6
    return [
        has_all,
        *found,
        limited(
            "latency",
            latency,
            config.max_latency_ms,
            f"an answer takes {latency:.0f} ms",
            "push.validation.max_latency_ms",
        ),
        limited(
            "memory",
            memory,
            config.max_memory_gb,
            f"the server needs {memory:.1f} GB",
            "push.validation.max_memory_gb",
        ),
        limited(
            "answer size",
            size,
            config.max_answer_mb,
            f"a mask has {size:.3f} MB",
            "push.validation.max_answer_mb",
        ),
    ]


class _Direct:
    """What the model says in this process, without a server in between."""

    def __init__(self, model: str, layout: Layout, serialized: list[bytes]) -> None:
        loaded: Any = tf.saved_model.load(model)
        tensor = loaded.signatures["tensor"]
        parsed = [records.parse(tf.constant(record), layout) for record in serialized]
        self.serialized = serialized
        self.images = [record["image"] for record in parsed]
        self.masks = [tensor(image=image[None])["mask"][0].numpy() for image in self.images]
        classes = len(layout.classes)
        self.confusions = np.stack(
            [
                confusion(record["mask"].numpy(), mask, classes).ravel()
                for record, mask in zip(parsed, self.masks)
            ]
        )


def _ask(server: Server, expected: _Direct, layout: Layout) -> tuple[list[Answer], list[Check]]:
    """The answers of `serving_default`, each to one image, and the checks of all answers."""
    answers: list[Answer] = []
    found = []

    def compare(what: str, ask: Callable[[int], np.ndarray]) -> None:
        try:
            shares = [_difference(mask, ask(place)) for place, mask in enumerate(expected.masks)]
        except (grpc.RpcError, RuntimeError, ValueError, KeyError, tf.errors.OpError) as error:
            told = f"{what} fails: {_reason(error)}"
            found.append(Check(what, None, _DIFFERENT, False, told))
            return
        worst = max(shares)
        told = (
            f"{what} gives the model's own masks"
            if worst <= _DIFFERENT
            else f"{what} gives other masks than the model itself, {worst:.1%} of the pixels differ"
        )
        found.append(Check(what, worst, _DIFFERENT, worst <= _DIFFERENT, told))

    def keep(answer: Answer) -> Answer:
        answers.append(answer)
        return answer

    if layout.has_file_format:
        files = [tf.io.encode_png(image).numpy() for image in expected.images]

        def mask(answer: Answer) -> np.ndarray:
            return tf.io.decode_png(keep(answer).outputs["mask_bytes"][0])[..., 0].numpy()

        def best(answer: Answer) -> np.ndarray:
            return np.argmax(answer.outputs["probabilities"][0], axis=-1)

        compare(
            "gRPC, serving_default",
            lambda place: mask(server.grpc("serving_default", image_bytes=[files[place]])),
        )
        compare("REST, serving_default", lambda place: mask(server.rest_mask(files[place])))
        compare(
            "gRPC, probabilities",
            lambda place: best(server.grpc("probabilities", image_bytes=[files[place]])),
        )
    else:
        compare(
            "gRPC, serving_default",
            lambda place: keep(
                server.grpc("serving_default", image=expected.images[place][None])
            ).outputs["mask"][0],
        )
    compare(
        "gRPC, tensor",
        lambda place: server.grpc("tensor", image=expected.images[place][None]).outputs["mask"][0],
    )
    found.append(_evaluate(server, expected))
    return answers, found


def _evaluate(server: Server, expected: _Direct) -> Check:
    """Whether the counts that the gate went by are those of the masks that are served."""
    name = "gRPC, evaluate"
    try:
        counts = server.grpc("evaluate", examples=expected.serialized).outputs["confusion"]
        if counts.shape != expected.confusions.shape:
            raise ValueError(f"its shape is {counts.shape}, not {expected.confusions.shape}")
    except (grpc.RpcError, ValueError, KeyError) as error:
        return Check(name, None, _DIFFERENT, False, f"{name} fails: {_reason(error)}")
    # A pixel that is called otherwise leaves one count and joins another.
    moved = np.abs(counts - expected.confusions).sum() / 2
    share = float(moved / max(expected.confusions.sum(), 1))
    if share <= _DIFFERENT:
        told = "the counts of the gate are those of the masks"
    else:
        told = f"the gate counted {share:.1%} of the pixels otherwise than the masks have them"
    return Check(name, share, _DIFFERENT, share <= _DIFFERENT, told)


def _difference(expected: np.ndarray, given: np.ndarray) -> float:
    """The share of pixels that differ.

    Raises:
      ValueError: the shapes do.
    """
    if given.shape != expected.shape:
        raise ValueError(f"a mask of {given.shape} is not one of {expected.shape}")
    return float(np.mean(given != expected))


def _peak_memory(pid: int) -> float:
    """Bytes that a process had at most; what it has now where the system does not tell."""
    try:
        with open(f"/proc/{pid}/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        return psutil.Process(pid).memory_info().rss
    except (OSError, psutil.Error):
        return 0.0  # it is gone; its last answers say why


def _reason(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return _shortened(str(error.details() if hasattr(error, "details") else error))
    return _shortened(str(error))


def _shortened(text: str) -> str:
    words = " ".join(text.split()).rstrip(".")
    return words if len(words) <= _MOST_WORDS else words[: _MOST_WORDS - 3] + "..."
