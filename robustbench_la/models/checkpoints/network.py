"""A network that was loaded, and what a user may say about its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from robustbench_la.activations import ACTIVATIONS, Level
from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import Normalization
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.records.network_id import NetworkRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A trained network, ready to be run, with all that is known of it."""

    name: str
    """The path as it was given."""
    sha256: str
    model: nn.Module
    spec: NetworkSpec
    activation: str
    alpha: float | None
    """None at the element level."""
    normalization: Normalization
    data: ImageChoice | None
    """What to evaluate it on, where the file says so."""
    seed: int | None
    """Its training seed, where the file says so."""
    remarks: tuple[str, ...]
    """What was done to make it fit, for the user to read."""
    code: str | None = None
    """SHA-256 of the user's file that builds it; None for an architecture of the table."""

    @property
    def level(self) -> Level:
        """Whether its activation is layer-level or element-level; one that is not of the table is element-level."""
        return ACTIVATIONS[self.activation].level if self.activation in ACTIVATIONS else "element"

    @property
    def record(self) -> NetworkRecord:
        """As records have it."""
        return NetworkRecord(
            checkpoint=self.name,
            sha256=self.sha256,
            architecture=self.spec.architecture,
            code=self.code,
            activation=self.activation,
            activation_level=self.level,
            alpha=self.alpha,
            normalization=str(self.normalization),
            training_seed=self.seed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOverrides:
    """What the user says of a checkpoint, which a foreign file does not tell; None: not said."""

    architecture: str | None = None
    activation: str | None = None
    alpha: float | None = None
    normalization: Normalization | None = None
