"""The state of a training after each epoch, kept in a file, so that an interrupted one can go on."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustbench_la.errors import UserError
from robustbench_la.files import write_whole


@dataclass(slots=True)
class Unfinished:
    """A training in progress."""

    path: Path
    """Where it is kept."""
    identity: str
    """Everything that decides the weights; a file of another identity is not continued."""
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[list[float]] = field(default_factory=list)
    """For each finished epoch, the mean loss in nats and the accuracy, a fraction."""

    @property
    def epochs(self) -> int:
        """How many are finished."""
        return len(self.history)

    def keep(self, loss: float, accuracy: float) -> None:
        """Add a finished epoch and write the state, whole or not at all."""
        self.history.append([loss, accuracy])
        buffer = io.BytesIO()
        torch.save(
            {
                "identity": self.identity,
                "epoch": self.epochs,
                "history": self.history,
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            buffer,
        )
        write_whole(self.path, buffer.getvalue())

    def resume(self, device: torch.device) -> None:
        """Load the state that an interrupted run kept, if there is one.

        Raises: UserError where the file cannot be read or belongs to another training.
        """
        if not self.path.exists():
            return
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location=device, weights_only=True)
            same = kept["identity"] == self.identity
            if same:
                self.model.load_state_dict(kept["model"])
                self.optimizer.load_state_dict(kept["optimizer"])
                self.history = list(kept["history"])
        except Exception as error:  # random bytes make the unpickler raise nearly anything
            raise UserError(f"{self.path} cannot be read ({type(error).__name__}); --force starts anew") from None
        if not same:
            raise UserError(f"{self.path} is an unfinished training with other settings or data; --force starts anew")
