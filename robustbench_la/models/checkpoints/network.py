"""A loaded network, and what the user may specify about its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from robustbench_la.activations import ACTIVATIONS, NO_ACTIVATION, Level
from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import Normalization
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.composed import Composed
from robustbench_la.records.networks import NetworkRecord

PADDING = "shortcut_padding"
"""How the statement begins that it is assumed where the shortcuts of a network pad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A trained network, ready to be run, with everything known about it."""

    name: str
    """The path as given."""
    sha256: str
    model: nn.Module
    spec: NetworkSpec
    activation: str | None
    """None as long as it was neither said nor seen."""
    alpha: float | None
    """None at the element level."""
    normalization: Normalization
    data: ImageChoice | None
    """What to evaluate it on, if the file records it."""
    seed: int | None
    """Its training seed, if the file records it."""
    remarks: tuple[str, ...]
    """What was assumed or changed when it was loaded, for the user to read."""
    assumed: tuple[str, ...] = ()
    """Which of its properties neither the file nor the user said, with the value taken for each: ``normalization none``."""
    recipe: str = ""
    """Digest of how it was trained, see ``recipe_of``; empty if unknown."""
    weights: str = ""
    """SHA-256 of its state dict; empty if it has none."""
    composed: Mapping[str, Composed] = field(default_factory=dict)
    """Modules of others, by path, that are activations as a whole; known after its trial."""
    activations_seen: str | None = None
    """As in NetworkRecord; None before its trial."""
    architecture_label: str | None = None
    """What the user calls its architecture; None for its own name."""
    weights_key: str = ""
    """Which of the weights in its file, if the user says so."""
    code: str | None = None
    """SHA-256 of the user's file that builds it; None for an architecture of the table."""
    classes: tuple[str, ...] = ()
    """The names of the classes it was trained on, if the file records them."""
    channels_last: bool = False
    """Whether it runs in the memory format channels_last, see ``measuring.trial``."""
    gives_probabilities: bool = False
    """Whether it ends in a softmax, so that the logarithm of its outputs is taken."""
    stochastic: bool = False
    """As in NetworkRecord."""

    @property
    def level(self) -> Level:
        """Whether any of its activations is layer-level; one that is not in the table counts as element-level."""
        levels = {ACTIVATIONS[name].level for name in (self.activation or "").split("+") if name in ACTIVATIONS}
        return "layer" if "layer" in levels else "element"

    @property
    def record(self) -> NetworkRecord:
        """The network as it appears in records."""
        return NetworkRecord(
            checkpoint=self.name,
            sha256=self.sha256,
            architecture=self.spec.architecture,
            weights_key=self.weights_key,
            code=self.code,
            activation=self.activation or NO_ACTIVATION,
            activation_level=self.level,
            alpha=self.alpha,
            normalization=str(self.normalization),
            training_seed=self.seed,
            exchange=",".join(self.spec.exchange),
            activations_seen=self.activations_seen,
            architecture_label=self.architecture_label,
            recipe=self.recipe,
            stochastic=self.stochastic,
            weights=self.weights or self.sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOverrides:
    """What the user specifies about a checkpoint, because a foreign file does not record it; None: not specified."""

    architecture: str | None = None
    architecture_label: str | None = None
    exchange: tuple[str, ...] = ()
    """Such as ``relu=la_silu``."""
    key: str | None = None
    """Which of the weights in a file that holds several."""
    activation: str | None = None
    alpha: float | None = None
    normalization: Normalization | None = None
    seed: int | None = None
    """Of the training."""
    name: str | None = None
    """Its name in tables, in place of its path."""
    group: str | None = None
    """Networks of one group were trained alike, except for the seed."""
    source: str = ""
    """Where what differs between checkpoints is said: ``its name``, or a table; empty if nowhere."""
