"""What an ONNX graph costs, from the sizes of its tensors: known for the operators of ordinary networks only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_LEAST = 2**20
"""Values that any network may compute for an image."""
_PER_INPUT = 2048
"""Values that a network may compute for each value of an image: a wide ResNet computes 1,700."""
_MOST = 2**25
"""Values that are computed for an image at the most."""
_OPERATIONS = 2**32
"""Multiplications for an image."""
_PER_VALUE = frozenset({
    "Abs", "Add", "BatchNormalization", "Cast", "Ceil", "Celu", "Clip", "Concat", "Constant", "ConstantOfShape", "Div",
    "Dropout", "Elu", "Equal", "Erf", "Exp", "Expand", "Flatten", "Floor", "Gather", "Gelu", "GlobalAveragePool",
    "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "InstanceNormalization", "LayerNormalization", "LeakyRelu",
    "Log", "LogSoftmax", "Max", "Min", "Mish", "Mod", "Mul", "Neg", "PRelu", "Pad", "Pow", "Range", "Reciprocal", "ReduceMax",
    "ReduceMean", "ReduceSum", "Relu", "Reshape", "Selu", "Shape", "Sigmoid", "Sign", "Slice", "Softmax", "Softplus",
    "Softsign", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Tile", "Transpose", "Unsqueeze",
    "Where",
})  # fmt: skip
"""Operators that need a few operations for each value that they take or give."""


def is_small(graph: Any, sizes: Mapping[str, Sequence[int]], shape: Sequence[int]) -> bool:
    """Whether a graph computes little.

    Args:
        graph: Without functions and branches.
        sizes: Of its tensors, as far as they are known.
        shape: Of its input.

    Returns:
        False as well if a size or the cost of an operator is not known.
    """
    known: dict[str, Sequence[int]] = {**sizes, **{tensor.name: list(tensor.dims) for tensor in graph.initializer}}
    images = max(1, *shape[:1])
    values = operations = 0
    if graph.sparse_initializer:
        return False
    for node in graph.node:
        outputs = [name for name in node.output if name]
        if not {*outputs, *filter(None, node.input)} <= known.keys():
            return False
        given = sum(math.prod(known[name]) for name in outputs)
        taken = sum(math.prod(known[name]) for name in node.input if name)
        each = _each(node, known)
        if each is None:
            return False
        values, operations = values + given, operations + each * given + taken
    most = min(_MOST, max(_LEAST, _PER_INPUT * math.prod(shape[1:])))
    return values <= images * most and operations <= images * _OPERATIONS


def _each(node: Any, known: Mapping[str, Sequence[int]]) -> int | None:
    """About how many operations there are for each value of the output; None if that is not known."""
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type in _PER_VALUE:
        return 1
    shapes = [known[name] for name in node.input if name]
    if node.op_type == "Conv":
        return math.prod(shapes[1][1:])
    if node.op_type == "ConvTranspose":
        return math.prod(shapes[1])
    if node.op_type == "MatMul":
        return shapes[0][-1] if shapes[0] else None
    if node.op_type == "Gemm":
        return max(shapes[0], default=1)
    if node.op_type in ("MaxPool", "AveragePool"):
        return math.prod(next((attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"), []))
    return None
