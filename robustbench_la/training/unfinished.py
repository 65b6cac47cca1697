"""The state of a training run after each epoch, kept in a file, so that an interrupted run can be resumed."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from robustbench_la.errors import UserError
from robustbench_la.files import write_whole
from robustbench_la.models.checkpoints.formats import read_bytes
from robustbench_la.models.checkpoints.torch_files import read_torch


@dataclass(slots=True)
class Unfinished:
    """A training in progress."""

    path: Path
    """Where the state is kept."""
    identity: str
    """Everything that determines the weights; a file with another identity is not resumed."""
    model: nn.Module
    optimizer: torch.optim.Optimizer
    history: list[list[float]] = field(default_factory=list)
    """Per finished epoch, the mean loss in nats and the accuracy, a fraction."""

    @property
    def epochs(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    def keep(self, loss: float, accuracy: float) -> None:
        """Add a finished epoch and write the state atomically."""
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

    def resume(self) -> None:
        """Load the state of an interrupted run, if there is one.

        Raises:
            UserError: If the file cannot be read, or belongs to a run with other settings.
        """
        if not self.path.exists():
            return
        try:
            stored: Any = read_torch(read_bytes(self.path))
            same = stored["identity"] == self.identity
            if same:
                self.model.load_state_dict(stored["model"])
                self.optimizer.load_state_dict(stored["optimizer"])
                self.history = list(stored["history"])
        except Exception as error:  # random bytes make the unpickler raise nearly anything
            raise UserError(f"{self.path} cannot be read ({type(error).__name__}); --force starts again") from None
        if not same:
            raise UserError(f"{self.path} is an unfinished training with other settings or data; --force starts again")
