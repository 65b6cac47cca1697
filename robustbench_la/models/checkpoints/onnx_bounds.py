"""What an ONNX file may ask for: no more operators, and no larger tensors for an image, than networks of images have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError, first_line
from robustbench_la.models.checkpoints.onnx_cost import is_small
from robustbench_la.models.checkpoints.onnx_trial import runs_within
from robustbench_la.models.libraries import library
from robustbench_la.text import quoted

_MOST_NODES = 20_000
_LARGEST = 2**25
"""Values of a tensor between two operators, for one image: 64 channels of 724 x 724 values."""
_TIMES = 32
"""How many times as many images show whether tensors grow faster than their number."""
_MEGABYTES, _SECONDS = 128, 1.5
"""What any file may take where it is tried; larger ones, and those of larger images, may take more."""
_MOST_FUNCTIONS = 500
_SHAPES = 1000
"""Values up to which a constant may be a shape; larger ones are weights."""
_SIZED_BY: Mapping[str, Sequence[int]] = {
    "Range": (0, 1, 2), "Expand": (1,), "Reshape": (1,), "ConstantOfShape": (0,), "Tile": (1,), "Slice": (1, 2, 3, 4),
    "Pad": (1, 3), "Resize": (1, 2, 3), "Upsample": (1,), "OneHot": (1,), "TopK": (1,), "Split": (1,), "NonZero": (0,),
    "Unique": (0,), "Compress": (1,), "NonMaxSuppression": (0, 1, 2, 3, 4), "If": (0,), "CenterCropPad": (1,), "Col2Im": (1, 2),
    "DFT": (1, 2), "STFT": (1, 3), "HannWindow": (0,), "HammingWindow": (0,), "BlackmanWindow": (0,), "MaxUnpool": (2,),
    "MelWeightMatrix": (0, 1, 2), "SequenceAt": (1,), "SplitToSequence": (1,), "StringSplit": (0,),
    "AffineGrid": (1,), "ImageDecoder": (0,),
}  # fmt: skip
"""Operators, and which of their inputs decide by their values how large the output is."""
_SIZES = ("Shape", "Size")
"""Operators whose output depends on how large their input is, and not on its values."""


class OnnxBounds:
    """The limits of one file. What is known to be cheap is run at once; anything else is first run within limits elsewhere."""

    def __init__(self, model: Any, path: Path, dtype: str, *, stored: int) -> None:
        """Check what does not depend on the size of images.

        Args:
            model: As onnx reads it.
            path: Where it is.
            dtype: Of its input, as NumPy calls it.
            stored: Bytes of the file, and of those with its weights.

        Raises:
            UserError: If it has too many operators, or some that make no bound possible.
        """
        _check_nodes(model)
        self._path, self._dtype, self._megabytes = path, dtype, stored // 2**20
        self._sketch = _sketch(model)
        declared = sum(math.prod(tensor.dims) for tensor in self._sketch.graph.initializer)
        if declared > 8 * stored:
            raise UserError(f"its weights declare {declared:,} values, but {stored:,} bytes are stored")
        if next(_depends_on_values(self._sketch.graph, _inputs(self._sketch)), None) is not None:
            raise UserError("computes tensors whose sizes depend on what an image shows; export it without")
        self._allowed: set[tuple[int, ...]] = set()

    def check(self, shape: Sequence[int]) -> None:
        """Check a network before it is run on inputs of a shape for the first time.

        Args:
            shape: (N, C, H, W), or in the order of the file.

        Raises:
            UserError: If it computes tensors that are too large, or needs more memory or time than networks of images do.
        """
        shape = tuple(shape)
        any_number = (0, *shape[1:])
        if {shape, any_number} & self._allowed:
            return
        if self._is_small(shape):
            self._allowed.add(any_number)
            return
        images, inputs = max(1, *shape[:1]), 4 * math.prod(shape[1:]) / 2**20
        megabytes = int(_MEGABYTES + 4 * self._megabytes + 256 * images * inputs)
        seconds = round(_SECONDS + images * (self._megabytes + inputs) / 16, 1)
        if not runs_within(self._path, self._dtype, shape, megabytes=megabytes, seconds=seconds):
            raise UserError(
                f"does not run on inputs of {_times(shape)} values within {megabytes:,} MB and {seconds:g} s of the processor, "
                "as networks of images with a file of this size do"
            )
        self._allowed.add(shape)

    def _is_small(self, shape: Sequence[int]) -> bool:
        """Whether what is computed is known, and little for any number of images. Raises UserError for tensors without bound."""
        fixed = any(sizes and sizes[0] > 0 for sizes in map(_sizes, _inputs(self._sketch)))
        # A single image is repeated where another size is expected, two are not.
        sizes_of = {images: self._inferred((images, *shape[1:])) for images in ((shape[0],) if fixed else (1, 2, 2 * _TIMES))}
        *several, tensors = sizes_of.values()
        for images, sizes in ((images, sizes) for images, known in sizes_of.items() for sizes in known.values()):
            if math.prod(sizes) > _LARGEST * max(1, images):
                raise UserError(f"computes a tensor of {_times(sizes)} values, more than networks of images have")
        if not all(is_small(self._sketch.graph, known, (images, *shape[1:])) for images, known in sizes_of.items()):
            return False
        return not several or all(
            math.prod(sizes) <= _TIMES * math.prod(several[-1].get(name, [0])) for name, sizes in tensors.items()
        )

    def _inferred(self, shape: Sequence[int]) -> dict[str, list[int]]:
        """The sizes of all tensors that are known for inputs of a shape."""
        library("onnx")
        import onnx.shape_inference

        sketch = type(self._sketch)()
        sketch.CopyFrom(self._sketch)
        for entry in _inputs(sketch):
            for dimension, size in zip(entry.type.tensor_type.shape.dim, shape, strict=False):
                dimension.dim_value = dimension.dim_value or size
        del sketch.graph.value_info[:]  # what the file says of them itself
        for entry in sketch.graph.output:
            entry.type.tensor_type.ClearField("shape")
        try:
            graph = onnx.shape_inference.infer_shapes(sketch, data_prop=True).graph
        except Exception:  # it raises its own for contradictions, of which onnxruntime then says more
            return {}
        known = {value.name: _sizes(value) for value in (*graph.input, *graph.value_info, *graph.output)}
        return {name: sizes for name, sizes in known.items() if sizes is not None and min(sizes, default=0) >= 0}


def nodes_of(model: Any) -> Iterator[Any]:
    """All nodes, also those of loops, branches and functions."""
    graphs = [model.graph, *model.functions]
    while graphs:
        for node in graphs.pop().node:
            yield node
            for attribute in node.attribute:
                graphs += [attribute.g] if attribute.HasField("g") else list(attribute.graphs)


def _times(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def _sizes(value: Any) -> list[int] | None:
    """The sizes of a tensor, -1 for those that are not known; None if it is not known how many there are."""
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type") or not kind.HasField("shape"):
        return None
    return [dimension.dim_value if dimension.HasField("dim_value") else -1 for dimension in kind.shape.dim]


def _inputs(model: Any) -> list[Any]:
    constants = {tensor.name for tensor in model.graph.initializer}
    return [entry for entry in model.graph.input if entry.name not in constants]


def _check_nodes(model: Any) -> None:
    """Raise UserError for too many operators, counted as often as functions are called."""
    counts: dict[tuple[str, ...], int] = {}
    bodies = {(function.domain, function.name): function for function in model.functions}

    def count(nodes: Any, within: tuple[tuple[str, ...], ...]) -> int:
        total = 0
        for node in nodes:
            total += 1 + (node.ByteSize() // 10_000 if within else 0)  # what a function holds is copied with each call
            name = (node.domain, node.op_type)
            if name in within:
                raise UserError(f"its function {quoted(node.op_type)} calls itself")
            if name in bodies:
                if name not in counts:
                    counts[name] = count(bodies[name].node, (*within, name))
                total += counts[name]
            for attribute in node.attribute:
                for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                    total += count(graph.node, within)
            if total > _MOST_NODES:
                raise UserError(f"uses more than {_MOST_NODES:,} operators, the most that are read")
        return total

    if (plain := sum(1 for _ in nodes_of(model))) > _MOST_NODES:
        raise UserError(f"uses {plain:,} operators; at most {_MOST_NODES:,} are read")
    if len(model.functions) > _MOST_FUNCTIONS:  # each may call the next
        raise UserError(f"defines {len(model.functions):,} functions; at most {_MOST_FUNCTIONS} are read")
    if len(bodies) < len(model.functions):
        raise UserError("defines functions of the same name")
    count(model.graph.node, ())


def _sketch(model: Any) -> Any:
    """A model without functions, and without the values of its weights, of which only the shapes matter."""
    sketch = type(model)()
    sketch.CopyFrom(model)
    held = [attribute.t for node in nodes_of(sketch) for attribute in node.attribute if attribute.HasField("t")]
    for tensor in (*sketch.graph.initializer, *held):
        if math.prod(tensor.dims) > _SHAPES:
            for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"):
                tensor.ClearField(field)
    if not sketch.functions:
        return sketch
    library("onnx")
    import onnx.inliner

    try:
        return onnx.inliner.inline_local_functions(sketch)
    except Exception as error:  # it has its own for what cannot be
        raise UserError(f"not a readable ONNX file ({first_line(error)})") from None


def _depends_on_values(graph: Any, inputs: Sequence[Any], shown: frozenset[str] = frozenset()) -> Iterator[Any]:
    """The operators whose outputs are as large as what an image shows, or as what is drawn at random, makes them."""
    shown_here = {*shown, *(entry.name for entry in inputs)}
    for node in graph.node:
        deciding = _SIZED_BY.get(node.op_type, ())
        if any(place < len(node.input) and node.input[place] in shown_here for place in deciding):
            yield node
        for attribute in node.attribute:
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from _depends_on_values(inner, inner.input, frozenset(shown_here))
        random = node.op_type.startswith(("Random", "Multinomial", "Bernoulli"))
        holds_graphs = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
        if node.op_type not in _SIZES and (random or holds_graphs or not shown_here.isdisjoint(node.input)):
            shown_here.update(node.output)
