"""What a functional Keras model is made of: its layers in order, each with the tensors it takes.

Models inside a model are opened, so that whoever walks the graph meets layers alone. Sizes are
computed here from the size of the input, because the tensors inside such a model have none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class Step:
    """One call of one layer.

    Attributes:
      layer: the Keras layer.
      inputs: numbers of the tensors that it takes.
      outputs: numbers of the tensors that it gives.
    """

    layer: Any
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class LayerGraph:
    """The layers of a model.

    Attributes:
      steps: each after those whose tensors it takes.
      shapes: of each tensor, (N, H, W, C) with N unknown.
      inputs, outputs: numbers of the model's own tensors.
    """

    steps: list[Step]
    shapes: dict[int, Shape]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def trace(model: Any, shapes: Sequence[Shape] | None = None) -> LayerGraph:
    """Opens a functional model.

    Args:
      model: a `keras.Model` made of inputs and outputs.
      shapes: of its inputs; by default those that it was built for.

    Raises:
      TypeError: a layer is a model of its own kind, whose layers cannot be seen.
    """
    given = [tuple(tensor.shape) for tensor in model.inputs] if shapes is None else list(shapes)
    found = LayerGraph([], {}, tuple(range(len(given))), ())
    found.shapes.update(enumerate(given))
    outputs = _open(model, found, list(found.inputs))
    return dataclasses.replace(found, outputs=tuple(outputs))


def _open(model: Any, found: LayerGraph, inputs: Sequence[int]) -> list[int]:
    """Adds a model's layers, which get the tensors of these numbers; gives those of its outputs."""
    numbers = {id(tensor): number for tensor, number in zip(model.inputs, inputs)}

    # Not by recursion: a deep network has more layers than Python has stack.
    waiting = list(reversed(model.outputs))
    while waiting:
        tensor = waiting[-1]
        if id(tensor) in numbers:
            waiting.pop()
            continue
        # The way back from a tensor to the call that gave it: no public one, and the same in
        # Keras 2 and 3.
        layer, place = tensor._keras_history[:2]
        node = layer._inbound_nodes[place]
        taken = tf.nest.flatten(getattr(node, "keras_inputs", node.input_tensors))
        missing = [one for one in taken if id(one) not in numbers]
        if missing:
            waiting += reversed(missing)
            continue
        given = tf.nest.flatten(node.outputs)
        sources = [numbers[id(one)] for one in taken]
        if hasattr(layer, "layers") and hasattr(layer, "inputs"):
            targets = _open(layer, found, sources)
        else:
            targets = _call(layer, found, sources, given)
        numbers.update((id(one), number) for one, number in zip(given, targets))
    return [numbers[id(tensor)] for tensor in model.outputs]


def _call(layer: Any, found: LayerGraph, sources: list[int], given: Sequence[Any]) -> list[int]:
    targets = list(range(len(found.shapes), len(found.shapes) + len(given)))
    for target, shape in zip(targets, _shapes(layer, found, sources, given), strict=True):
        found.shapes[target] = shape
    found.steps.append(Step(layer, tuple(sources), tuple(targets)))
    return targets


def _shapes(
    layer: Any, found: LayerGraph, sources: Sequence[int], given: Sequence[Any]
) -> list[Shape]:
    known = [tuple(one.shape) for one in given]
    if all(None not in shape[1:] for shape in known):
        return known
    taken = [found.shapes[source] for source in sources]
    try:
        computed = layer.compute_output_shape(taken[0] if len(taken) == 1 else taken)
    except NotImplementedError:
        # Keras finds it for its own layers alone where nothing is run.
        asked = [keras.Input(batch_shape=shape) for shape in taken]
        outputs = tf.nest.flatten(layer(asked[0] if len(asked) == 1 else asked))
        return [tuple(one.shape) for one in outputs]
    if isinstance(computed, tf.TensorShape) or not isinstance(computed[0], (tuple, tf.TensorShape)):
        computed = [computed]
    return [tuple(tf.TensorShape(shape).as_list()) for shape in computed]
