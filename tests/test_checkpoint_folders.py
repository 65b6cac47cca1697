"""Folders of timm and Hugging Face: made from small untrained networks, evaluated without a flag; hostile ones run nothing."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import safetensors.torch
import torch

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import ImageChoice, Shape
from robustbench_la.images.normalization import Normalization
from robustbench_la.measuring import session
from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.models import libraries, user_code
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.models.checkpoints.preprocessing import timm_images, transformers_images, transformers_normalization
from robustbench_la.records.plan import Plan

SHAPE = Shape(classes=4, channels=3, height=32, width=32)
NAMES = ["ant", "bee", "cat", "dog"]


def _library(name):
    try:
        return libraries.library(name)
    except UserError as error:
        return pytest.skip(str(error))


@pytest.fixture(name="timm_folder", scope="module")
def _timm_folder(tmp_path_factory):
    """A folder as timm writes it."""
    timm, folder = _library("timm"), tmp_path_factory.mktemp("timm") / "net"
    with warnings.catch_warnings(action="ignore"):
        model = timm.create_model("test_resnet", pretrained=False, num_classes=4)
        described = {**model.pretrained_cfg, "input_size": (3, 32, 32), "crop_pct": 0.8, "interpolation": "bicubic",
                     "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.2, 0.2), "num_classes": 4}  # fmt: skip
        settings = {"label_names": NAMES, "pretrained_cfg": described}
        timm.models.save_for_hf(model, folder, model_config=settings, safe_serialization=True)
    return folder, model.eval()


@pytest.fixture(name="hf_folder", scope="module")
def _hf_folder(tmp_path_factory):
    """A folder as transformers writes it, with its weights in several parts."""
    transformers, folder = _library("transformers"), tmp_path_factory.mktemp("hf") / "net"
    with warnings.catch_warnings(action="ignore"), libraries._silent(transformers):
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=dict(enumerate(NAMES))
        )
        model = transformers.ResNetForImageClassification(config)
        model.save_pretrained(folder, max_shard_size="10KB")
        transformers.ConvNextImageProcessor(
            size={"shortest_edge": 32}, crop_pct=0.8, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.2, 0.2]
        ).save_pretrained(folder)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    return folder, model.eval()


@pytest.fixture(name="photos", scope="module")
def _photos(tmp_path_factory):
    """A folder of colour images that are larger than the networks take."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in NAMES:
        (root / name).mkdir()
        PIL.Image.fromarray(rng.integers(0, 256, (50, 60, 3), dtype=np.uint8)).save(root / name / "0.png")
    return root


def _loaded(folder, **given):
    return assemble_network(read_checkpoint(folder), LoadOverrides(**given), SHAPE)


@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_a_folder_is_evaluated_without_a_flag(request, photos, kind):
    folder, model = request.getfixturevalue(f"{kind}_folder")
    evaluation = session.prepare_evaluation(Plan(checkpoints=[str(folder)], data=f"folder:{photos}", noise=["gaussian=0.1"]))
    network = evaluation.networks[0]
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected, outputs = model(images), network.model(images)

    assert evaluation.images.images.shape == (4, 3, 32, 32)
    assert network.normalization == Normalization((0.4, 0.5, 0.6), (0.2, 0.2, 0.2))
    assert network.classes == tuple(NAMES)
    assert network.activation == "relu"
    assert torch.allclose(outputs, expected if kind == "timm" else expected.logits, atol=1e-5)
    assert "preprocessing, as recorded: --resize 40 --crop 32 (bicubic); normalization 0.4,0.5,0.6/0.2,0.2,0.2" in network.remarks
    assert [cell.total for cell in measure_cells(evaluation)] == [4, 4]


def test_names_of_classes_in_another_order_are_refused_and_numbers_of_wordnet_are_not(timm_folder, photos, tmp_path):
    reversed_ = _changed(timm_folder[0], tmp_path / "reversed", label_names=NAMES[::-1])
    numbered = _changed(timm_folder[0], tmp_path / "numbered", label_names=["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"])
    wordnet = tmp_path / "wordnet"
    for place, name in enumerate(NAMES):
        shutil.copytree(photos / name, wordnet / f"n0000000{place}")

    def prepared(folder, data):
        return session.prepare_evaluation(Plan(checkpoints=[str(folder)], data=f"folder:{data}", noise=["gaussian=0.1"]))

    with pytest.raises(UserError, match="the same classes in another order"):
        prepared(reversed_, photos)
    assert prepared(numbered, photos).networks[0].classes == ()
    assert prepared(timm_folder[0], wordnet).networks[0].classes == tuple(NAMES)


def test_the_pixels_are_those_of_timms_own_transform(timm_folder, photos):
    timm = _library("timm")
    evaluation = session.prepare_evaluation(
        Plan(checkpoints=[str(timm_folder[0])], data=f"folder:{photos}", noise=["gaussian=0.1"])
    )
    described = json.loads((timm_folder[0] / "config.json").read_text())["pretrained_cfg"]
    with warnings.catch_warnings(action="ignore"):
        transform = timm.data.create_transform(**timm.data.resolve_data_config(pretrained_cfg=described), is_training=False)
    with PIL.Image.open(photos / "ant" / "0.png") as image:
        expected = transform(image)

    network = evaluation.networks[0]
    assert torch.allclose(network.normalization.apply(torch.from_numpy(evaluation.images.images[:1]))[0], expected, atol=1e-6)


def test_the_pixels_are_those_of_the_image_processor_of_transformers(hf_folder, photos):
    transformers = _library("transformers")
    evaluation = session.prepare_evaluation(
        Plan(checkpoints=[str(hf_folder[0])], data=f"folder:{photos}", noise=["gaussian=0.1"])
    )
    with warnings.catch_warnings(action="ignore"), libraries._silent(transformers):
        processor = transformers.AutoImageProcessor.from_pretrained(hf_folder[0], local_files_only=True)
        with PIL.Image.open(photos / "ant" / "0.png") as image:
            expected = processor(image.convert("RGB"), return_tensors="pt")["pixel_values"]

    network = evaluation.networks[0]
    apart = (network.normalization.apply(torch.from_numpy(evaluation.images.images[:1])) - expected).abs().max() * 0.2 * 255
    assert apart < 3  # grey levels: its resizing works on tensors, ours and that of timm on 8-bit images


def test_a_file_next_to_its_config_and_an_architecture_of_timm_alone(timm_folder, tmp_path):
    folder, model = timm_folder
    shutil.copy(folder / "model.safetensors", tmp_path / "alone.bin")

    assert _loaded(folder / "model.safetensors").spec.architecture == "timm:test_resnet"
    alone = _loaded(tmp_path / "alone.bin", architecture="timm:test_resnet")
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(alone.model(images), model(images))
    with pytest.raises(UserError, match="unknown timm classifier 'test_resnt'; did you mean test_resnet"):
        _loaded(tmp_path / "alone.bin", architecture="timm:test_resnt")


def test_what_folder_it_is_decides_and_not_the_flag(hf_folder, timm_folder):
    assert _loaded(hf_folder[0], architecture="hf").spec.architecture == "hf"
    with pytest.raises(UserError, match="--arch is timm:resnet18, but the file holds hf; omit --arch"):
        _loaded(hf_folder[0], architecture="timm:resnet18")


def _changed(source, target, **changes):
    shutil.copytree(source, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return target


@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_a_folder_that_asks_for_code_runs_none(request, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    folder = _changed(request.getfixturevalue(f"{kind}_folder")[0], tmp_path / "evil", auto_map={"AutoModel": "evil.Net"})
    (folder / "evil.py").write_text("from pathlib import Path\nPath('executed').mkdir()\nclass Net: pass\n")

    with pytest.raises(UserError, match=r"evil: its config\.json asks for Python code .*auto_map.* not run") as raised:
        read_checkpoint(folder)

    assert "\n" not in str(raised.value)
    assert not Path("executed").exists()


def test_weights_that_do_not_fit_the_config_are_refused(hf_folder, timm_folder, tmp_path):
    with pytest.raises(UserError, match=r"timm: the weights do not fit timm:test_resnet; keys: .*of the wrong shape"):
        _loaded(_changed(timm_folder[0], tmp_path / "timm", num_classes=5))
    with pytest.raises(UserError, match=r"hf: (the weights do not fit config\.json|transformers cannot load it)"):
        _loaded(_changed(hf_folder[0], tmp_path / "hf", embedding_size=16))


def test_a_config_that_names_weights_elsewhere_is_refused(timm_folder, tmp_path):
    folder = _changed(timm_folder[0], tmp_path / "net", model_args={"checkpoint_path": "/etc/passwd"})

    with pytest.raises(UserError, match="asks timm for checkpoint_path, which is not followed"):
        _loaded(folder)


def test_parts_that_are_elsewhere_or_missing_are_refused(hf_folder, tmp_path):
    folder = tmp_path / "net"
    shutil.copytree(hf_folder[0], folder)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    part = next(iter(index["weight_map"].values()))
    (folder / part).unlink()

    with pytest.raises(UserError, match=f"parts of the weights are missing: {part}"):
        read_checkpoint(folder)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"weight": "a" * 5000}}))
    with pytest.raises(UserError, match="parts of the weights are missing: aaa"):
        read_checkpoint(folder)
    outside = dict.fromkeys(index["weight_map"], "../outside.safetensors")
    for listed in (outside, {**index["weight_map"], "more": 7}, {**index["weight_map"], "more": [part]}, [part], {}):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": listed}))
        with pytest.raises(UserError, match="does not list files of this folder"):
            read_checkpoint(folder)


@pytest.mark.parametrize(("files", "match"), [
    ([], r"a folder, not a checkpoint; give a file in it, or a folder of timm or Hugging Face"),
    (["manifest.ocdbt"], r"a checkpoint of JAX \(orbax\); export it to ONNX"),
    (["saved_model.pb"], r"a TensorFlow SavedModel; export it to ONNX"),
    ([".metadata"], r"a checkpoint of torch\.distributed; convert it"),
    (["config.json"], r"config\.json: line 1, column 1: not readable as JSON"),
])  # fmt: skip
def test_another_folder_is_refused_with_what_to_do(tmp_path, files, match):
    for name in files:
        (tmp_path / name).write_text("?")

    with pytest.raises(UserError, match=match):
        read_checkpoint(tmp_path)


LABELS = {str(number): name for number, name in enumerate(NAMES)}


@pytest.mark.parametrize(("kind", "settings", "message"), [
    ("hf", {"id2label": {"-1": "a", "0": "b"}}, r"the weights have other sizes than config.json describes"),
    ("hf", {"id2label": {"0": "a", "00": "b"}}, r"the weights have other sizes than config.json describes"),
    ("hf", {"id2label": [["a"]]}, r"the weights have other sizes than config.json describes"),
    ("hf", {"id2label": 5}, r"the weights have other sizes than config.json describes"),
    ("hf", {"id2label": {**LABELS, "0": float("nan")}}, r"config.json: the number NaN is not finite"),
    ("hf", {"id2label": {**LABELS, "0": "x" * 20_000}}, r"'0' in config.json is a text of 20,000 characters"),
    ("hf", {"num_labels": True}, r"num_labels is True, not a whole number from 1 to"),
    ("hf", {"num_labels": -4}, r"num_labels is -4, not a whole number from 1 to"),
    ("hf", {"num_labels": 10**9}, r"'num_labels' in config.json is 1000000000, which is too large"),
    ("hf", {"text_config": {"num_labels": 10**9}}, r"'num_labels' in config.json is 1000000000, which is too large"),
    ("hf", {"num_channels": True}, r"num_channels is True"),
    ("hf", {"hidden_sizes": [8, 10**5]}, r"the weights have other sizes than config.json describes"),
    ("hf", {"hidden_act": [1]}, r"transformers cannot load it as an image classifier"),
    ("hf", {"depths": [1, 10**6]}, r"asks for 1,000,000 under 'depths', but the weights are \d+ tensors"),
    ("hf", {"architectures": [1]}, r"names neither"),
    ("hf", {"_attn_implementation": "evil/kernel"}, r"asks for Python code of its own \(_attn_implementation\)"),
    ("hf", {"vision_config": {"auto_map": {}}}, r"asks for Python code of its own \(auto_map\)"),
    ("hf", {"quantization_config": {"quant_method": "gptq"}}, r"its weights are quantised"),
    ("hf", {"x": json.loads("[" * 40 + "]" * 40)}, r"config.json: line 1, column \d+: nested more than 32 deep"),
    ("hf", {"x": 10**6_000}, r"config.json: the number 100000000000... is too large"),
    ("hf", {"x": 1e309}, r"config.json: the number Infinity is not finite"),
    ("timm", {"num_classes": True}, r"num_classes is True, not a whole number from 1 to"),
    ("timm", {"num_classes": 10**9}, r"'num_classes' in config.json is 1000000000, which is too large"),
    ("timm", {"model_args": {"layers": [10**7] * 4}}, r"asks for 10,000,000 under 'layers', but the weights are \d+ tensors"),
    ("timm", {"model_args": {"channels": [10**5] * 4}}, r"61 of the wrong shape"),
])  # fmt: skip
def test_settings_that_make_no_sense_are_refused_in_one_line(request, tmp_path, kind, settings, message):
    folder = tmp_path / "net"
    shutil.copytree(request.getfixturevalue(f"{kind}_folder")[0], folder)
    sys.set_int_max_str_digits(0)
    try:
        config = {**json.loads((folder / "config.json").read_text()), **settings}
        (folder / "config.json").write_text(json.dumps(config))
    finally:
        sys.set_int_max_str_digits(4300)

    with pytest.raises(UserError, match=message) as raised:
        _loaded(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(("kind", "settings", "remark"), [
    ("hf", {"id2label": {"1": "a", "2": "b", "3": "c", "4": "d"}}, "does not number the classes from 0 on (['1', '2',"),
    ("hf", {"id2label": {f"LABEL_{number}": number for number in range(4)}}, "does not number the classes from 0 on"),
    ("hf", {"id2label": {"\u00b2": "a", "0": "b", "1": "c", "3": "d"}}, "does not number the classes from 0 on"),
    ("hf", {"id2label": {"0": "a", "00": "b", "1": "c", "2": "d"}}, "does not number the classes from 0 on"),
    ("hf", {"id2label": [["a"]] * 4}, "holds ['a'], which is no name of a class"),
    ("hf", {"id2label": {**LABELS, "0": None}}, "holds None, which is no name of a class"),
    ("hf", {"id2label": {**LABELS, "0": {"a": 1}}}, "holds {'a': 1}, which is no name of a class"),
    ("hf", {"id2label": 5, "num_labels": 4}, "its id2label is 5, not names of classes"),
    ("hf", {"label2id": [1]}, "its label2id is [1], not numbers of names"),
    ("timm", {"label_names": ["a", None, "c", "d"]}, "label_names holds None, which is no name of a class"),
])  # fmt: skip
def test_odd_labels_are_left_out_with_a_remark_and_the_network_is_taken(request, tmp_path, kind, settings, remark):
    original, model = request.getfixturevalue(f"{kind}_folder")
    network = _loaded(_changed(original, tmp_path / "net", **settings))
    images = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        expected, outputs = model(images), network.model(images)

    assert torch.allclose(outputs, expected if kind == "timm" else expected.logits, atol=1e-5)
    assert network.classes == (tuple(NAMES) if "label2id" in settings else ())
    assert any(remark in one for one in network.remarks)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 50_000 + "1" + "}" * 50_000, "[]", "{", " " * (9 * 2**20)])
def test_a_config_that_is_no_settings_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)

    with pytest.raises(UserError, match=r"config\.json(: .*(not readable|nested more|larger than 8 MiB)| holds no settings)"):
        read_checkpoint(tmp_path)


def test_a_library_that_is_missing_is_named_with_its_extra(monkeypatch, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "test_resnet", "num_classes": 4}))
    torch.save({"a.weight": torch.ones(2, 2)}, tmp_path / "pytorch_model.bin")
    monkeypatch.setitem(__import__("sys").modules, "timm", None)

    with pytest.raises(UserError, match=r"needs timm; install it with pip install 'larobust\[timm\]'"):
        _loaded(tmp_path)


@pytest.mark.parametrize(("settings", "expected"), [
    ({"size": {"height": 32, "width": 32}, "resample": 2}, ImageChoice("", 32, 32, "bilinear", squash=True)),
    ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}, "resample": 3},
     ImageChoice("", 256, 224, "bicubic")),
    ({"size": {"shortest_edge": 384}, "crop_pct": 0.875, "resample": 3}, ImageChoice("", 384, 384, "bicubic", squash=True)),
    ({"size": 224, "do_resize": False}, None),
    ({}, None),
])  # fmt: skip
def test_sizes_of_transformers_are_understood(settings, expected):
    assert transformers_images(settings) == expected


def test_other_scales_of_transformers_become_a_normalization():
    assert transformers_normalization({}) is None
    assert transformers_normalization({"do_normalize": False}) == Normalization((0.0,), (1.0,))
    doubled = {"rescale_factor": 1 / 127.5, "rescale_offset": True, "image_mean": [0.0], "image_std": [1.0]}
    normalization = transformers_normalization(doubled)
    assert normalization is not None
    assert normalization.apply(torch.tensor([[[[0]]], [[[255]]]], dtype=torch.uint8)).flatten().tolist() == [-1.0, 1.0]


def test_sizes_of_timm_that_make_no_sense_are_refused():
    for wrong in (
        {"input_size": [3, 64, 32]}, {"input_size": 5}, {"input_size": [3, True, True]}, {"input_size": [3, 10**400, 10**400]},
        {"crop_pct": 0}, {"crop_pct": 1e-300}, {"crop_pct": True}, {"crop_mode": "border"},
        {"interpolation": "cubic"}, {"interpolation": []},
    ):  # fmt: skip
        with pytest.raises(UserError, match=r"its |no squares"):
            timm_images(wrong)


def test_the_version_of_the_library_is_part_of_the_networks_identity(monkeypatch):
    monkeypatch.setattr(user_code, "version_of", lambda package: "0.9")
    before = user_code.code_of("timm:test_resnet")
    monkeypatch.setattr(user_code, "version_of", lambda package: "1.0")

    assert before != user_code.code_of("timm:test_resnet")
    assert user_code.code_of("torchvision:resnet18") is None


@pytest.mark.parametrize(("more", "expected"), [
    ({}, ImageChoice("", 256, 224, "bicubic")),
    ({"crop_pct": 0.9, "crop_mode": "center"}, ImageChoice("", 248, 224, "bicubic")),
    ({"crop_pct": 0.9, "crop_mode": "squash"}, ImageChoice("", 248, 224, "bicubic", squash=True)),
    ({"crop_pct": 1.0, "crop_mode": "squash"}, ImageChoice("", 224, 224, "bicubic", squash=True)),
])  # fmt: skip
def test_sizes_of_timm_are_those_of_its_own_transform(more, expected):
    timm, config = _library("timm"), {"input_size": (3, 224, 224), **more}
    transform = timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=config))
    size = transform.transforms[0].size

    assert timm_images(config) == expected
    assert (list(size) if expected.squash else size) == ([expected.resize] * 2 if expected.squash else expected.resize)


def test_a_normalization_that_transformers_does_not_record_is_not_taken_for_none():
    assert transformers_normalization({"image_processor_type": "ViTImageProcessor", "size": 224}) is None
    assert transformers_normalization({"do_normalize": True, "image_mean": None, "image_std": [1.0]}) is None


@pytest.mark.parametrize("settings", [
    {"resample": []}, {"resample": True}, {"resample": 9},
    {"size": {"height": [1], "width": 2}}, {"size": {"height": {}, "width": {}}}, {"size": {"shortest_edge": -5}}, {"size": 0},
    {"size": {"shortest_edge": True}}, {"size": [224, 224]}, {"size": {"shortest_edge": 8}, "crop_pct": "x"},
    {"crop_size": {"height": {}, "width": 1}, "do_center_crop": True},
    {"image_mean": [0.5], "image_std": [0.5], "rescale_factor": "x"},
    {"image_mean": [10**400], "image_std": [1]}, {"image_mean": {}, "image_std": [1]}, {"image_mean": [0], "image_std": [True]},
])  # fmt: skip
def test_settings_of_transformers_that_make_no_sense_are_refused_in_one_line(settings):
    with pytest.raises(UserError, match="its ") as raised:
        (transformers_images(settings), transformers_normalization(settings))

    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 200


def test_arguments_that_timm_does_not_know_are_refused(timm_folder, tmp_path):
    with pytest.raises(UserError, match="timm cannot build test_resnet"):
        _loaded(_changed(timm_folder[0], tmp_path / "net", model_args={"act_layer": "os.system"}))


def test_the_alpha_of_an_exchange_that_nobody_gave_is_assumed(timm_folder):
    network = _loaded(timm_folder[0], exchange=("relu=la_silu",))

    assert (network.alpha, network.assumed) == (1e-5, ("layeract_alpha 1e-05",))
    assert _loaded(timm_folder[0], exchange=("relu=la_silu",), alpha=0.1).assumed == ()
    assert _loaded(timm_folder[0], exchange=("relu=silu",)).alpha is None


@pytest.mark.parametrize(("kind", "name"), [("timm", "pytorch_model.bin"), ("hf", "epoch3.safetensors")])
def test_the_weights_of_the_file_that_is_named_are_loaded(request, tmp_path, kind, name):
    source, model = request.getfixturevalue(f"{kind}_folder")
    shutil.copytree(source, tmp_path / "net")
    state = {key: tensor + 1 if tensor.is_floating_point() else tensor for key, tensor in model.state_dict().items()}
    (safetensors.torch.save_file if name.endswith("safetensors") else torch.save)(state, tmp_path / "net" / name)

    def loaded(file):
        given = "hf" if kind == "hf" else None
        return assemble_network(read_checkpoint(file, source=given), LoadOverrides(architecture=given), SHAPE).model.state_dict()

    part = next(path.name for path in sorted(source.glob("model*.safetensors")))
    assert all(torch.equal(tensor, state[key]) for key, tensor in loaded(tmp_path / "net" / name).items())
    assert all(torch.equal(tensor, model.state_dict()[key]) for key, tensor in loaded(tmp_path / "net" / part).items())


def test_weights_of_timm_alone_take_the_normalization_of_timm_as_assumed(timm_folder, tmp_path):
    safetensors.torch.save_file(timm_folder[1].state_dict(), tmp_path / "alone.safetensors")

    def loaded(**given):
        return _loaded(tmp_path / "alone.safetensors", architecture="timm:test_resnet", **given)

    network = loaded()
    settings = _library("timm").get_pretrained_cfg("test_resnet").to_dict()
    assert (network.normalization.mean, network.normalization.std) == (settings["mean"], settings["std"])
    assert network.assumed == (f"normalization {network.normalization}",)
    (remark,) = [one for one in network.remarks if "timm" in one]
    assert "no --normalize given: that of timm's own weights of test_resnet is taken" in remark
    assert "for images as timm prepares them, give --resize 168 --crop 160 --interpolation bilinear" in remark
    assert loaded(normalization=Normalization((0.5,), (0.5,))).assumed == ()


def test_a_part_of_weights_that_no_index_lists_is_refused_as_such(hf_folder, tmp_path):
    shutil.copytree(hf_folder[0], tmp_path / "net")
    next((tmp_path / "net").glob("*.index.json")).unlink()
    part = sorted((tmp_path / "net").glob("model-0*.safetensors"))[0]

    with pytest.raises(
        UserError, match=r"model-00001-of-0000\d.safetensors is part 1 of \d of the weights, and no index lists it; give"
    ):
        read_checkpoint(part, source="hf")
