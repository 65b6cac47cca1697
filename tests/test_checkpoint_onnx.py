"""ONNX files: run by onnxruntime, layers where onnx2torch converts exactly; files that ask for more are refused."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.measuring import session
from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.measuring.probe import Probe
from robustbench_la.models import libraries
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.checkpoints.onnx_networks import OnnxNetwork
from robustbench_la.records.plan import Plan

SHAPE = Shape(classes=10, channels=1, height=8, width=8)


@pytest.fixture(name="onnx", scope="module")
def _onnx():
    try:
        libraries.library("onnxruntime")
        return libraries.library("onnx")
    except UserError as error:
        return pytest.skip(str(error))


def _weights(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def _model(onnx, *, function="Relu", domain="", batch="N", grey_last=False):
    """A network with one convolution and one activation."""
    helper, numpy = onnx.helper, onnx.numpy_helper
    shape = [batch, 8, 8, 1] if grey_last else [batch, 1, 8, 8]
    turned = [helper.make_node("Transpose", ["images"], ["x"], perm=[0, 3, 1, 2])] if grey_last else []
    nodes = [
        *turned,
        helper.make_node("Conv", ["x" if grey_last else "images", "kernel"], ["y"], kernel_shape=[3, 3]),
        helper.make_node(function, ["y"], ["z"], domain=domain),
        helper.make_node("GlobalAveragePool", ["z"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "matrix"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", 1, shape)],
        [helper.make_tensor_value_info("logits", 1, [batch, 10])],
        [numpy.from_array(_weights(4, 1, 3, 3), "kernel"), numpy.from_array(_weights(4, 10), "matrix")],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def _expected(images):
    """The same network in torch."""
    y = torch.relu(torch.nn.functional.conv2d(images, torch.from_numpy(_weights(4, 1, 3, 3))))
    return y.mean((2, 3)) @ torch.from_numpy(_weights(4, 10))


def _loaded(path):
    return assemble_network(read_checkpoint(path), LoadOverrides(), SHAPE)


@pytest.mark.parametrize(("options", "converted"), [({}, True), ({"batch": 3}, True), ({"grey_last": True}, False)],
                         ids=["any batch", "batches of 3", "channels last"])  # fmt: skip
def test_an_onnx_file_computes_what_its_network_does(onnx, tmp_path, options, converted):
    onnx.save(_model(onnx, **options), tmp_path / "net.onnx")

    network = _loaded(tmp_path / "net.onnx")
    images = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        outputs = network.model(images)

    assert torch.allclose(outputs, _expected(images), atol=1e-5)
    assert isinstance(network.model, OnnxNetwork) is not converted
    assert network.spec.architecture == "onnx"
    assert any("onnxruntime" in remark for remark in network.remarks)


def test_accuracy_of_an_onnx_file_is_measured_and_its_activation_seen(onnx, tmp_path):
    onnx.save(_model(onnx), tmp_path / "net.bin")

    evaluation = session.prepare_evaluation(Plan(checkpoints=[str(tmp_path / "net.bin")], noise=["gaussian=0.1"], limit=6))

    assert [cell.total for cell in measure_cells(evaluation)] == [6, 6]
    assert evaluation.networks[0].activations_seen == "relu x 1"


def test_layers_of_what_onnx2torch_does_not_convert_are_refused(onnx, tmp_path):
    onnx.save(_model(onnx, function="Shrink"), tmp_path / "net.onnx")

    network = _loaded(tmp_path / "net.onnx")

    assert isinstance(network.model, OnnxNetwork)
    assert any("accuracy only" in remark for remark in network.remarks)
    with pytest.raises(UserError, match="its layers cannot be measured: onnxruntime runs the ONNX file as a whole"):
        Probe(network.model, lambda *_: None)


def test_operators_that_onnx_does_not_define_are_refused(onnx, tmp_path):
    onnx.save(_model(onnx, domain="com.evil"), tmp_path / "net.onnx")

    with pytest.raises(UserError, match=r"net\.onnx: uses operators of com\.evil, which ONNX does not define"):
        read_checkpoint(tmp_path / "net.onnx")


@pytest.mark.parametrize("place", ["absent.bin", "", "a" * 5000, "a\0b", "."])
def test_weights_in_what_is_no_file_are_refused(onnx, tmp_path, place):
    model = _model(onnx)
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], location=place)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match="which is not next to it"):
        read_checkpoint(tmp_path / "net.onnx")


def test_weights_outside_the_folder_are_refused_behind_a_link(onnx, tmp_path):
    (tmp_path / "outside.bin").write_bytes(_weights(4, 10).tobytes())
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "link.bin").symlink_to(tmp_path / "outside.bin")
    model = _model(onnx)
    onnx.external_data_helper.set_external_data(model.graph.initializer[1], location="link.bin")
    (tmp_path / "net" / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match="asks for weights outside its folder"):
        read_checkpoint(tmp_path / "net" / "net.onnx")


@pytest.mark.parametrize("place", ["../outside.bin", "/etc/passwd", "sub/../../outside.bin"])
def test_weights_outside_the_folder_are_refused(onnx, tmp_path, place):
    (tmp_path / "outside.bin").write_bytes(_weights(4, 10).tobytes())
    (tmp_path / "in" / "sub").mkdir(parents=True)
    model = _model(onnx)
    tensor = model.graph.initializer[1]
    onnx.external_data_helper.set_external_data(tensor, location=place)
    tensor.ClearField("raw_data")
    (tmp_path / "in" / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match=r"net\.onnx: asks for weights outside its folder .*, which are not read") as raised:
        read_checkpoint(tmp_path / "in" / "net.onnx")

    assert "\n" not in str(raised.value)


def test_weights_in_a_file_next_to_it_are_read_and_belong_to_its_identity(onnx, tmp_path):
    onnx.save(_model(onnx), tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    images = torch.rand(4, 1, 8, 8)

    before = read_checkpoint(tmp_path / "net.onnx")
    with torch.inference_mode():
        assert torch.allclose(_loaded(tmp_path / "net.onnx").model(images), _expected(images), atol=1e-5)
    content = bytearray((tmp_path / "net.data").read_bytes())
    content[1] ^= 1
    (tmp_path / "net.data").write_bytes(content)

    assert read_checkpoint(tmp_path / "net.onnx").sha256 != before.sha256


@pytest.mark.parametrize("cut", [20, 100, 200])
def test_a_damaged_onnx_file_is_refused_in_one_line(onnx, tmp_path, cut):
    (tmp_path / "net.onnx").write_bytes(_model(onnx).SerializeToString()[:cut])

    with pytest.raises(UserError, match=r"net\.onnx: ") as raised:
        _loaded(tmp_path / "net.onnx")

    assert "\n" not in str(raised.value)


def test_a_missing_library_is_named_with_its_extra(onnx, tmp_path, monkeypatch):
    onnx.save(_model(onnx), tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)

    with pytest.raises(UserError, match=r"needs onnx; install it with pip install 'larobust\[onnx\]'"):
        read_checkpoint(Path(tmp_path / "net.onnx"))


def test_an_onnx_file_that_may_run_without_end_is_refused(onnx, tmp_path):
    model = _model(onnx)
    model.graph.node.append(onnx.helper.make_node("Loop", [], []))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match="uses Loop, which may run without end"):
        read_checkpoint(tmp_path / "net.onnx")


@pytest.mark.parametrize(("place", "size"), [(0, 10**7), (1, 10**7), (0, -4)])
def test_an_onnx_file_whose_input_is_no_batch_of_images_is_refused(onnx, tmp_path, place, size):
    model = _model(onnx)
    model.graph.input[0].type.tensor_type.shape.dim[place].dim_value = size
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match="which are no images"):
        read_checkpoint(tmp_path / "net.onnx")


@pytest.mark.parametrize(("function", "sizes"), [
    ("ConstantOfShape", [10**9]), ("Expand", [10**6, 1, 8, 8]), ("Tile", [1, 10**7, 1, 1]),
    ("Pad", [0, 0, 10**5, 10**4, 0, 0, 0, 0]),
])  # fmt: skip
def test_an_onnx_file_that_computes_tensors_without_bound_is_refused(onnx, tmp_path, function, sizes):
    model = _model(onnx)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(sizes), "sizes"))
    inputs = ["sizes"] if function == "ConstantOfShape" else ["images", "sizes"]
    model.graph.node.append(onnx.helper.make_node(function, inputs, ["large"]))
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match=r"net\.onnx: computes a tensor of .* values, more than networks of images have"):
        read_checkpoint(tmp_path / "net.onnx")


def test_an_onnx_file_of_many_operators_is_refused(onnx, tmp_path):
    model = _model(onnx)
    model.graph.node.extend([onnx.helper.make_node("Relu", ["images"], ["more"])] * 30_000)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())

    with pytest.raises(UserError, match="uses 30,005 operators"):
        read_checkpoint(tmp_path / "net.onnx")
