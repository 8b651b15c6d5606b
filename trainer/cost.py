"""What a network costs: parameters, and multiply-adds of one image of a stated size."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from trainer.layer_graph import LayerGraph, Shape, Step, trace
from trainer.models import registry
from trainer.receptive_field import ReceptiveField, receptive_field

SIDE = 512
"""Height and width of the image that costs are stated for."""


class Cost(NamedTuple):
    """Of one network.

    Attributes:
      parameters: weights, those that do not train (moving statistics) among them.
      multiply_adds: of an image of `SIDE` x `SIDE` pixels.
      input_side: height and width that the network is given for such an image; more where it pads
        nothing, or where its size comes in steps.
      field: its receptive field.
    """

    parameters: int
    multiply_adds: int
    input_side: int
    field: ReceptiveField


def cost(
    name: str, values: Mapping[str, Any], channels: int = 3, classes: int = 2, side: int = SIDE
) -> Cost:
    """Works out what an architecture costs, without making its weights.

    Args:
      name: one of the registry's.
      values: its options.
      channels: of the image.
      classes: K.
      side: height and width of the image, in pixels.
    """
    # In a graph that nobody runs variables are named and shaped, but never filled: VGG16's half a
    # gigabyte is not allocated.
    with tf.Graph().as_default():
        empty = without_weights(name, values)
        model = registry.build(name, empty, classes, [0.0] * channels, [1.0] * channels)
        found, graph = of_model(model, name, values, channels, side)
    # Keras 2 makes a class that is instantiated in such a graph one of its version 1, which spoils
    # the layers that there are already; another instance puts that right.
    kinds: set[Any] = {type(model), *(type(step.layer) for step in graph.steps)}
    for kind in kinds:
        kind.__new__(kind)
    return found


def of_model(
    model: keras.Model, name: str, values: Mapping[str, Any], channels: int, side: int = SIDE
) -> tuple[Cost, LayerGraph]:
    """The same of a model that there is, and its layers.

    Args:
      model: what `registry.build` made.
      name: of its architecture.
      values: its options.
      channels: of the image.
      side: height and width of the image, in pixels.
    """
    given = registry.geometry(name, values).input_size(side)
    graph = trace(model, [(None, given, given, channels)])
    spent = Cost(model.count_params(), multiply_adds(graph), given, receptive_field(graph))
    return spent, graph


def without_weights(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the same network as it is before weights are read from a file or the net."""
    takes_some = hasattr(registry.options(name, values), "weights")
    return {**values, **({"weights": "random"} if takes_some else {})}


def multiply_adds(graph: LayerGraph) -> int:
    """Multiplications, each with its addition, of convolutions and dense layers on one image.

    As papers count: biases, activations, pooling, additions and batch normalisation, which can be
    folded into the convolution before it, cost nothing here.

    Raises:
      NotImplementedError: a layer has a kernel, and it is not known what it does with it.
    """
    return sum(_of_step(graph, step) for step in graph.steps)


def _of_step(graph: LayerGraph, step: Step) -> int:
    names = {kind.__name__ for kind in type(step.layer).__mro__}
    taken = [graph.shapes[number] for number in step.inputs]
    given = [graph.shapes[number] for number in step.outputs]
    kernels = {
        weight.name.split("/")[-1].split(":")[0]: tuple(weight.shape)
        for weight in step.layer.weights
    }
    if "Conv2DTranspose" in names:
        # Each input pixel is spread by the whole kernel; weights are [kh, kw, out, in].
        return _places(taken[0]) * math.prod(kernels["kernel"])
    if "SeparableConv2D" in names:
        each = math.prod(kernels["depthwise_kernel"]) + math.prod(kernels["pointwise_kernel"])
        return _places(given[0]) * each
    if "DepthwiseConv2D" in names:
        return _places(given[0]) * math.prod(kernels["depthwise_kernel"])
    if names & {"Conv2D", "Dense"}:
        # Of a convolution in groups the kernel has the channels of one group already.
        return _places(given[0]) * math.prod(kernels["kernel"])
    if any(name.endswith("kernel") for name in kernels):
        raise NotImplementedError(f"what a layer {type(step.layer).__name__} costs is not known")
    return 0


def _places(shape: Shape) -> int:
    """Pixels of a feature map; 1 where it has no height and width."""
    return math.prod(extent or 0 for extent in shape[1:-1])
