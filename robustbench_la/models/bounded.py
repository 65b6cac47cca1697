"""Building networks that files describe: no larger than the weights that are there for them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn
from torch.nn.modules import module as registries

from robustbench_la.errors import UserError

_MOST_MODULES = 20_000
"""More than the deepest networks have."""


@contextlib.contextmanager
def no_larger_than(most: int) -> Iterator[None]:
    """Stop the building of a network that has more parameters than its weights can account for, or modules without end.

    The hooks see each parameter before it is initialised, when its memory is not yet touched.

    Args:
        most: The most parameters that it may have.

    Raises:
        UserError: If the network becomes larger.
    """
    parameters = modules = 0

    def count_parameter(owner: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal parameters
        parameters += 0 if parameter is None else parameter.numel()
        if parameters > most:
            raise UserError(
                f"the weights have other sizes than config.json describes: it asks for {parameters:,} parameters or more, of at "
                f"most {most:,}"
            )

    def count_module(owner: nn.Module, name: str, module: nn.Module | None) -> None:
        nonlocal modules
        modules += 1
        if modules > _MOST_MODULES:
            raise UserError(f"config.json describes a network of more than {_MOST_MODULES:,} modules")

    hooks = (
        registries.register_module_parameter_registration_hook(count_parameter),
        registries.register_module_module_registration_hook(count_module),
    )
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
