"""What an ONNX file may ask for: no more operators, and no larger tensors for an image, than networks of images have."""

from __future__ import annotations

import math
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.models.libraries import library

_MOST_NODES = 20_000
_LARGEST = 2**25
"""Values of a tensor between two operators, for one image: 64 channels of 724 x 724 values."""


def check_onnx(model: Any, nodes: int) -> None:
    """Check a network before it is built.

    Args:
        model: As onnx reads it.
        nodes: How many operators it has, those of branches and functions included.

    Raises:
        UserError: If it has too many operators, or computes tensors that are too large, as far as its sizes are fixed.
    """
    if nodes > _MOST_NODES:
        raise UserError(f"uses {nodes:,} operators; at most {_MOST_NODES:,} are read")
    sketch = type(model)()
    sketch.CopyFrom(model)
    for tensor in sketch.graph.initializer:
        if math.prod(tensor.dims) > 1000:  # weights: only their shapes matter, not their values
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
    images = 1
    for entry in sketch.graph.input:
        for place, dimension in enumerate(entry.type.tensor_type.shape.dim):
            if place == 0:
                images = max(images, dimension.dim_value)
                dimension.dim_value = dimension.dim_value or 1
    library("onnx")
    import onnx.shape_inference

    try:
        known = onnx.shape_inference.infer_shapes(sketch, data_prop=True).graph
    except Exception:  # it raises its own for contradictions, of which onnxruntime then says more
        return
    for value in (*known.value_info, *known.output):
        sizes = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        if math.prod(sizes) > _LARGEST * images:
            raise UserError(f"computes a tensor of {' x '.join(map(str, sizes))} values, more than networks of images have")
