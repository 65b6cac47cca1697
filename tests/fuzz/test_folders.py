"""Folders of timm and Hugging Face with other settings: read, or refused in one line; nothing that they name is run."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
from fuzzing import assert_harmless, fuzz, larobust
from hypothesis import given
from hypothesis import strategies as st

from robustbench_la.errors import UserError
from robustbench_la.models import libraries

_SETTINGS = ("config.json", "preprocessor_config.json", "model.safetensors.index.json")
_VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 3, 7, 10**6, 2**31, 10**12, 10**30, 0.5, float("nan"), float("inf"),
    "", "relu", "\x1b[31mPASS", "\u202eevil", "::error::x\n::error::y", "a" * 5000, "../../x", "/dev/zero", "os:system",
    "evil.py:f", [], [8, 16], [10**5] * 4, [[[]]], {}, {"a": {"b": 1}}, [1] * 5000,
)  # fmt: skip
_KEYS = (
    "architecture", "architectures", "model_type", "num_classes", "num_labels", "id2label", "label2id", "model_args",
    "global_pool", "pretrained_cfg", "hidden_sizes", "depths", "num_channels", "embedding_size", "hidden_act", "auto_map",
    "custom_pipelines", "quantization_config", "torch_dtype", "_name_or_path", "trust_remote_code", "image_size", "hidden_size",
    "mean", "std", "file", "input_size", "crop_pct", "interpolation", "label_names", "size", "image_mean", "image_processor_type",
    "weight_map", "metadata", "use_safetensors", "attn_implementation", "is_encoder_decoder", "layer_type",
    "downsample_in_bottleneck", "\x1b[31mPASS",
)  # fmt: skip


def _library(name: str) -> Any:
    try:
        return libraries.library(name)
    except UserError as error:
        return pytest.skip(str(error))


@pytest.fixture(name="timm", scope="module")
def _timm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    timm, folder = _library("timm"), tmp_path_factory.mktemp("timm") / "net"
    with warnings.catch_warnings(action="ignore"):
        model = timm.create_model("test_resnet", pretrained=False, num_classes=10, in_chans=1)
        described = {**model.pretrained_cfg, "input_size": (1, 8, 8), "crop_pct": 0.8, "mean": (0.5,), "std": (0.2,)}
        more = {"label_names": [str(number) for number in range(10)], "pretrained_cfg": described}
        timm.models.save_for_hf(model, folder, model_config=more, safe_serialization=True)
    return folder


@pytest.fixture(name="hf", scope="module")
def _hf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers, folder = _library("transformers"), tmp_path_factory.mktemp("hf") / "net"
    with warnings.catch_warnings(action="ignore"), libraries._silent(transformers):
        names = {number: str(number) for number in range(10)}
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", id2label=names, num_channels=1
        )
        transformers.ResNetForImageClassification(config).save_pretrained(folder, max_shard_size="10KB")
        transformers.ConvNextImageProcessor(
            size={"shortest_edge": 32}, crop_pct=0.8, image_mean=[0.5], image_std=[0.2]
        ).save_pretrained(folder)
    return folder


def _nests(value: Any) -> list[Any]:
    """All objects and lists in a document that hold something."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return ([value] if inner else []) + [nest for part in inner for nest in _nests(part)]


@st.composite
def _changed(draw: st.DrawFn, content: str) -> bytes:
    """Settings with other values, other keys, or other bytes."""
    document = json.loads(content)
    for _ in range(draw(st.integers(1, 2))):
        nest = draw(st.sampled_from(_nests(document)))
        value = copy.deepcopy(draw(st.sampled_from(_VALUES)))  # which further changes may change
        places = sorted(nest) if isinstance(nest, dict) else list(range(len(nest)))
        if not places:
            continue
        place = draw(st.sampled_from(places))
        how = draw(st.integers(0, 3))
        if how == 0:
            del nest[place]
        elif how == 1 and isinstance(nest, dict):
            nest[draw(st.sampled_from(_KEYS))] = value
        else:
            nest[place] = value
    text = json.dumps(document).encode("utf-8", "backslashreplace")
    text = draw(st.sampled_from([text] * 8 + [text[: len(text) // 2], b"[" * 5000, b"\xff" + text, text + text]))
    return text.replace(b"10000000000000", b"1" + b"0" * 5000) if draw(st.integers(0, 19)) == 0 else text


@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_any_settings_of_a_folder_are_harmless(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = request.getfixturevalue(kind)
    names = [name for name in _SETTINGS if (good / name).exists()]
    contents = {name: (good / name).read_text() for name in names}
    shutil.copytree(good, tmp_path / "net")
    (tmp_path / "evil.py").write_text("open('executed', 'w')")
    monkeypatch.chdir(tmp_path)
    words = ("eval", "--ckpt", "net", "--noise", "gaussian", "--limit", "10", "--no-store")
    assert larobust(*words).code == 0

    @fuzz()
    @given(changed=st.sampled_from([names[0], *names]).flatmap(lambda name: st.tuples(st.just(name), _changed(contents[name]))))
    def harmless(changed: tuple[str, bytes]) -> None:
        name, content = changed
        Path("net", name).write_bytes(content)
        outcome = larobust(*words)
        Path("net", name).write_text(contents[name])
        assert_harmless(outcome)
        assert not Path("executed").exists()

    harmless()
