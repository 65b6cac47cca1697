"""What identifies a network. A property added here is stored, compared, checked and written everywhere.

The columns of the store (for older files see ``schema.network_columns``), the checks of its rows, JSON and baselines all follow
from the fields below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

Kinds = Mapping[str, tuple[type, ...]]
"""The types that a value may have, by the name of its column."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkId:
    """A network by content: on the same images at the same precision, equal ones give equal results."""

    sha256: str
    """Of the checkpoint file."""
    architecture: str
    weights_key: str = ""
    """Which of the weights in the file, as the user says if it holds several; empty otherwise."""
    code: str | None = None
    """Digest of the user's code that builds the network, with all of the user's that it imports, or of the package's version
    (timm, transformers, onnxruntime); None for an architecture of the table or of torchvision."""
    activation: str
    alpha: float | None
    """LayerAct's alpha; None at the element level."""
    normalization: str
    """A name of NORMALIZATIONS, or means/standard deviations."""
    exchange: str = ""
    """Which activations were exchanged in it after it was built: ``relu=la_silu``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkRecord(NetworkId):
    """A network as it appears in records: its identity, and what else is known about it."""

    checkpoint: str
    """The path as given."""
    activation_level: str
    """``layer`` or ``element``."""
    training_seed: int | None
    activations_seen: str | None = None
    """The activations that its forward pass calls, with counts: ``silu x 12 + relu x 1``; None if they were not looked for."""
    architecture_label: str | None = None
    """What the user calls its architecture (``--as``): networks that share it are compared, whatever their code."""
    recipe: str = ""
    """Digest of how it was trained, without the seed, or the group that the user gave; empty if unknown. Those that differ
    in it are neither pooled nor paired as training seeds."""
    weights: str = ""
    """SHA-256 of its weights, whatever the file that holds them; empty in records of older versions."""
    stochastic: bool = False
    """Whether its answer to an image depends on chance or on the other images of the batch, so that results are not its own."""

    @property
    def design(self) -> str:
        """What its architecture is called: networks of one design are compared."""
        return self.architecture_label or self.architecture

    @property
    def known(self) -> dict[str, Any]:
        """What is known about it and may become known late, such as its training seed; what is unknown is left out."""
        values = {name: getattr(self, name) for name in LATE}
        return {name: value for name, value in values.items() if value not in (None, "") and value is not False}

    @property
    def id(self) -> NetworkId:
        """What identifies it."""
        return NetworkId(**{name: getattr(self, name) for name in IDENTITY})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def kinds_of(record: type) -> dict[str, tuple[type, ...]]:
    """The types of the fields of a dataclass, in order: one per field, or several if its annotation is a union.

    >>> kinds_of(NetworkId)["alpha"]
    (<class 'float'>, <class 'NoneType'>)
    """
    hints = get_type_hints(record)
    return {field.name: get_args(hints[field.name]) or (hints[field.name],) for field in fields(record)}


def defaults_of(record: type) -> dict[str, object]:
    """The fields of a dataclass that have a default, with it."""
    return {field.name: field.default for field in fields(record) if field.default is not MISSING}


IDENTITY: Kinds = kinds_of(NetworkId)
NETWORK: Kinds = kinds_of(NetworkRecord)
LATE = tuple(name for name in NETWORK if name not in (*IDENTITY, "checkpoint", "activation_level"))
"""What does not identify a network, and may become known after it was first measured."""
UNSAID: Mapping[str, object] = defaults_of(NetworkRecord)
"""What holds for a network of a file that was written before a property was known."""
