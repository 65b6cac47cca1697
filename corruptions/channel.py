"""Pixelwise noise as a channel: a 256 x 256 table P(out | in), and how it is sampled exactly.

Noise that acts on each 8-bit value independently is fully described by such a table. Sampling takes one 32-bit word per value
(Walker's alias method, 1977): the low 8 bits choose a column, the high 24 bits are compared with that column's threshold. The
table holds integers that sum to 2^32 in each row, so sampling is exact to 2^-32, needs no floating point, and gives the same
bytes on every device.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.draws import words
from corruptions.sampling import sample_values
from corruptions.threads import in_pieces

_CAPACITY = 1 << 24
_BLOCK = 1 << 24
"""Values sampled at a time with torch, to bound memory."""


class Channel:
    """Noise that acts on each 8-bit value independently."""

    def __init__(self, probabilities: NDArray[np.float64]) -> None:
        """Build the sampling table.

        Args:
            probabilities: float64 (256, 256); row = value before, column = value after; each row sums to 1.

        Raises:
            ValueError: If the shape differs, or a row is not a probability distribution.
        """
        if probabilities.shape != (256, 256):
            raise ValueError(f"a channel must be a (256, 256) table, not {probabilities.shape}")
        if not (np.all(probabilities >= 0) and np.allclose(probabilities.sum(axis=1), 1, rtol=0, atol=1e-9)):
            raise ValueError("each row of a channel must be a probability distribution: no negative entries, sum 1")
        self.probabilities = probabilities
        self._tables: dict[torch.device, Tensor] = {torch.device("cpu"): _alias_table(probabilities)}

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Pass images through the channel.

        Args:
            images: uint8 (N, C, H, W).
            keys: Returns one random key per image, int64 (N,).

        Returns:
            uint8 (N, C, H, W).
        """
        image_keys = keys()
        if images.device.type == "cpu":
            return self._on_cpu(images, image_keys)
        table = self._tables.get(images.device)
        if table is None:
            table = self._tables[images.device] = self._tables[torch.device("cpu")].to(images.device)
        values = images.flatten(1)
        step = max(1, _BLOCK // values.shape[1])
        parts = [slice(start, start + step) for start in range(0, len(values), step)]
        return torch.cat([sample_with_torch(table, values[part], image_keys[part]) for part in parts]).view_as(images)

    def _on_cpu(self, images: Tensor, keys: Tensor) -> Tensor:
        """The same with a compiled loop, on as many threads as torch uses."""
        result = torch.empty_like(images, memory_format=torch.contiguous_format)
        values, sampled = images.flatten(1).contiguous().numpy(), result.view(len(images), -1).numpy()
        table = self._tables[torch.device("cpu")].numpy()
        numbers = keys.contiguous().numpy().view(np.uint64)
        in_pieces(len(values), values.shape[1], lambda part: sample_values(values[part], numbers[part], table, sampled[part]))
        return result


def sample_with_torch(table: Tensor, values: Tensor, keys: Tensor) -> Tensor:
    """Sample a channel on any device; all steps are in place.

    Args:
        table: int32 (65536,), see ``_alias_table``.
        values: uint8 (N, M).
        keys: int64 (N,), one for each row.

    Returns:
        uint8 (N, M), the bytes of ``sampling.sample_values``.
    """
    word = words(keys, values.shape[1])
    index = torch.bitwise_and(word, 255).add_(values, alpha=256)
    entry = table.index_select(0, index.view(-1)).view_as(word)
    threshold = torch.bitwise_and(entry, -256, out=index)
    keep = torch.lt(word, threshold, out=index)
    # The low byte of word is the column itself, that of entry its alias; keep selects (three times as fast as torch.where).
    return word.sub_(entry).mul_(keep).add_(entry).to(torch.uint8)


def _alias_table(probabilities: NDArray[np.float64]) -> Tensor:
    """The alias table as int32 (65536,): at 256 * value + column, a signed 24-bit threshold above the 8-bit alias."""
    edges = np.rint(np.cumsum(probabilities, axis=1) * 2.0**32).astype(np.int64)
    edges[:, -1] = 1 << 32
    mass = np.diff(edges, axis=1, prepend=0)
    rows = np.arange(256)
    threshold = np.full((256, 256), _CAPACITY)
    alias = np.tile(np.arange(256), (256, 1))
    open_ = np.ones((256, 256), dtype=bool)
    # All 256 rows at once: the open column with the least mass is topped up from the one with the most, and closed.
    for _ in range(255):
        poor = np.where(open_, mass, 1 << 40).argmin(axis=1)
        rich = np.where(open_, mass, -1).argmax(axis=1)
        threshold[rows, poor] = mass[rows, poor]
        alias[rows, poor] = rich
        mass[rows, rich] -= _CAPACITY - mass[rows, poor]
        open_[rows, poor] = False
    # A full column is its own alias, so its threshold (which would need a 25th bit) does not matter.
    full = threshold == _CAPACITY
    threshold[full] = 0
    alias[full] = np.nonzero(full)[1]
    packed = ((threshold - (1 << 23)) << 8) | alias
    return torch.from_numpy(packed.astype(np.int32).reshape(-1))
