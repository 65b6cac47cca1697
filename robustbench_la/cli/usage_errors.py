"""What the command-line parser refuses, in a sentence that says what to give instead."""

from __future__ import annotations

import re
from typing import Any

from robustbench_la.errors import did_you_mean

_RENAMED = {"--alpha": ("--layeract-alpha",), "--seed": ("--training-seed", "--noise-seed")}
"""Flags of earlier versions, with their new names; the one that the command has applies."""
_MEANT = {
    **dict.fromkeys(("--model", "--checkpoint", "--checkpoints", "--weights"), "--ckpt"),
    **dict.fromkeys(("--corruption", "--corruptions", "--noises"), "--noise"),
    **dict.fromkeys(("--level", "--levels", "--severities"), "--severity"),
    **dict.fromkeys(("--samples", "--images", "--n"), "--limit"),
    **dict.fromkeys(("--batch", "--bs"), "--batch-size"),
    **dict.fromkeys(("--dataset", "--images-dir"), "--data"),
    **dict.fromkeys(("--out", "-O"), "--output"),
    **dict.fromkeys(("--norm", "--normalization", "--mean", "--std"), "--normalize"),
}
"""What other programs call the flag that is meant."""

_OF_BASELINES = frozenset(
    {
        "--amp",
        "--channels",
        "--crop",
        "--interpolation",
        "--jpeg",
        "--limit",
        "--noise-seed",
        "--noise-seeds",
        "--profile",
        "--resize",
    }
)
"""Flags of ``baseline`` that ``check`` does not have, as it measures like the baseline."""


def explain(error: Any) -> str:
    """The parser's error as one sentence.

    Args:
        error: A usage error of the parser, which has ``format_message()``, and mostly ``ctx``.

    Returns:
        The sentence; the parser's own for what is not treated here.
    """
    message: str = error.format_message()
    parameters = [] if getattr(error, "ctx", None) is None else error.ctx.command.params
    flags = [flag for parameter in parameters for flag in parameter.opts if flag.startswith("--")]
    kind = type(error).__name__
    if kind == "NoSuchOption":
        if error.ctx is not None and error.ctx.command.name == "check" and error.option_name in _OF_BASELINES:
            flag = error.option_name
            return f"{flag} is the baseline's; record it with another: larobust baseline --update --ckpt OLD.pt {flag} ..."
        return _unknown_flag(error.option_name, flags)
    if kind == "MissingParameter" and error.param is not None:
        return _missing(error.param)
    if match := re.match(r"Got unexpected extra arguments? ?(?:\(s\))? ?\((.*)\)", message):
        remedy = "; give checkpoints with --ckpt, and quote a pattern: --ckpt 'runs/*.pt'" if "--ckpt" in flags else ""
        return f"unexpected argument {match[1].split()[0]}{remedy}"
    if match := re.match(r"No such command '([^']*)'", message):
        return f"unknown command {match[1]!r}{did_you_mean(match[1], error.ctx.command.list_commands(error.ctx))}"
    return message


def _unknown_flag(given: str, flags: list[str]) -> str:
    renamed = next((flag for flag in _RENAMED.get(given, ()) if flag in flags), None)
    if renamed is not None:
        return f"{given} is now {renamed}"
    if _MEANT.get(given) in flags:
        return f"unknown option {given}; did you mean {_MEANT[given]}?"
    near = did_you_mean(given, flags)
    return f"unknown option {given}{near if 'did you mean' in near else '; --help lists the options'}"


def _missing(parameter: Any) -> str:
    """What is missing, with what its help says about it."""
    name = parameter.metavar or parameter.name.upper() if parameter.param_type_name == "argument" else " / ".join(parameter.opts)
    text = (getattr(parameter, "help", None) or "").strip().rstrip(".")
    return f"missing {name}" + (f": {text[0].lower()}{text[1:]}" if text else "")
