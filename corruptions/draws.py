"""Random words that depend on (seed, purpose, image id, position) and on nothing else.

A counter-based generator in plain integer tensor operations: no state, no stream, no floating point. Batch size, order, subset,
worker and device therefore cannot change a word. The hash is the finaliser of splitmix64 (Steele, Lea & Flood 2014, "Fast
splittable pseudorandom number generators"; constants of D. Stafford's mix 13), evaluated along a Weyl sequence.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor


def _signed(word: int) -> int:
    """The int64 with the same bits as the unsigned 64-bit ``word``."""
    return word - (1 << 64) if word >> 63 else word


_STEP = _signed(0x9E3779B97F4A7C15)
_ROUNDS = (
    (30, _signed(0xBF58476D1CE4E5B9)),
    (27, _signed(0x94D049BB133111EB)),
    (31, None),
)


def _finalise(state: Tensor) -> Tensor:
    """Hash every int64 of ``state`` in place."""
    for shift, factor in _ROUNDS:
        # int64 shifts are arithmetic: the mask makes them logical.
        shifted = torch.bitwise_right_shift(state, shift).bitwise_and_((1 << (64 - shift)) - 1)
        state.bitwise_xor_(shifted)
        if factor is not None:
            state.mul_(factor)
    return state


def image_keys(seed: int, purpose: str, ids: Tensor) -> Tensor:
    """One 64-bit key per image.

    Args:
        seed: Any integer.
        purpose: What the random words are for, such as the name of a corruption.
        ids: int64 (N,), the index of each image in the whole dataset.

    Returns:
        int64 (N,).
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return _finalise(ids.to(torch.int64).mul(_STEP).add_(_signed(int.from_bytes(digest, "little"))))


def words(keys: Tensor, count: int, *, start: int = 0) -> Tensor:
    """Uniform 32-bit words ``start`` to ``start + count - 1`` of every key.

    Each 64-bit hash gives two words, the low half first.

    Args:
        keys: int64 (N,), see ``image_keys``.
        count: How many words per key.
        start: Position of the first word; even.

    Returns:
        int32 (N, count).

    Raises:
        ValueError: If ``start`` is odd.
    """
    if start % 2:
        raise ValueError(f"words come in pairs: start must be even, not {start}")
    pairs = (count + 1) // 2
    first = start // 2
    counters = torch.arange(first, first + pairs, dtype=torch.int64, device=keys.device).mul_(_STEP)
    hashed = _finalise(keys[:, None] + counters).view(torch.int32)
    return hashed if count % 2 == 0 else hashed[:, :count].contiguous()


def integers(keys: Tensor, count: int, below: int, *, start: int = 0) -> Tensor:
    """Integers from 0 to ``below`` - 1, uniform up to a bias of at most ``below`` / 2^32.

    Args:
        keys: int64 (N,), see ``image_keys``.
        count: How many integers per key.
        below: Exclusive upper limit.
        start: Position of the first word used; even.

    Returns:
        int64 (N, count).
    """
    unsigned = words(keys, count, start=start).to(torch.int64).bitwise_and_(0xFFFFFFFF)
    return unsigned.mul_(below).bitwise_right_shift_(32)
