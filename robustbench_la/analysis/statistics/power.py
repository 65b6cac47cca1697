"""Power analysis: how many images are needed to decide, and the smallest drop that a number of images can show.

Uses scipy.special only; scipy.stats, with the same normal distribution, takes more than a second to import.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from robustbench_la.analysis.statistics.samples import sample_of


def images_to_settle(lost: int, gained: int, total: int, level: float, power: float = 0.8) -> int | None:
    """The number of images at which a drop like this one would be significant.

    With d = (lost + gained) / total, the share of answers that differ, and f = (lost - gained) / total, the drop, McNemar's test
    needs (z(1 - level) sqrt(d) + z(power) sqrt(d - f^2))^2 / f^2 images (Connor 1987, Biometrics 43:207).

    Args:
        lost: Number of images that were correct before and are wrong now.
        gained: Number of images that were wrong before and are correct now.
        total: Number of images.
        level: Significance level, one-sided.
        power: Probability that the drop is found significant, between 0 and 1.

    Returns:
        The number of images; None if accuracy did not drop, or ``level`` is not between 0 and one half.

    >>> images_to_settle(30, 10, 2000, 0.05), images_to_settle(10, 30, 2000, 0.05)
    (1235, None)
    """
    return images_to_find((lost - gained) / total, (lost + gained) / total, level, power)


def images_to_find(fall: float, changed: float, level: float, power: float = 0.8) -> int | None:
    """The number of images at which a drop would be significant, by the formula of ``images_to_settle``.

    Args:
        fall: The drop, as a fraction.
        changed: Mean square of the changes per image: the share of answers that differ.
        level: Significance level, one-sided.
        power: Probability that the drop is found significant, between 0 and 1.

    Returns:
        The number of images; None if the drop is not above 0, or ``level`` is not between 0 and one half.
    """
    if fall <= 0 or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    root = -float(ndtri(level)) * math.sqrt(changed) + float(ndtri(power)) * math.sqrt(max(changed - fall**2, 0.0))
    return math.ceil((root / fall) ** 2)


def images_to_settle_mean(changes: ArrayLike, level: float, power: float = 0.8) -> int | None:
    """The same for the mean of one value per image: ((z(1 - level) + z(power)) s / mean)^2 images.

    Args:
        changes: One value per image, shape (N,); above 0 where it became worse.
        level: Significance level, one-sided.
        power: Probability that the change is found significant, between 0 and 1.

    Returns:
        The number of images; None if the mean is not above 0, or ``level`` is not between 0 and one half.
    """
    sample = sample_of(changes)
    mean, deviation = float(sample.mean()), float(sample.std())
    if mean <= 0 or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    return math.ceil(((-float(ndtri(level)) + float(ndtri(power))) * deviation / mean) ** 2)


def smallest_fall(images: int, level: float, power: float = 0.8) -> float | None:
    """The smallest drop that McNemar's exact one-sided test can show if answers only get worse.

    Without gains, k losses have the p-value 2^-k. The drop f is the one at which at least k of ``images`` are lost with
    probability ``power``, for the smallest significant k: I_f(k, images - k + 1) = power, where the regularised incomplete beta
    function is the upper tail of the binomial distribution (Abramowitz & Stegun 1964, 26.5.24).

    Args:
        images: Number of images.
        level: Significance level, one-sided, between 0 and 1.
        power: Probability that the drop is found significant, between 0 and 1.

    Returns:
        A fraction: 0.01 is one point. None if even the loss of every image is not significant.

    >>> round(smallest_fall(2000, 0.05), 5)
    0.00336
    """
    from scipy.special import betaincinv

    needed = next((count for count in range(1, images + 1) if 0.5**count <= level), None)
    return None if needed is None else float(betaincinv(needed, images - needed + 1, power))


def smallest_fall_among_changes(images: int, changed: float, level: float, power: float = 0.8) -> float | None:
    """The smallest drop that McNemar's test can show if answers change in both directions.

    The formula of ``images_to_settle`` (Connor 1987, Biometrics 43:207), solved for the drop.

    Args:
        images: Number of images.
        changed: Share of images, in [0, 1], that only one side classifies correctly: lost and gained together.
        level: Significance level, one-sided, below one half.
        power: Probability that the drop is found significant, between 0 and 1.

    Returns:
        A fraction: 0.01 is one point. None if not even losing all of the changed answers would be significant.

    >>> round(smallest_fall_among_changes(2000, 0.02, 0.05), 5), smallest_fall_among_changes(5, 0.02, 0.05)
    (0.00786, None)
    """
    fall = _fall(images, changed, level, power)
    return fall if fall is not None and fall <= changed else None


def _fall(images: int, changed: float, level: float, power: float) -> float | None:
    """The drop that is shown among changes with this mean square; None if none is."""
    from scipy.special import ndtri

    significant, powerful = -float(ndtri(level)), float(ndtri(power))
    inside = images - significant**2 + powerful**2
    if inside < 0:
        return None
    return math.sqrt(changed) * (significant * math.sqrt(images) + powerful * math.sqrt(inside)) / (images + powerful**2)


def smallest_fall_given(changes: ArrayLike, level: float, power: float = 0.8) -> float | None:
    """The smallest drop that a sign-flip test would show, if as many answers change, and each by as much, as in ``changes``.

    It is never below the drop of the fewest losses that are significant: see ``smallest_fall``.

    Args:
        changes: The change of each image, in [-1, 1], shape (N,).
        level: Significance level, one-sided, above 0.
        power: Probability that the drop is found significant, between 0 and 1.

    Returns:
        A fraction: 0.01 is one point. 0 if ``level`` is one half or more; None if even losing every image is not significant.

    >>> smallest_fall_given([0] * 100, 0.05) == smallest_fall(100, 0.05)
    True
    """
    if level >= 0.5:
        return 0.0
    sample = sample_of(changes)
    moved = np.abs(sample[sample != 0])
    fewest = smallest_fall(len(sample), level, power)
    if fewest is None:
        return None
    least = fewest * (float(moved.mean()) if len(moved) else 1.0)
    fall = _fall(len(sample), float(np.mean(sample**2)), level, power)
    possible = fall is not None and fall <= float(np.abs(sample).mean())  # if all that changes is lost
    return max(least, fall) if fall is not None and possible else least
