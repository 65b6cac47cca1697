"""Code that a plan, a table or a baseline names: it is run only where the user names it as well."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from robustbench_la.errors import UserError
from robustbench_la.wording import as_flags

LIBRARIES = ("torchvision", "timm", "pickled")
"""What stands before the colon of an architecture that is no code of the user's."""


_LONGEST = 300


def is_code(architecture: str) -> bool:
    """Whether building an architecture runs the user's code.

    >>> is_code("torchvision:resnet18"), is_code("net.py:Net"), is_code("resnet20")
    (False, True, False)
    """
    source, colon, _ = architecture.partition(":")
    return bool(colon) and source not in LIBRARIES


def check_code_is_named(settings: Mapping[str, object], flags: Collection[str], *, source: str) -> None:
    """Check that nothing runs which a file names, and the user does not.

    Args:
        settings: The settings that hold: ``arch``, ``preprocess``, ``trust_file`` and any others.
        flags: The names of those that the user gave, on the command line or as arguments of a Python function.
        source: Where the others are from, for the error: ``downloaded.yaml``.

    Raises:
        UserError: If one of the others would run code; the message ends with the flag that allows it.
    """
    arch, preprocess = str(settings.get("arch") or ""), str(settings.get("preprocess") or "")
    if is_code(arch) and "arch" not in flags:
        raise _not_named(source, f"the architecture is the code {_short(arch)}", as_flags({"arch": _short(arch)}))
    if preprocess and "preprocess" not in flags:
        raise _not_named(
            source, f"the preprocessing is the code {_short(preprocess)}", as_flags({"preprocess": _short(preprocess)})
        )
    if settings.get("trust_file") and "trust_file" not in flags:
        raise _not_named(source, "trust_file runs the code in checkpoints", as_flags({"trust_file": True}))


def check_codes_are_named(codes: Iterable[tuple[str, str]], allowed: Collection[str], *, setting: str) -> None:
    """Check that no code runs which tables and names of checkpoints name, and the user does not.

    Args:
        codes: Where each is named (``the table nets.csv``), and what: ``net.py:Net``.
        allowed: The code that the user names.
        setting: That by which it is allowed: ``allow_code``, or ``arch``.

    Raises:
        UserError: If there is other code; the message ends with all that allows it.
    """
    others = {code: source for source, code in codes if code not in allowed}
    if others:
        first, source = next(iter(others.items()))
        several = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise _not_named(
            source,
            f"an architecture is the code {_short(first)}{several}",
            as_flags({setting: [_short(code) for code in others]}),
        )


def _short(code: str) -> str:
    """Code for a message; what is longer than any path to it that is meant is cut."""
    return code if len(code) <= _LONGEST else f"{code[:_LONGEST]}..."


def _not_named(source: str, what: str, flags: str) -> UserError:
    return UserError(f"{source}: {what}, which a file alone may not run; allow that with{flags}")
