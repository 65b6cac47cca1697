"""The loop that samples a channel on the CPU: hash, look up, choose, one pass over the pixels."""

from __future__ import annotations

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

from corruptions.kernels import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))
_HALF = np.uint64(32)
_COLUMN, _THRESHOLD = np.int32(255), np.int32(-256)


@kernel("void(uint8[:, ::1], uint64[::1], int32[::1], uint8[:, ::1])")
def sample_values(
    values: NDArray[np.uint8], keys: NDArray[np.uint64], table: NDArray[np.int32], result: NDArray[np.uint8]
) -> None:
    """Write one sample for each value to ``result``; the words are those of ``draws.words``, two from each hash.

    Args:
        values: uint8 (N, M).
        keys: uint64 (N,), one for each row.
        table: int32 (65536,), the alias table of a channel.
        result: uint8 (N, M).
    """
    count = values.shape[1]
    for row in range(len(values)):
        before, after, key = values[row], result[row], keys[row]
        for pair in range(count // 2):
            state = _hash(key, np.uint64(pair))
            first, second = 2 * pair, 2 * pair + 1
            after[first] = _chosen(table, before[first], np.int32(state))
            after[second] = _chosen(table, before[second], np.int32(state >> _HALF))
        if count % 2:
            after[count - 1] = _chosen(table, before[count - 1], np.int32(_hash(key, np.uint64(count // 2))))


@register_jitable
def _hash(key: np.uint64, position: np.uint64) -> np.uint64:
    state = key + position * _STEP
    state = (state ^ (state >> _SHIFTS[0])) * _FIRST
    state = (state ^ (state >> _SHIFTS[1])) * _SECOND
    return state ^ (state >> _SHIFTS[2])


@register_jitable
def _chosen(table: NDArray[np.int32], value: np.uint8, word: np.int32) -> np.uint8:
    """The column that the low byte of the word names, or its alias if the word is not below the column's threshold."""
    entry = table[np.uint64(value) * np.uint64(256) + np.uint64(word & _COLUMN)]
    return np.uint8(word if word < (entry & _THRESHOLD) else entry)
