"""How many images it takes to decide: sizes at which a fall like the one that was measured would be significant.

Only scipy.special is needed here; scipy.stats, with the same normal law, takes more than a second to import.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from robustbench_la.analysis.statistics.samples import sample_of


def images_to_settle(lost: int, gained: int, total: int, level: float, power: float = 0.8) -> int | None:
    """How many images would show a fall like this one: at ``level``, one-sided, with the probability ``power``.

    Of ``total`` images ``lost`` and ``gained`` changed. With shares d = (lost + gained) / total of answers that differ and
    f = (lost - gained) / total of the fall, McNemar's test needs (z(1 - level) sqrt(d) + z(power) sqrt(d - f^2))^2 / f^2 images
    (Connor 1987, Biometrics 43:207). None where nothing fell, or where any fall is significant (a level of one half or more).

    >>> images_to_settle(30, 10, 2000, 0.05), images_to_settle(10, 30, 2000, 0.05)
    (1235, None)
    """
    if lost <= gained or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    differ, fall = (lost + gained) / total, (lost - gained) / total
    root = -float(ndtri(level)) * math.sqrt(differ) + float(ndtri(power)) * math.sqrt(max(differ - fall**2, 0.0))
    return math.ceil((root / fall) ** 2)


def images_to_settle_mean(changes: ArrayLike, level: float, power: float = 0.8) -> int | None:
    """The same for a mean of ``changes``, one an image, above 0 where it is worse: ((z(1 - level) + z(power)) s / mean)^2."""
    sample = sample_of(changes)
    mean, deviation = float(sample.mean()), float(sample.std())
    if mean <= 0 or not 0 < level < 0.5:
        return None
    from scipy.special import ndtri

    return math.ceil(((-float(ndtri(level)) + float(ndtri(power))) * deviation / mean) ** 2)


def smallest_fall(images: int, level: float, power: float = 0.8) -> float | None:
    """The smallest fall that McNemar's exact one-sided test shows if answers only get worse.

    Without gains, k losses have the p-value 2^-k. So the fall f is the one with which at least k of ``images`` are lost with the
    probability ``power``, for the smallest k that is significant: I_f(k, images - k + 1) = power, by the regularised incomplete
    beta function, which is the binomial law's upper tail (Abramowitz & Stegun 1964, 26.5.24).

    Args:
        images: How many are answered by both sides.
        level: Of significance, one-sided, between 0 and 1.
        power: The probability with which the fall is to be found significant.

    Returns:
        A fraction: 0.01 is one point. None if even the loss of every image is not significant.

    >>> round(smallest_fall(2000, 0.05), 5)
    0.00336
    """
    from scipy.special import betaincinv

    needed = next((count for count in range(1, images + 1) if 0.5**count <= level), None)
    return None if needed is None else float(betaincinv(needed, images - needed + 1, power))


def smallest_fall_among_changes(images: int, changed: float, level: float, power: float = 0.8) -> float | None:
    """The smallest fall that McNemar's test shows if answers change in both directions.

    The formula of ``images_to_settle`` (Connor 1987, Biometrics 43:207), solved for the fall.

    Args:
        images: How many are answered by both sides.
        changed: The share of them that one side has right and the other wrong, lost and gained together.
        level: Of significance, one-sided, below one half.
        power: The probability with which the fall is to be found significant.

    Returns:
        A fraction: 0.01 is one point. None if the loss of all that changes would not be significant.

    >>> round(smallest_fall_among_changes(2000, 0.02, 0.05), 5), smallest_fall_among_changes(5, 0.02, 0.05)
    (0.00786, None)
    """
    from scipy.special import ndtri

    significant, powerful = -float(ndtri(level)), float(ndtri(power))
    inside = images - significant**2 + powerful**2
    if inside < 0:
        return None
    fall = math.sqrt(changed) * (significant * math.sqrt(images) + powerful * math.sqrt(inside)) / (images + powerful**2)
    return fall if fall <= changed else None
