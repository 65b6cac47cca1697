"""ONNX files that ask for more memory or time than networks of images do are refused, whatever their graph; others are not."""

from __future__ import annotations

import os
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import assert_harmless, larobust

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.checkpoints import onnx_bounds, onnx_trial
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides

onnx = pytest.importorskip("onnx", reason="needs onnx")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")
node = onnx.helper.make_node
_within = onnx_bounds.runs_within
SHAPE = Shape(classes=10, channels=1, height=8, width=8)


def _const(name, values, kind=np.int64):
    return onnx.numpy_helper.from_array(np.array(values, kind), name)


def _model(nodes, constants=(), *, sides=(8, 8), functions=()):
    """A classifier of 8x8 images, between whose input and output other operators are."""
    helper = onnx.helper
    graph = helper.make_graph(
        [node("Flatten", ["images"], ["flat"]), node("Gemm", ["flat", "matrix"], ["y"]), *nodes],
        "net",
        [helper.make_tensor_value_info("images", 1, ["N", 1, *sides])],
        [helper.make_tensor_value_info("logits", 1, None)],
        [onnx.numpy_helper.from_array(np.eye(64, 10, dtype=np.float32), "matrix"), *constants],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def _sum_of(large):
    """Operators that add what is in a large tensor to the outputs."""
    return [node("ReduceSum", [large], ["one"], keepdims=0), node("Add", ["y", "one"], ["logits"])]


def _function(name, nodes, inputs=("x",), outputs=("z",)):
    return onnx.helper.make_function("own", name, list(inputs), list(outputs), nodes, [onnx.helper.make_opsetid("", 17)])


def _range():
    constants = [_const("zero", 0.0, np.float32), _const("one_", 1.0, np.float32), _const("many", 3e9, np.float32)]
    return _model([node("Range", ["zero", "many", "one_"], ["large"]), *_sum_of("large")], constants)


def _sized_at_run_time():
    nodes = [node("Shape", ["images"], ["s"]), node("Mul", ["s", "m"], ["t"]), node("ReduceProd", ["t"], ["n"], keepdims=1),
             node("ConstantOfShape", ["n"], ["large"])]  # fmt: skip
    return _model([*nodes, *_sum_of("large")], [_const("m", [10, 100, 100, 100])])


def _many_just_below():
    nodes = [node("Expand", ["y", "sizes"], [f"part{number}"]) for number in range(40)]
    nodes.append(node("Concat", [f"part{number}" for number in range(40)], ["large"], axis=0))
    return _model([*nodes, *_sum_of("large")], [_const("sizes", [2**21 // 1, 1, 10])])


def _resize():
    nodes = [node("Resize", ["images", "", "scales"], ["large"])]
    return _model([*nodes, *_sum_of("large")], [_const("scales", [1, 1, 3000, 3000], np.float32)])


def _nested_if():
    helper = onnx.helper
    inner = helper.make_graph([node("Expand", ["y", "sizes"], ["z"])], "inner", [], [helper.make_tensor_value_info("z", 1, None)])
    for depth in range(3):
        branch = node("If", ["yes"], [f"z{depth}"], then_branch=inner, else_branch=inner)
        inner = helper.make_graph([branch], f"graph{depth}", [], [helper.make_tensor_value_info(f"z{depth}", 1, None)])
    return _model(
        [node("If", ["yes"], ["large"], then_branch=inner, else_branch=inner), *_sum_of("large")],
        [_const("yes", True, np.bool_), _const("sizes", [10**9, 1, 10])],
    )


def _functions_of_functions():
    first = _function("f0", [node("Add", ["x", "x"], ["z"])])
    more = [
        _function(f"f{depth}", [node(f"f{depth - 1}", [x], [z], domain="own") for x, z in (("x", "w"), ("w", "z"))])
        for depth in range(1, 30)
    ]
    return _model([node("f29", ["y"], ["logits"], domain="own")], functions=[first, *more])


def _function_that_calls_itself():
    return _model(
        [node("f", ["y"], ["logits"], domain="own")], functions=[_function("f", [node("f", ["x"], ["z"], domain="own")])]
    )


def _function_as_an_operator():
    body = [node("Constant", [], ["n"], value=_const("", [10**9])), node("Expand", ["x", "n"], ["z"])]
    made = onnx.helper.make_function("", "Relu", ["x"], ["z"], body, [onnx.helper.make_opsetid("", 17)])
    return _model([node("ReduceSum", ["y"], ["o"]), node("Relu", ["o"], ["large"]), *_sum_of("large")], functions=[made])


def _by_the_image():
    nodes = [node("ReduceMax", ["images"], ["m"], keepdims=0), node("Cast", ["m"], ["n"], to=7), node("Mul", ["n", "b"], ["k"]),
             node("Unsqueeze", ["k", "axes"], ["s"]), node("ConstantOfShape", ["s"], ["large"])]  # fmt: skip
    return _model([*nodes, *_sum_of("large")], [_const("b", 10**10), _const("axes", [0])])


def _slow():
    """Little memory, but 10^12 multiplications: a window of 2,000 x 2,000 at each of 500 x 500 places."""
    nodes = [node("Resize", ["images", "", "scales"], ["r"]),
             node("MaxPool", ["r"], ["large"], kernel_shape=[1999, 1999], pads=[999, 999, 999, 999])]  # fmt: skip
    return _model([*nodes, *_sum_of("large")], [_const("scales", [1, 1, 60, 60], np.float32)])


def _of_each_pair():
    """A tensor that grows with the square of the number of images."""
    nodes = [node("Reshape", ["y", "a"], ["p"]), node("Reshape", ["y", "b"], ["q"]), node("Reshape", ["y", "c"], ["r"]),
             node("Add", ["p", "q"], ["pq"]), node("Add", ["pq", "r"], ["large"])]  # fmt: skip
    return _model([*nodes, *_sum_of("large")], [_const("a", [-1, 1, 1]), _const("b", [1, -1, 1]), _const("c", [1, 1, -1])])


def _declared():
    model = _model([node("Relu", ["y"], ["logits"]), node("Identity", ["w"], ["more"])])
    model.graph.initializer.append(onnx.TensorProto(name="w", data_type=1, dims=[10**6, 10**6]))
    return model


BOMBS = {
    "Range": _range, "sizes computed at run time": _sized_at_run_time, "many just below the bound": _many_just_below,
    "Resize": _resize, "nested If": _nested_if, "functions of functions": _functions_of_functions,
    "a function that calls itself": _function_that_calls_itself, "a function named as an operator": _function_as_an_operator,
    "sizes by what an image shows": _by_the_image, "few bytes, much time": _slow, "weights without bytes": _declared,
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_an_onnx_file_that_needs_too_much_is_refused_at_once(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.onnx").write_bytes(BOMBS[name]().SerializeToString())

    before = os.times().children_user
    outcome = larobust("eval", "--ckpt", "net.onnx", "--noise", "gaussian", "--limit", "10", "--no-store")

    assert outcome.code == 2, outcome
    assert_harmless(outcome)
    assert os.times().children_user - before < 4  # the process that tries it ends after 2 s of the processor


def test_a_file_that_may_take_long_is_not_ended_sooner_by_the_clock(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(onnx_trial.subprocess, "run", lambda *_, **more: given.update(more) or subprocess.CompletedProcess([], 0))

    assert onnx_trial.runs_within(tmp_path / "net.onnx", "float32", (128, 3, 224, 224), megabytes=1000, seconds=900)
    assert given["timeout"] > 900


def test_what_grows_faster_than_the_images_is_bounded_for_each_number_of_them(tmp_path):
    (tmp_path / "net.onnx").write_bytes(_of_each_pair().SerializeToString())
    network = assemble_network(read_checkpoint(tmp_path / "net.onnx"), LoadOverrides(), SHAPE)

    network.model(torch.rand(2, 1, 8, 8))
    with pytest.raises(UserError, match="does not run on inputs of 500 x 1 x 8 x 8 values within"):
        network.model(torch.rand(500, 1, 8, 8))


def _conv_net():
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.BatchNorm2d(8), torch.nn.SiLU(), torch.nn.MaxPool2d(2),
        torch.nn.Flatten(), torch.nn.Linear(128, 10),
    )  # fmt: skip


class _Attention(torch.nn.Module):
    """A small ViT, whose class token is repeated for as many images as there are."""

    def __init__(self):
        super().__init__()
        self.patches, self.token = torch.nn.Conv2d(1, 16, 2, 2), torch.nn.Parameter(torch.zeros(1, 1, 16))
        self.block = torch.nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, dropout=0)
        self.head = torch.nn.Linear(16, 10)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(images.shape[0], -1, -1), tokens], 1)
        return self.head(self.block(tokens)[:, 0])


@pytest.mark.parametrize(("make", "tried"), [(_conv_net, False), (_Attention, None)])
def test_what_torch_exports_for_any_number_of_images_is_read(make, tried, tmp_path, monkeypatch):
    trials = []
    monkeypatch.setattr(onnx_bounds, "runs_within", lambda *given, **limits: trials.append(given) or _within(*given, **limits))
    network = make().eval()
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network, (torch.rand(2, 1, 8, 8),), tmp_path / "net.onnx", dynamo=False, input_names=["x"],
            dynamic_axes={"x": {0: "n"}}, opset_version=17,
        )  # fmt: skip
    images = torch.rand(7, 1, 8, 8)

    read = assemble_network(read_checkpoint(tmp_path / "net.onnx"), LoadOverrides(), SHAPE)

    with torch.inference_mode():
        assert torch.allclose(read.model(images), network(images), atol=1e-4)
    assert tried is None or bool(trials) is tried
