"""Pixelwise noise: each function returns the exact distribution of a corrupted 8-bit value, as a channel.

With x the value before and y the value after, both on the [0, 1] scale, the published code computes
``uint8(clip(y, 0, 1) * 255)``, which truncates; so P(out >= k) = P(y >= k / 255).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corruptions.registry import Fidelity, Parameter, corruption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from corruptions.channel import Channel

_SOURCE = "Hendrycks & Dietterich 2019; make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py, make_imagenet_c_inception.py"

_EXACT_LAW = Fidelity(
    "equal in law", "Each value has the exact distribution of the published code, to 2^-32; compared by chi-square tests."
)


def _before_and_after() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grey levels x = 0, ..., 255 as a column, and k = 1, ..., 255 as a row."""
    import numpy as np

    return np.arange(256.0)[:, None], np.arange(1.0, 256.0)[None, :]


def _from_below(below: NDArray[np.float64]) -> Channel:
    """The channel with P(out < k) = ``below[x, k - 1]``, float64 (256, 255), for k = 1, ..., 255."""
    import numpy as np

    from corruptions.channel import Channel

    edges = np.hstack([np.zeros((256, 1)), below, np.ones((256, 1))])
    return Channel(np.diff(edges, axis=1))


@corruption(
    group="noise",
    aliases=("gaussian",),
    parameters=(Parameter("sigma", "standard deviation on the [0, 1] scale", bound=100),),
    noisier="higher",
    source=_SOURCE,
    fidelity=_EXACT_LAW,
    cifar_c=(0.04, 0.06, 0.08, 0.09, 0.10),
    tiny_c=(0.04, 0.08, 0.12, 0.15, 0.18),
    imagenet_c=(0.08, 0.12, 0.18, 0.26, 0.38),
    imagenet_c_299=(0.09, 0.13, 0.19, 0.27, 0.40),
)
def gaussian_noise(sigma: float) -> Channel:
    """Additive Gaussian noise, independent per value: y = x + N(0, sigma^2)."""
    from scipy.special import ndtr

    before, after = _before_and_after()
    return _from_below(ndtr((after - before) / (255 * sigma)))


@corruption(
    group="noise",
    aliases=("poisson", "shot"),
    parameters=(Parameter("photons", "photons per full scale", bound=1e9),),
    noisier="lower",
    source=_SOURCE,
    fidelity=_EXACT_LAW,
    cifar_c=(500, 250, 100, 75, 50),
    tiny_c=(250, 100, 50, 30, 15),
    imagenet_c=(60, 25, 12, 5, 3),
    imagenet_c_299=(50, 20, 10, 5, 3),
)
def shot_noise(photons: float) -> Channel:
    """Poisson counts at ``photons`` per full scale, y = Poisson(x photons) / photons: fewer photons, more noise."""
    import numpy as np
    from scipy.special import pdtr

    before, after = _before_and_after()
    # The fewest photons whose grey value reaches k, rounded as in the published code.
    guess = np.ceil(after * photons / 255) - 1
    reaches = np.stack([(guess + more) / photons * 255 >= after for more in range(3)])
    fewest = guess + reaches.argmax(axis=0)
    mean = before / 255 * photons
    return _from_below(np.where(mean > 0, pdtr(fewest - 1, mean), 1.0))


@corruption(
    group="noise",
    aliases=("impulse", "salt_and_pepper"),
    parameters=(Parameter("amount", "fraction of values replaced", bound=1),),
    noisier="higher",
    source=_SOURCE,
    fidelity=_EXACT_LAW,
    cifar_c=(0.01, 0.02, 0.03, 0.05, 0.07),
    tiny_c=(0.01, 0.02, 0.05, 0.08, 0.14),
    imagenet_c=(0.03, 0.06, 0.09, 0.17, 0.27),
    imagenet_c_299=(0.04, 0.07, 0.10, 0.18, 0.28),
)
def impulse_noise(amount: float) -> Channel:
    """Salt and pepper: a fraction ``amount`` of the values becomes 255 or 0, equally likely, each channel independently."""
    import numpy as np

    from corruptions.channel import Channel

    table = (1 - amount) * np.eye(256)
    table[:, 0] += amount / 2
    table[:, 255] += amount / 2
    return Channel(table)


@corruption(
    group="extra",
    aliases=("speckle",),
    parameters=(Parameter("sigma", "standard deviation relative to the value", bound=100),),
    noisier="higher",
    source=_SOURCE,
    fidelity=_EXACT_LAW,
    cifar_c=(0.06, 0.10, 0.12, 0.16, 0.20),
    tiny_c=(0.15, 0.20, 0.25, 0.30, 0.35),
    imagenet_c=(0.15, 0.20, 0.35, 0.45, 0.60),
    imagenet_c_299=(0.16, 0.21, 0.36, 0.46, 0.61),
)
def speckle_noise(sigma: float) -> Channel:
    """Multiplicative Gaussian noise: y = x + x N(0, sigma^2)."""
    import numpy as np
    from scipy.special import ndtr

    before, after = _before_and_after()
    spread = np.maximum(sigma * before, 1e-9)  # black stays black
    return _from_below(ndtr((after - before) / spread))
