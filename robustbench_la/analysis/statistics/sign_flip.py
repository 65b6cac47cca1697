"""Sign-flip test: whether paired changes are as likely to be losses as gains, from their exact distribution."""

from __future__ import annotations

import math
import sys

import numpy as np
from numpy.typing import ArrayLike

from robustbench_la.analysis.statistics.paired_tests import mcnemar

_MOST_STEPS = 10_000_000
"""Distinct sizes x possible sums up to which the distribution is computed; beyond, so many images change that it is normal."""


def sign_flip(changes: ArrayLike) -> tuple[float, float]:
    """One-sided p-values of a sign-flip test (Fisher 1935): that the sum of the changes is below 0, and that it is above 0.

    If nothing but chance made the changes, each image's was as likely to have the other sign. The sum of n images with random
    signs has the characteristic function prod cos(a t), whose inverse Fourier transform is the distribution that listing all 2^n
    signs would give. So no sign is drawn: the p-values have no seed, and none is below 2^-n. Changes of one size give McNemar's
    exact test. scipy.stats.permutation_test lists the signs of a dozen images and draws those of more; its import takes a second.
    The tests compare the two.

    Args:
        changes: Whole numbers, shape (N,): by how much each image became better, in a common unit.

    Returns:
        The p-value of having become worse, and that of having become better; exact to about 1e-15.

    >>> sign_flip([-1, -1, -1, 0]), round(sign_flip([-3, 1, -1])[0], 9)
    ((0.125, 1.0), 0.375)
    """
    values = np.asarray(changes, dtype=np.int64)
    moved = values[values != 0]
    if not len(moved):
        return 1.0, 1.0
    moved = moved // np.gcd.reduce(moved)
    sizes, counts = np.unique(np.abs(moved), return_counts=True)
    if len(sizes) == 1:
        lost, gained = int((moved < 0).sum()), int((moved > 0).sum())
        return mcnemar(lost, gained, "less"), mcnemar(lost, gained, "greater")
    total, reach = int(moved.sum()), int(np.abs(moved).sum())
    if len(sizes) * reach > _MOST_STEPS:
        from scipy.special import ndtr

        deviations = total / math.sqrt(float(np.square(moved, dtype=np.float64).sum()))
        return max(float(ndtr(deviations)), sys.float_info.min), max(float(ndtr(-deviations)), sys.float_info.min)
    points = 2 * reach + 2
    angles = 2 * math.pi / points * np.arange(reach + 2)
    transform = np.ones(reach + 2)
    for size, count in zip(sizes, counts, strict=True):
        transform *= np.cos(size * angles) ** count
    chances = np.roll(np.fft.irfft(transform, points), reach)  # chances[i]: that the sum is i - reach
    least = max(0.5 ** len(moved), sys.float_info.min)
    at = total + reach
    worse, better = float(chances[: at + 1].sum()), float(chances[at : 2 * reach + 1].sum())
    return min(1.0, max(worse, least)), min(1.0, max(better, least))
