"""Files that run code when they are loaded: whole pickled networks and TorchScript. Only for a user who says ``--trust-file``."""

from __future__ import annotations

import io
import pickle
import types
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustbench_la.errors import UserError, first_line
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.checkpoints.kinds import Kind
from robustbench_la.models.checkpoints.whole import WholeNetwork
from robustbench_la.models.user_code import importable, user_function
from robustbench_la.models.user_prints import prints_on_stderr

MODULE = "module"
"""The key under which the content of a trusted file holds a whole network."""


def load_trusted(raw: bytes, kind: Kind, source: str | None) -> object:
    """Load a file and run the code in it.

    Args:
        raw: The bytes of the file.
        kind: What it is.
        source: ``file.py:NAME`` or ``package.module:NAME``: where classes are looked for that cannot be imported, as those of a
            script that was run itself (``__main__.Net``).

    Returns:
        What the file holds.

    Raises:
        UserError: If that fails.
    """
    try:
        with warnings.catch_warnings(action="ignore"), importable([Path.cwd()]), prints_on_stderr():
            if kind == "torchscript":
                return torch.jit.load(  # type: ignore[no-untyped-call]  # torch.jit has no types
                    io.BytesIO(raw), map_location="cpu"
                )
            return torch.load(io.BytesIO(raw), map_location="cpu", weights_only=False, pickle_module=_pickle_with(source))
    except UserError:
        raise
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"needs Python code that is not here ({first_line(error)}); run larobust in the folder of that code, or name the "
            "file with its class: --arch FILE.py:CLASS"
        ) from None
    except Exception as error:  # the file's own code may raise anything
        raise UserError(f"cannot be loaded ({type(error).__name__}: {first_line(error)})") from None


def _pickle_with(source: str | None) -> Any:
    """The pickle module, finding classes that cannot be imported in the user's code."""
    file, _, _ = (source or "").rpartition(":")
    is_code = bool(file) and NetworkSpec(architecture=source or "", classes=0, channels=0, height=0, width=0).is_code

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            try:
                if module != "__main__":
                    return super().find_class(module, name)
            except (ImportError, AttributeError):
                if not is_code:
                    raise
            if not is_code:
                raise AttributeError(f"{module}.{name}")
            return user_function(file, name)

    shim = types.ModuleType("larobust_pickle")
    shim.__dict__.update({name: getattr(pickle, name) for name in pickle.__all__})
    shim.__dict__.update(Unpickler=Unpickler)
    return shim


def in_file(content: Mapping[str, object], kind: Kind) -> WholeNetwork | None:
    """The network that a trusted file holds as a whole; None if it holds a state dict."""
    model = content.get(MODULE)
    if not isinstance(model, nn.Module):
        return None
    remark = "loaded with --trust-file: code in the file was run"
    name = "torchscript" if kind == "torchscript" else f"pickled:{type(model).__qualname__}"
    return WholeNetwork(architecture=name, make=lambda key: (model.float(), (remark,)))
