"""Blurs: each function returns the filter for one level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corruptions.registry import Fidelity, Operator, Parameter, corruption

if TYPE_CHECKING:
    from corruptions.filters import GaussianBlur

_MOST_ZOOMS = 100
"""Zoom factors of a custom level; each takes as long as the others."""
_SOURCE = "Hendrycks & Dietterich 2019; make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py, make_imagenet_c_inception.py"


@corruption(
    group="blur",
    aliases=("defocus",),
    parameters=(
        Parameter("radius", "radius of the disc in pixels", bound=100),
        Parameter("smoothing", "standard deviation in pixels of the Gaussian that smooths the disc", bound=10, least=0.01),
    ),
    noisier="higher",
    random=False,
    fidelity=Fidelity(
        "equal bytes",
        "Compared with OpenCV, which sums by a Fourier transform: its rounding decides a byte where the exact value is a whole "
        "grey level, so fewer than 1 byte in 100,000 differs, by 1.",
    ),
    source=_SOURCE,
    cifar_c=((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    tiny_c=((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
    imagenet_c=((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    imagenet_c_299=((4, 0.1), (5, 0.5), (7, 0.5), (10, 0.5), (12, 0.5)),
)
def defocus_blur(radius: float, smoothing: float) -> Operator:
    """Every pixel spread over a smoothed disc, as by a lens out of focus; borders are mirrored."""
    from corruptions.discs import disc, filter_planes
    from corruptions.whole_images import EachPlane

    weights = disc(radius, smoothing)
    return EachPlane(lambda planes, result: filter_planes(planes, weights, result))


@corruption(
    group="blur",
    aliases=("glass",),
    parameters=(
        Parameter("sigma", "standard deviation in pixels of the blur before and after", bound=100, least=0.01),
        Parameter("reach", "most pixels that a pixel is moved by", bound=100, least=1, whole=True),
        Parameter("rounds", "how often every pixel is moved", bound=100, least=1, whole=True),
    ),
    noisier=None,
    fidelity=Fidelity(
        "equal in law",
        "Equal bytes for the same draws; pixels are copied rather than swapped, as the published code does on colour images.",
    ),
    source=_SOURCE,
    cifar_c=((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    tiny_c=((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
    imagenet_c=((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    imagenet_c_299=((0.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2)),
)
def glass_blur(sigma: float, reach: float, rounds: float) -> Operator:
    """Blurred, each pixel replaced by one nearby, and blurred again, as by frosted glass."""
    from corruptions.filters import GaussianBlur
    from corruptions.shuffling import glass_images
    from corruptions.whole_images import EachImageWithDraws

    weights = GaussianBlur(sigma).weights
    return EachImageWithDraws(lambda images, keys, out: glass_images(images, keys, weights, int(reach), int(rounds), out))


@corruption(
    group="blur",
    aliases=("motion",),
    parameters=(
        Parameter("radius", "half the length of the blur in pixels", bound=500),
        Parameter("sigma", "standard deviation in pixels along the line", bound=500, least=0.01),
    ),
    noisier="higher",
    fidelity=Fidelity(
        "equal in law",
        "Equal bytes for the same angle as ImageMagick 6.9.11 with 16 bits per channel (Debian), which truncates to 8 bits; a "
        "version that rounds there gives about every other byte 1 more.",
    ),
    source=_SOURCE,
    cifar_c=((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    tiny_c=((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
    imagenet_c=((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    imagenet_c_299=((12, 4), (17, 6), (17, 9), (17, 13), (22, 16)),
)
def motion_blur(radius: float, sigma: float) -> Operator:
    """One-sided Gaussian blur along a line, at an angle from -45 to 45 degrees that is drawn for each image."""
    from corruptions.motion import motion_images, motion_weights
    from corruptions.whole_images import EachImageWithDraws

    weights = motion_weights(radius, sigma)
    return EachImageWithDraws(lambda images, keys, result: motion_images(images, keys, weights, result))


@corruption(
    group="blur",
    aliases=("zoom",),
    parameters=(
        Parameter("stop", "zoom factors are numpy.arange(1, stop, step)", bound=10, least=1.001),
        Parameter("step", "distance between zoom factors", bound=9, least=0.001),
    ),
    noisier="higher",
    random=False,
    fidelity=Fidelity("equal bytes", "Compared with scipy.ndimage.zoom in float32, on square images as in the published code."),
    source=_SOURCE,
    cifar_c=((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    tiny_c=((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
    imagenet_c=((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
    imagenet_c_299=((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
)
def zoom_blur(stop: float, step: float) -> Operator:
    """The mean of the image and of its zooms, as by a camera that moves forward during the exposure."""
    from corruptions.resizing import mean_of_zooms, zoom_tables
    from corruptions.whole_images import EachPlane

    if (stop - 1) / step > _MOST_ZOOMS:
        raise ValueError(
            f"zoom_blur takes at most {_MOST_ZOOMS} zoom factors; from 1 to {stop:g} by {step:g} there are more: "
            "give a larger step"
        )
    return EachPlane(
        lambda planes, result: mean_of_zooms(
            planes, *zoom_tables(planes.shape[1], stop, step), *zoom_tables(planes.shape[2], stop, step), result
        )
    )


@corruption(
    group="extra",
    parameters=(Parameter("sigma", "standard deviation in pixels", bound=200),),
    noisier="higher",
    random=False,
    fidelity=Fidelity("equal bytes", "Compared with scipy.ndimage.gaussian_filter, for any shape and sigma."),
    source="Hendrycks & Dietterich 2019 (skimage.filters.gaussian: border 'nearest', truncated at 4 sigma)",
    cifar_c=(0.4, 0.6, 0.7, 0.8, 1.0),
    tiny_c=(0.5, 0.75, 1.0, 1.25, 1.5),
    imagenet_c=(1.0, 2.0, 3.0, 4.0, 6.0),
    imagenet_c_299=(1.5, 2.5, 3.5, 4.5, 6.5),
)
def gaussian_blur(sigma: float) -> GaussianBlur:
    """Separable Gaussian blur with replicated borders; the blur of the LayerAct paper."""
    from corruptions.filters import GaussianBlur

    return GaussianBlur(sigma)
