"""Building networks without memory for their weights, to learn the names and shapes of these."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_INITIALISERS = frozenset({"normal_", *(name for name in vars(nn.init) if name.endswith("_") and not name.startswith("_"))})


class _NotInitialised(TorchFunctionMode):
    """Leaves out the initialisation of weights that have no memory: normal_ there imports all of torch's compiler."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _INITIALISERS and args and isinstance(args[0], Tensor) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def unallocated() -> Iterator[None]:
    """Build networks whose weights have shapes, but no memory and no values."""
    with torch.device("meta"), _NotInitialised():
        yield
