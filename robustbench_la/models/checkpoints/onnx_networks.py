"""ONNX: run by onnxruntime, and as torch modules where onnx2torch converts exactly."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from robustbench_la.errors import UserError, first_line
from robustbench_la.files import is_there, read_regular
from robustbench_la.models.checkpoints.onnx_bounds import OnnxBounds, nodes_of
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.models.libraries import library

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators that ONNX itself defines."""
_ENDLESS = frozenset({"Loop", "Scan"})
"""Operators that may run any number of times; networks of images are exported without."""
_MOST_IMAGES, _MOST_CHANNELS = 1024, 64
"""Of a batch and of an image whose sizes are fixed: inputs of any size would have to be made for them."""
_EXACT = 1e-4
"""How far logits may be apart, relative to the largest, between two implementations of the same arithmetic in float32."""
_TRIED = 4
"""Number of images that both implementations are compared on."""
_SIDE = 32
"""Pixels of a side that is not fixed, as long as no images are there."""


class OnnxNetwork(nn.Module):
    """A network that onnxruntime runs on the CPU. Its layers cannot be seen."""

    layers_unseen = (
        "its layers cannot be measured: onnxruntime runs the ONNX file as a whole, since onnx2torch does not convert it exactly; "
        "give the network as Python code, or export it with do_constant_folding=False"
    )

    def __init__(self, path: Path, *, channels_last: bool, dtype: torch.dtype, batch: int | None, bounds: OnnxBounds) -> None:
        super().__init__()
        runtime = library("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 4
        self.session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.channels_last, self.dtype, self.batch, self.bounds = channels_last, dtype, batch, bounds

    def forward(self, images: Tensor) -> Tensor:
        """Images (N, C, H, W) to what the first output of the file is."""
        inputs = images.detach().to("cpu", self.dtype)
        inputs = (inputs.permute(0, 2, 3, 1) if self.channels_last else inputs).contiguous()
        if self.batch is None:
            return self._run(inputs).to(images.device)
        short = -len(inputs) % self.batch
        padded = torch.cat([inputs, inputs[-1:].expand(short, *inputs.shape[1:])]) if short else inputs
        return torch.cat([self._run(part) for part in torch.split(padded, self.batch)])[: len(inputs)].to(images.device)

    def _run(self, inputs: Tensor) -> Tensor:
        self.bounds.check(inputs.shape)
        (name, *_) = (entry.name for entry in self.session.get_inputs())
        output = self.session.run(None, {name: inputs.numpy()})[0]
        return torch.from_numpy(output.copy()).float()


def read_onnx(raw: bytes, path: Path) -> tuple[str, WholeNetwork]:
    """Read an ONNX file.

    Args:
        raw: Its content.
        path: Where it is; weights in further files must be in the same folder.

    Returns:
        SHA-256 of the file and of the files with its weights, and the network.

    Raises:
        UserError: If it is damaged, asks for files elsewhere, or for operators that ONNX does not define.
    """
    onnx = library("onnx")
    try:
        model = onnx.load_model_from_string(raw)
    except Exception as error:  # protobuf raises its own, and others for damaged files
        raise UserError(f"not a readable ONNX file ({first_line(error)})") from None
    if not model.graph.input or not model.graph.output:
        raise UserError("not a readable ONNX file (it has no input or no output)")
    own = {function.domain for function in model.functions}
    if foreign := {node.domain for node in nodes_of(model)} - _DOMAINS - own:
        raise UserError(f"uses operators of {', '.join(sorted(foreign))}, which ONNX does not define; export it without them")
    if endless := {node.op_type for node in nodes_of(model)} & _ENDLESS:
        raise UserError(f"uses {', '.join(sorted(endless))}, which may run without end; export it without loops")
    digest, stored = hashlib.sha256(raw), len(raw)
    for file in _external(model, path):
        digest.update(weights := read_regular(file, "weights of an ONNX file"))
        stored += len(weights)
    shape, dtype = _input(model)
    bounds = OnnxBounds(model, path, str(dtype).removeprefix("torch."), stored=stored)
    usual = [_TRIED, 3, _SIDE, _SIDE] if len(shape) == 4 else [_TRIED] * len(shape)
    bounds.check([given or other for given, other in zip(shape, usual, strict=True)])
    last = len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3)
    channels = shape[3 if last else 1] if len(shape) == 4 else None
    return digest.hexdigest(), WholeNetwork(
        architecture="onnx",
        make=lambda key: _made(path, model, shape, dtype, channels_last=last, bounds=bounds),
        channels=channels or None,
    )


def _external(model: Any, path: Path) -> list[Path]:
    """The files that hold weights of the model. Raises UserError for files outside its folder."""
    from google.protobuf.message import Message

    folder, names = path.parent.resolve(), set()
    pending: list[Message] = [model]
    while pending:
        message = pending.pop()
        for field, value in message.ListFields():
            if field.message_type is None:
                continue
            values = [value] if isinstance(value, Message) else list(value)
            pending += values
            for tensor in values if field.message_type.name == "TensorProto" else []:
                for entry in tensor.external_data:
                    if entry.key == "location":
                        names.add(entry.value)
    for name in sorted(names):
        outside = UserError(f"asks for weights outside its folder ({name}), which are not read")
        if Path(name).is_absolute() or not Path(os.path.normpath(folder / name)).is_relative_to(folder):
            raise outside
        if not is_there(folder / name):
            raise UserError(f"its weights are in {name or 'a file without a name'}, which is not next to it")
        if not (folder / name).resolve().is_relative_to(folder):  # by a link
            raise outside
    return [folder / name for name in sorted(names)]


def _input(model: Any) -> tuple[list[int], torch.dtype]:
    """The shape of the first input, 0 for what is not fixed, and its type."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [entry for entry in model.graph.input if entry.name not in constants]
    if len(inputs) != 1:
        raise UserError(f"takes {len(inputs)} inputs; only networks that take images are supported")
    kind = inputs[0].type.tensor_type
    types = {1: torch.float32, 10: torch.float16, 11: torch.float64}
    if kind.elem_type not in types:
        raise UserError("takes no images of floating-point numbers; export it without the conversion from 8-bit pixels")
    shape = [dimension.dim_value for dimension in kind.shape.dim]
    last = len(shape) == 4 and shape[3] in (1, 3)
    if shape and (min(shape) < 0 or shape[0] > _MOST_IMAGES or (len(shape) == 4 and not last and shape[1] > _MOST_CHANNELS)):
        raise UserError(f"takes inputs of {' x '.join(map(str, shape))} values, which are no images; export it for images")
    return shape, types[kind.elem_type]


def _made(
    path: Path, model: Any, shape: list[int], dtype: torch.dtype, *, channels_last: bool, bounds: OnnxBounds
) -> tuple[nn.Module, tuple[str, ...]]:
    """The network as torch modules if they compute the same, otherwise as onnxruntime runs it; and which it is."""
    try:
        runtime = OnnxNetwork(path, channels_last=channels_last, dtype=dtype, batch=(shape and shape[0]) or None, bounds=bounds)
    except UserError:
        raise
    except Exception as error:  # onnxruntime has an exception of its own for every kind of fault
        raise UserError(f"onnxruntime cannot load it ({first_line(error)})") from None
    converted = None if channels_last else _converted(path, model)
    size = [side or _SIDE for side in shape[2:]] if len(shape) == 4 else []
    if converted is None or len(size) != 2:
        return runtime, ("runs in onnxruntime; accuracy only, since onnx2torch does not convert its layers",)
    images = torch.rand(_TRIED, shape[1] or 3, *size, generator=torch.Generator().manual_seed(0))
    try:
        with torch.inference_mode():
            expected, outputs = runtime(images), converted(images)
            apart = float((outputs - expected).abs().max() / expected.abs().max().clamp_min(1e-12))
    except Exception:  # whatever the converted code or onnxruntime raises: then the layers are not to be had
        apart = float("inf")
    if not apart <= _EXACT:
        return runtime, ("runs in onnxruntime; accuracy only, since its layers as onnx2torch converts them give other outputs",)
    converted.register_forward_pre_hook(lambda module, given: bounds.check(given[0].shape))
    return converted, (f"converted by onnx2torch; outputs equal those of onnxruntime (apart by {apart:.0e} at most)",)


def _converted(path: Path, model: Any) -> nn.Module | None:
    """The network as torch modules; None if onnx2torch is missing or does not know one of its operators."""
    try:
        import onnx2torch

        with warnings.catch_warnings(action="ignore"):
            onnx = library("onnx")
            full = onnx.load_model(str(path)) if any(tensor.external_data for tensor in model.graph.initializer) else model
            converted: nn.Module = onnx2torch.convert(full).eval()
    except Exception:  # it raises NotImplementedError, KeyError, IndexError and others for what it cannot convert
        return None
    return converted
