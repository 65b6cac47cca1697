"""Blurs: each function returns the filter for one level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corruptions.registry import Fidelity, Operator, Parameter, corruption

if TYPE_CHECKING:
    from corruptions.filters import GaussianBlur

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

    return EachPlane(
        lambda planes, result: mean_of_zooms(
            planes, *zoom_tables(planes.shape[1], stop, step), *zoom_tables(planes.shape[2], stop, step), result
        )
    )


@corruption(
    group="extra",
    aliases=("blur",),
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
