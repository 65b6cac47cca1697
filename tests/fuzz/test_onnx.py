"""ONNX files with other operators, sizes, types and names: read, or refused in one line, with little time and memory."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import example, given
from hypothesis import strategies as st

from robustbench_la.models.checkpoints import onnx_trial

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

_TEXTS = ("\x1b[31mPASS", "\u202eevil", "::error::x\n::error::y", "a" * 5000, "", "../../x", "/dev/zero", "net.onnx")
_NUMBERS = (0, 1, -1, 2, 3, 7, 1000, 10**5, 2**31, 2**40, 2**62, -(2**63))
_OPERATORS = (
    "Relu", "Sigmoid", "MaxPool", "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Reshape", "Expand", "Tile", "Pad", "Resize",
    "Range", "ConstantOfShape", "NonZero", "TopK", "OneHot", "Softmax", "Einsum", "CumSum", "Gather", "Transpose", "Slice",
    "Concat", "RandomNormal", "LSTM", "DFT", "HannWindow", "Upsample", "SpaceToDepth", "DepthToSpace", "Col2Im", "Loop", "If",
    "EyeLike", "GridSample", "Multinomial", "StringNormalizer", "SequenceConstruct", "QuantizeLinear", "Cast", "Unsqueeze",
)  # fmt: skip


def _tensor(values: Any, name: str) -> Any:
    return onnx.numpy_helper.from_array(np.asarray(values), name)


def _valid() -> Any:
    """A convolution, an activation, pooling and a matrix."""
    helper, rng = onnx.helper, np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["images", "kernel"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MaxPool", ["b"], ["c"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Reshape", ["c", "sizes"], ["d"]),
        helper.make_node("Gemm", ["d", "matrix", "bias"], ["logits"]),
    ]
    constants = [
        _tensor(rng.normal(size=(2, 1, 3, 3)).astype(np.float32), "kernel"), _tensor([-1, 32], "sizes"),
        _tensor(rng.normal(size=(32, 10)).astype(np.float32), "matrix"), _tensor(np.zeros(10, np.float32), "bias"),
    ]  # fmt: skip
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("images", 1, ["N", 1, 8, 8])],
        [helper.make_tensor_value_info("logits", 1, ["N", 10])], constants,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _other_operator(draw: st.DrawFn, model: Any) -> None:
    node = draw(st.sampled_from(list(model.graph.node)))
    node.op_type = draw(st.sampled_from(_OPERATORS))
    if draw(st.booleans()):
        del node.attribute[:]


def _other_attribute(draw: st.DrawFn, model: Any) -> None:
    node = draw(st.sampled_from(list(model.graph.node)))
    name = draw(st.sampled_from(["kernel_shape", "pads", "strides", "dilations", "group", "axis", "alpha", "to", "ceil_mode"]))
    numbers = draw(st.lists(st.sampled_from(_NUMBERS), min_size=1, max_size=5))
    for place in [place for place, attribute in enumerate(node.attribute) if attribute.name == name]:
        del node.attribute[place]
    node.attribute.append(onnx.helper.make_attribute(name, draw(st.sampled_from([numbers, numbers[0], "text", 1.5]))))


def _other_constant(draw: st.DrawFn, model: Any) -> None:
    tensor = draw(st.sampled_from(list(model.graph.initializer)))
    how = draw(st.integers(0, 4))
    if how == 0:
        tensor.dims[draw(st.integers(0, len(tensor.dims) - 1))] = draw(st.sampled_from(_NUMBERS))
    elif how == 1:
        tensor.data_type = draw(st.integers(0, 25))
    elif how == 2:
        tensor.raw_data = draw(st.binary(max_size=40))
    elif how == 3:
        tensor.name = draw(st.sampled_from(_TEXTS))
    else:
        tensor.CopyFrom(_tensor(np.array(draw(st.lists(st.sampled_from(_NUMBERS), max_size=4)), np.int64), "sizes"))


def _another_node(draw: st.DrawFn, model: Any) -> None:
    """An operator between two others, sized by a new constant."""
    place = draw(st.integers(0, len(model.graph.node) - 1))
    node = model.graph.node[place]
    numbers = draw(st.lists(st.sampled_from(_NUMBERS), min_size=1, max_size=4))
    kind = draw(st.sampled_from([np.int64, np.float32]))
    model.graph.initializer.append(_tensor(np.array(numbers, np.float64).clip(-(2**62), 2**62).astype(kind), "drawn"))
    inputs = draw(
        st.sampled_from([[node.input[0], "drawn"], ["drawn"], ["drawn", "drawn", "drawn"], [node.input[0], "", "drawn"]])
    )
    added = onnx.helper.make_node(draw(st.sampled_from(_OPERATORS)), inputs, ["added"])
    if draw(st.booleans()):
        body = onnx.helper.make_graph([added], "body", [], [onnx.helper.make_tensor_value_info("added", 1, None)])
        model.graph.initializer.append(_tensor(np.array(True), "yes"))
        added = onnx.helper.make_node("If", ["yes"], ["added"], then_branch=body, else_branch=body)
    node.input[0] = "added"
    model.graph.node.insert(place, added)


def _other_names(draw: st.DrawFn, model: Any) -> None:
    text = draw(st.sampled_from(_TEXTS))
    how = draw(st.integers(0, 5))
    node = draw(st.sampled_from(list(model.graph.node)))
    if how == 0:
        node.domain = text
    elif how == 1:
        node.op_type = text
    elif how == 2:
        node.input[0] = text
    elif how == 3:
        model.graph.output[0].name = text
    elif how == 4:
        entry = model.graph.initializer[0].external_data.add()
        entry.key, entry.value = "location", text
        model.graph.initializer[0].data_location = 1
    else:
        model.opset_import[0].domain = text


def _other_input(draw: st.DrawFn, model: Any) -> None:
    entry = draw(st.sampled_from([model.graph.input[0], model.graph.output[0]]))
    if draw(st.booleans()):
        entry.type.tensor_type.elem_type = draw(st.integers(0, 25))
    dimensions = entry.type.tensor_type.shape.dim
    if draw(st.booleans()):
        dimensions.add().dim_value = draw(st.sampled_from(_NUMBERS))
    else:
        dimensions[draw(st.integers(0, len(dimensions) - 1))].dim_value = draw(st.sampled_from(_NUMBERS))


_CHANGES = (_other_operator, _other_attribute, _other_constant, _another_node, _other_names, _other_input)


@st.composite
def _files(draw: st.DrawFn) -> bytes:
    """A file of which parts of the graph, or of the bytes, are changed."""
    model = _valid()
    for _ in range(draw(st.integers(0, 2))):
        draw(st.sampled_from(_CHANGES))(draw, model)
    if draw(st.integers(0, 9)) == 0:
        model.opset_import[0].version = draw(st.sampled_from([0, 1, 9, 13, 23, 2**40]))
    content = bytearray(model.SerializeToString())
    if draw(st.integers(0, 4)) == 0:
        start = draw(st.integers(0, len(content)))
        content[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(content)


def _forked(command: list[str], **_: object) -> SimpleNamespace:
    """What ``subprocess.run`` gives for the trial of a file, in a process that need not import onnxruntime again."""
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(60)
            code = onnx_trial._main(*command[3:])
        finally:
            os._exit(code)
    return SimpleNamespace(returncode=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


@fuzz()
@given(content=_files())
@example(content=b"")
def test_any_onnx_file_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """With trials in forks; the file as a program of its own is in test_onnx_bounds.py."""
    with pytest.MonkeyPatch.context() as patched:
        if hasattr(os, "fork"):
            patched.setattr(onnx_trial, "subprocess", SimpleNamespace(**{**vars(subprocess), "run": _forked}))
        patched.chdir(tmp_path_factory.getbasetemp())
        Path("net.onnx").write_bytes(content)
        assert_harmless(larobust("eval", "--ckpt", "net.onnx", "--noise", "gaussian", "--limit", "10", "--no-store"))
