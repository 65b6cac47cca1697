"""Networks that are objects in the caller's program: how they are identified, and how they are restored after use."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from robustbench_la.errors import UserError
from robustbench_la.models.canonical import canonical
from robustbench_la.models.checkpoints.keys import is_counter
from robustbench_la.models.exchange import activation_types
from robustbench_la.models.user_sources import sources_of

_LIBRARIES = ("torch", "torchvision")
"""Their versions are part of every record, so their source need not be hashed."""
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


_NOT_COMPUTED_WITH = frozenset(vars(nn.Module())) - {"_buffers"}
"""Attributes of every module that do not decide its outputs, or are hashed on their own."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The network inside the wrappers of torch.compile and data parallelism."""
    inner = getattr(model, "_orig_mod", None)
    if inner is None and isinstance(model, (nn.DataParallel, nn.parallel.DistributedDataParallel)):
        inner = model.module
    return unwrapped(inner) if isinstance(inner, nn.Module) else model


def weights_sha256(model: nn.Module) -> str:
    """SHA-256 of all values that a network computes with.

    These are the entries of its state dict (sorted by name: name, dtype, shape, bytes), everything that its modules hold as plain
    attributes or as buffers outside the state dict, and their forward hooks.

    Args:
        model: The network, possibly wrapped.

    Returns:
        64 hexadecimal digits.
    """
    model, digest = unwrapped(model), hashlib.sha256()
    for entry in sorted(model.state_dict().items()):
        _update(digest, *entry)
    for path, module in model.named_modules():
        held = {name: value for name, value in vars(module).items() if name not in _NOT_COMPUTED_WITH}
        hooks = [list(getattr(module, name, {}).values()) for name in ("_forward_pre_hooks", "_forward_hooks")]
        digest.update(repr((path, canonical(held), canonical(hooks))).encode())
    return digest.hexdigest()


def _update(digest: hashlib._Hash, key: str, value: object) -> None:
    """Add an entry of a state dict to a digest."""
    if isinstance(value, Tensor):
        value = value.dequantize() if value.is_quantized else value.to_dense() if value.is_sparse else value
        digest.update(repr((key, str(value.dtype), tuple(value.shape))).encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    else:  # the extra state of a module
        digest.update(_ADDRESS.sub("", repr((key, value))).encode())


def state_sha256(model: nn.Module) -> str:
    """SHA-256 of a state dict alone: equal for the same weights in another file, under another prefix or in another wrapper.

    Counters of BatchNorm, which older files do not have and which change no output, are left out.

    Args:
        model: The network, possibly wrapped.

    Returns:
        64 hexadecimal digits; an empty text for a network without a state dict.
    """
    digest = hashlib.sha256()
    entries = sorted(entry for entry in unwrapped(model).state_dict().items() if not is_counter(entry[0]))
    for entry in entries:
        _update(digest, *entry)
    return digest.hexdigest() if entries else ""


def code_sha256(model: nn.Module) -> str:
    """SHA-256 of the code of a network: its modules except activations, and the files that define their classes, with all of
    the user's that these import; comments do not count.

    Networks that differ only in activation and weights have the same code, so they can be compared. Classes of torch and
    torchvision count by name only. A class without a file (defined in a notebook) counts by the source of its functions.

    Args:
        model: The network, possibly wrapped.

    Returns:
        64 hexadecimal digits.
    """
    model, digest = unwrapped(model), hashlib.sha256()
    of_torch = {kind for kind in vars(nn.modules.activation).values() if isinstance(kind, type) and issubclass(kind, nn.Module)}
    activations = activation_types() | of_torch - {nn.MultiheadAttention}
    for path, module in model.named_modules():
        if type(module) not in activations:
            digest.update(_ADDRESS.sub("", repr((path, _name(type(module)), module.extra_repr()))).encode())
    kinds = {base for module in model.modules() for base in type(module).__mro__ if issubclass(base, nn.Module)}
    custom = sorted((kind for kind in kinds - activations if kind.__module__.partition(".")[0] not in _LIBRARIES), key=_name)
    for kind in custom:
        # A file may have been edited since it was imported: what runs is the code that was loaded.
        loaded = {name: value for name, value in vars(kind).items() if _is_code(value)}
        digest.update(repr((_name(kind), canonical(loaded))).encode())
    files = {file for kind in custom if (file := _file(kind)) is not None}
    digest.update(repr(sorted(sources_of(file).digest for file in files)).encode())
    return digest.hexdigest()


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _file(kind: type) -> Path | None:
    """The file that defines a class; None for a class of a notebook, or made by a program."""
    try:
        file = Path(inspect.getsourcefile(kind) or "")
    except (TypeError, OSError):
        return None
    return file.resolve() if file.is_file() else None


def _is_code(value: object) -> bool:
    return inspect.isfunction(value) or isinstance(value, (staticmethod, classmethod, property))


def _check_initialised(model: nn.Module) -> None:
    for path, module in model.named_modules():
        if any(map(is_lazy, (*module.parameters(recurse=False), *module.buffers(recurse=False)))):
            where = f"its {type(module).__name__} {path!r}" if path else "it"
            raise UserError(
                f"{type(model).__name__} cannot be measured yet: {where} has no weights before its first batch; "
                "run the network on a batch, or load its weights, first"
            )


def device_of(models: Iterable[nn.Module]) -> torch.device | None:
    """The device of the first weight or buffer found in the networks; None if they have none."""
    tensors = (tensor for model in models for tensor in (*model.parameters(), *model.buffers()))
    first = next(tensors, None)
    return None if first is None else first.device


@contextlib.contextmanager
def borrowed(models: Sequence[nn.Module]) -> Iterator[None]:
    """Put networks into eval mode; they may be moved inside the context.

    On exit everything is restored: modes, tensors, devices, and the values of buffers that a forward pass changed in place.

    Args:
        models: Networks of the caller.

    Raises:
        UserError: If a module is lazy and has no weights yet.
    """
    for model in models:
        _check_initialised(model)
    modules = list(dict.fromkeys(module for model in models for module in model.modules()))
    training = [(module, module.training) for module in modules]
    scripted = [(model, device_of([model])) for model in models if isinstance(model, torch.jit.ScriptModule)]
    written = [module for module in modules if not isinstance(module, torch.jit.ScriptModule)]
    parameters = [(module, dict(module._parameters)) for module in written]
    buffers = [(module, dict(module._buffers)) for module in written]
    # Moving a network gives its parameters new memory: the old tensors are kept, with their device and memory format.
    memory = [(parameter, parameter.data) for _, entries in parameters for parameter in entries.values() if parameter is not None]
    values = {id(buffer): (buffer, buffer.clone()) for _, entries in buffers for buffer in entries.values() if buffer is not None}
    try:
        for module in modules:
            module.training = False
        yield
    finally:
        for module, mode in training:
            module.training = mode
        for parameter, data in memory:
            if parameter.data is not data:
                parameter.data = data
        for module, entries in parameters:
            module._parameters.update(entries)
        for module, tensors in buffers:
            module._buffers.update(tensors)
        with torch.no_grad():
            for buffer, value in values.values():
                if not torch.equal(buffer, value):
                    buffer.copy_(value)
        for model, device in scripted:  # TorchScript does not expose its tensors for replacement
            if device is not None:
                model.to(device)
