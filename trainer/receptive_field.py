"""The receptive field: which pixels of the input a pixel of the output can depend on.

Araujo, Norris, Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill 2019
(https://doi.org/10.23915/distill.00021). Their recurrence for the region that an output pixel sees
is followed backwards from the output, layer by layer; where paths meet the regions are joined, so
that the field is the largest over all paths. It is worked out in whole pixels for every place of
an output pixel within a period of the network, because up-sampling gives neighbouring pixels
fields of different sizes. The field is theoretical: what lies at its rim hardly counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

from trainer.layer_graph import LayerGraph, Shape, Step

Span = tuple[int, int]
"""First and last index along an axis, inclusive; of an endless image, so they may be negative."""


class ReceptiveField(NamedTuple):
    """Of a network's output.

    Attributes:
      height, width: in pixels of the input; None where it is the whole image, whatever its size.
      stride: of the coarsest feature map, in pixels of the input.
    """

    height: int | None
    width: int | None
    stride: int


class _WholeImageError(Exception):
    """A layer looks at all of its input."""


def receptive_field(graph: LayerGraph) -> ReceptiveField:
    """The largest receptive field of any pixel of the first output.

    Args:
      graph: `layer_graph.trace` of a functional model and the size of its input. Any size does
        that its layers divide evenly.

    Raises:
      NotImplementedError: it has a layer of which it is not known what it looks at.

    >>> inputs = keras.Input((64, 64, 1))
    >>> x = keras.layers.Conv2D(1, 3, padding="same")(inputs)
    >>> x = keras.layers.MaxPooling2D(2)(x)
    >>> receptive_field(trace(keras.Model(inputs, x)))
    ReceptiveField(height=4, width=4, stride=2)
    """
    sides = [_side(graph, axis) for axis in (1, 2)]
    return ReceptiveField(sides[0], sides[1], stride(graph))


def stride(graph: LayerGraph) -> int:
    """How many pixels of the input a pixel of the coarsest feature map stands for."""
    return round(max(_pixels(graph).values()))


def _pixels(graph: LayerGraph) -> dict[int, Fraction]:
    """How many pixels of the input a pixel of each map stands for, on each axis."""
    pixels = dict.fromkeys(graph.inputs, Fraction(1))
    for step in graph.steps:
        (source, *_), (target, *_) = step.inputs, step.outputs
        if len(graph.shapes[target]) == 4 and source in pixels:
            pixels[target] = pixels[source] * _coarser(_Call(graph, step, 1, 0))
    return pixels


def _coarser(call: _Call) -> Fraction:
    """How many pixels of its input a pixel of a layer's output stands for, on each axis."""
    rule = _rule(call.layer)
    if rule in (_convolution, _pooling):
        return Fraction(call.along(call.layer.strides))
    if rule is _transposed:
        return Fraction(1, call.along(call.layer.strides))
    # What is padded, cropped or looked at through a window has another size and is as fine.
    return Fraction(call.taken, call.given) if rule is _upsampling else Fraction(1)


def _side(graph: LayerGraph, axis: int) -> int | None:
    """The field's extent along an axis, 1 or 2."""
    (source, *_), (target, *_) = graph.inputs, graph.outputs
    extent = graph.shapes[target][axis]
    assert extent is not None, "the size of the input must be known"
    period = min(_period(graph, target), extent)
    first = (extent - period) // 2
    try:
        spans = [_back(graph, axis, source, target, at) for at in range(first, first + period)]
    except _WholeImageError:
        return None
    return max((last - first + 1 for first, last in spans), default=0)


def _period(graph: LayerGraph, target: int) -> int:
    """After how many pixels of the output their fields repeat: the coarsest map's step there."""
    pixels = _pixels(graph)
    return math.ceil(max(pixels.values()) / pixels[target])


def _back(graph: LayerGraph, axis: int, source: int, target: int, at: int) -> Span:
    """What the output at one place sees of the input."""
    seen: dict[int, Span] = {target: (at, at)}
    for step in reversed(graph.steps):
        wanted = [seen[number] for number in step.outputs if number in seen]
        if not wanted:
            continue
        joined = (min(first for first, _ in wanted), max(last for _, last in wanted))
        for place, number in enumerate(step.inputs):
            found = _rule(step.layer)(_Call(graph, step, axis, place), joined)
            if found[0] > found[1]:
                continue  # between the pixels that a transposed convolution spreads
            before = seen.get(number, found)
            seen[number] = (min(before[0], found[0]), max(before[1], found[1]))
    return seen.get(source, (0, -1))


class _Call(NamedTuple):
    """One step along one axis, for one of its inputs."""

    graph: LayerGraph
    step: Step
    axis: int
    place: int

    @property
    def layer(self) -> Any:
        return self.step.layer

    def along(self, values: Any) -> int:
        """The layer's value for this axis, of one that it has for both."""
        return int(values[self.axis - 1])

    @property
    def taken(self) -> int:
        """Extent of the input."""
        return _extent(self.graph.shapes[self.step.inputs[self.place]], self.axis)

    @property
    def given(self) -> int:
        """Extent of the output."""
        return _extent(self.graph.shapes[self.step.outputs[0]], self.axis)


def _extent(shape: Shape, axis: int) -> int:
    extent = shape[axis] if len(shape) == 4 else 1
    assert extent is not None, "the size of the input must be known"
    return extent


Rule = Callable[[_Call, Span], Span]


def _pointwise(call: _Call, span: Span) -> Span:
    del call
    return span


def _whole(call: _Call, span: Span) -> Span:
    raise _WholeImageError


def _window(kernel: int, step: int, before: int, span: Span) -> Span:
    """Araujo et al., equations of the region: u' = s u - p, v' = s v - p + k - 1."""
    return span[0] * step - before, span[1] * step - before + kernel - 1


def _padding(call: _Call, kernel: int, step: int) -> int:
    """Zeros before the first pixel, as TensorFlow puts them."""
    if call.layer.padding == "valid":
        return 0
    return max((-(-call.taken // step) - 1) * step + kernel - call.taken, 0) // 2


def _convolution(call: _Call, span: Span) -> Span:
    layer = call.layer
    kernel = (call.along(layer.kernel_size) - 1) * call.along(layer.dilation_rate) + 1
    step = call.along(layer.strides)
    return _window(kernel, step, _padding(call, kernel, step), span)


def _pooling(call: _Call, span: Span) -> Span:
    kernel, step = call.along(call.layer.pool_size), call.along(call.layer.strides)
    return _window(kernel, step, _padding(call, kernel, step), span)


def _transposed(call: _Call, span: Span) -> Span:
    """The gradient of a convolution: input i reaches outputs s i - p to s i - p + k - 1."""
    layer = call.layer
    kernel, step = call.along(layer.kernel_size), call.along(layer.strides)
    before = max(kernel - step, 0) // 2 if layer.padding == "same" else 0
    return -((kernel - 1 - before - span[0]) // step), (span[1] + before) // step


def _resized(call: _Call, span: Span, smooth: bool) -> Span:
    """Pixel centres keep their place: output o lies at (o + 1/2) / f - 1/2 of the input."""
    ratio = Fraction(call.taken, call.given)
    if not smooth:
        half = Fraction(1, 2)
        return math.floor((span[0] + half) * ratio), math.floor((span[1] + half) * ratio)
    low, high = ((2 * end + 1) * ratio / 2 - Fraction(1, 2) for end in span)
    return math.floor(low), math.ceil(high)


def _upsampling(call: _Call, span: Span) -> Span:
    return _resized(call, span, getattr(call.layer, "interpolation", "nearest") != "nearest")


def _zero_padding(call: _Call, span: Span) -> Span:
    before = int(call.layer.padding[call.axis - 1][0])
    return span[0] - before, span[1] - before


def _cropping(call: _Call, span: Span) -> Span:
    before = int(call.layer.cropping[call.axis - 1][0])
    return span[0] + before, span[1] + before


def _dilated_pooling(call: _Call, span: Span) -> Span:
    """Of two pixels so far apart, not padded."""
    return span[0], span[1] + int(call.layer.dilation_rate)


def _own(call: _Call, span: Span) -> Span:
    """A layer of ours says it itself."""
    return call.layer.sees(span, call.axis, call.taken, call.given)


# By the name of a layer's class, or of one that it derives from.
_RULES: dict[str, Rule] = {
    "Conv2DTranspose": _transposed,
    **dict.fromkeys(("Conv2D", "DepthwiseConv2D", "SeparableConv2D"), _convolution),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D"), _pooling),
    **dict.fromkeys(("UpSampling2D", "Resizing", "MaxUnpooling2D"), _upsampling),
    "DilatedMaxPooling2D": _dilated_pooling,
    "ZeroPadding2D": _zero_padding,
    "Cropping2D": _cropping,
    **dict.fromkeys(
        ("GlobalAveragePooling2D", "GlobalMaxPooling2D", "Flatten", "GroupNormalization"), _whole
    ),
    **dict.fromkeys(
        (
            "InputLayer", "Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax",
            "BatchNormalization", "LayerNormalization", "LocalResponseNormalization",
            "Normalization", "Rescaling",
            "Dropout", "SpatialDropout2D", "GaussianNoise", "Dense",
            "Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum",
        ),
        _pointwise,
    ),
}  # fmt: skip


def _rule(layer: Any) -> Rule:
    if hasattr(layer, "sees"):
        return _own
    for kind in type(layer).__mro__:
        if kind.__name__ in _RULES:
            return _RULES[kind.__name__]
    raise NotImplementedError(
        f"it is not known which pixels a layer {type(layer).__name__} ({layer.name}) looks at"
    )
