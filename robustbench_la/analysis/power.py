"""How many images it takes to decide: sizes at which a fall like the one that was measured would be significant.

Only scipy.special is needed here; scipy.stats, with the same normal law, takes more than a second to import.
"""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from robustbench_la.analysis.samples import sample_of


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
