"""Devices, and default batch sizes."""

from __future__ import annotations

import torch

from robustbench_la.errors import RunError, UserError, did_you_mean


def resolve(name: str) -> torch.device:
    """Resolve the name of a device.

    Args:
        name: ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.

    Returns:
        The device; for ``auto`` a GPU if there is one.

    Raises:
        UserError: If the name is unknown.
        RunError: If the machine has no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise _unknown(name) from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise RunError(f"--device {name}: torch finds no CUDA device on this machine")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise RunError(f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices, numbered from 0")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise RunError("--device mps: torch finds no Apple GPU on this machine")
    if device.type not in ("cpu", "cuda", "mps"):
        raise _unknown(name)
    return device


def _unknown(name: str) -> UserError:
    if name.partition(":")[0].lower() in ("gpu", "nvidia"):
        return UserError(f"unknown device {name!r}; did you mean cuda?")
    return UserError(f"unknown device {name!r}{did_you_mean(name, ('auto', 'cpu', 'cuda', 'cuda:1', 'mps'))}")


def batch_size_for(device: torch.device, pixels: int) -> int:
    """A batch size that is fast on a device.

    On a CPU small batches keep the activations in the cache: a ResNet-20 runs twice as fast with 64 images as with 1,024.

    Args:
        device: Where the networks run.
        pixels: Height times width of the images.

    Returns:
        Images per batch.
    """
    if device.type == "cpu":
        return 64 if pixels <= 128 * 128 else 16
    return 1024 if pixels <= 64 * 64 else 128
