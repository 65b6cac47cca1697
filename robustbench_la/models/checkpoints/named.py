"""A checkpoint, and what its name or a table says about it. Reads no checkpoint."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from robustbench_la.activations import ACTIVATIONS
from robustbench_la.errors import UserError
from robustbench_la.models.architectures import ARCHITECTURES
from robustbench_la.other_activations import check_label

FIELDS = ("arch", "activation", "training_seed", "label", "group", "layeract_alpha", "normalize")
"""What can be said about a checkpoint."""
_ALSO = {"seed": "training_seed", "architecture": "arch", "alpha": "layeract_alpha", "normalization": "normalize"}
_OTHER_NAMES = {"swish": "silu", "hardswish": "hardsilu", "hswish": "hardsilu"}
_PLAIN = {name.replace("_", ""): name for name in ACTIVATIONS}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedFile:
    """A checkpoint, and what is said about it; None: nothing."""

    path: Path = Path()
    source: str = ""
    """Where it is said: ``its name``, or the table; empty if nothing is."""
    hint: str | None = None
    """The activation that occurs in its name, which was not asked to say one."""
    arch: str | None = None
    activation: str | None = None
    training_seed: int | None = None
    label: str | None = None
    """Its name in tables, in place of its path."""
    group: str | None = None
    """Networks of one group were trained alike, except for the seed."""
    layeract_alpha: float | None = None
    normalize: str | None = None

    @property
    def known_arch(self) -> str | None:
        """The architecture, if it is one of the table."""
        plain = (self.arch or "").lower().replace("-", "")
        return self.arch if ":" in (self.arch or "") else plain if plain in ARCHITECTURES else None


def field_of(name: str) -> str:
    """The field that a name in braces, or above a column, stands for.

    >>> field_of("seed")
    'training_seed'
    """
    return _ALSO.get(name, name)


def activation_named(word: str) -> str | None:
    """The label of an activation as people write it; None if it is unknown.

    >>> [activation_named(word) for word in ("LA-SiLU", "la_silu", "Swish", "la_silu+relu", "banana")]
    ['la_silu', 'la_silu', 'silu', 'la_silu+relu', None]
    """
    parts = [part.lower().replace("-", "").replace("_", "") for part in word.split("+")]
    label = "+".join(_PLAIN.get(_OTHER_NAMES.get(part, part), part) for part in parts)
    try:
        check_label(label)
    except UserError:
        return None
    return label


def activation_within(name: str) -> str | None:
    """The activation whose name occurs in that of a file.

    >>> activation_within("resnet20_la_silu_seed1"), activation_within("resnet20")
    ('la_silu', None)
    """
    words = f"_{re.sub(r'[^a-z0-9]+', '_', name.lower())}_"
    return max((activation for activation in ACTIVATIONS if f"_{activation}_" in words), key=len, default=None)


def named_file(path: Path, said: Mapping[str, str], *, source: str) -> NamedFile:
    """A checkpoint with what is said about it.

    Args:
        path: Of the file.
        said: Field -> text, as in the name of the file or a row of a table; empty texts say nothing.
        source: As in NamedFile.

    Returns:
        The checkpoint.

    Raises:
        UserError: If a text is not what its field can be.
    """
    texts = {name: text.strip() for name, text in said.items() if text.strip()}
    activation = texts.get("activation")
    if activation is not None and activation_named(activation) is None:
        check_label(activation)  # says what is known
    return NamedFile(
        path=path,
        source=source,
        arch=texts.get("arch"),
        activation=None if activation is None else activation_named(activation),
        training_seed=_whole(texts.get("training_seed")),
        label=texts.get("label"),
        group=texts.get("group"),
        layeract_alpha=_positive(texts.get("layeract_alpha")),
        normalize=texts.get("normalize"),
    )


def _whole(text: str | None) -> int | None:
    try:
        number = None if text is None else int(text)
    except ValueError:
        raise UserError(f"a training seed must be a whole number, not {text!r}") from None
    if number is not None and abs(number) >= 2**63:
        raise UserError(f"the training seed {text} is too large")
    return number


def _positive(text: str | None) -> float | None:
    try:
        number = None if text is None else float(text)
    except ValueError:
        number = math.nan
    if number is not None and not 0 < number < math.inf:
        raise UserError(f"layeract_alpha must be a number above 0, not {text!r}")
    return number
