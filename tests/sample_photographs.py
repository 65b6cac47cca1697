"""Pieces of a photograph, as images for the tests."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_sample_image


def photographs(side: int, count: int) -> np.ndarray:
    """Square pieces (N, 3, side, side) of a photograph with large plain areas, and of it blown out to white."""
    picture = load_sample_image("flower.jpg")
    rng = np.random.default_rng(0)
    corners = [(int(rng.integers(picture.shape[0] - side)), int(rng.integers(picture.shape[1] - side))) for _ in range(count)]
    pieces = np.stack([picture[y : y + side, x : x + side] for y, x in corners]).transpose(0, 3, 1, 2)
    bright = np.minimum(pieces.astype(int) * 3, 255).astype(np.uint8)
    return np.ascontiguousarray(np.concatenate([pieces, bright]))
