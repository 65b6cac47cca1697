"""Weather: each function returns the operator for one level."""

from __future__ import annotations

from corruptions.registry import Fidelity, Operator, Parameter, corruption

_SOURCE = "Hendrycks & Dietterich 2019; make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py, make_imagenet_c_inception.py"
_SNOW_LARGE = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)


@corruption(
    group="weather",
    parameters=(
        Parameter("mean", "mean of the flakes' normal numbers, on the [0, 1] scale", bound=10, least=0),
        Parameter("deviation", "their standard deviation", bound=10, least=0),
        Parameter("zoom", "how much the flakes are enlarged", bound=100, least=1),
        Parameter("threshold", "below which there is no flake", bound=10, least=0),
        Parameter("radius", "half the length of the motion blur in pixels", bound=500),
        Parameter("sigma", "its standard deviation in pixels", bound=500, least=0.01),
        Parameter("share", "of the image itself; the rest is a paler one", bound=1, least=0),
    ),
    noisier=None,
    channels=(1, 3),
    fidelity=Fidelity(
        "equal in law",
        "Equal bytes to the published steps for the same draws; the luminance is rounded as by OpenCV with fused multiplications "
        "(AVX2). A grey image counts as a colour image of three equal channels.",
    ),
    source=_SOURCE,
    cifar_c=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    tiny_c=(
        (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
    ),
    imagenet_c=_SNOW_LARGE,
    imagenet_c_299=_SNOW_LARGE,
)
def snow(mean: float, deviation: float, zoom: float, threshold: float, radius: float, sigma: float, share: float) -> Operator:
    """Flakes drawn out by the wind over a paler image."""
    from corruptions.motion import motion_weights
    from corruptions.snowfall import snow_images
    from corruptions.whole_images import EachImageWithDraws

    level, weights = (mean, deviation, zoom, threshold, share), motion_weights(radius, sigma)
    return EachImageWithDraws(lambda images, keys, result: snow_images(images, keys, level, weights, result))


def _no_textures() -> str | None:
    from corruptions.textures import missing

    return missing()


@corruption(
    group="weather",
    parameters=(
        Parameter("own", "weight of the image", bound=10, least=0),
        Parameter("other", "weight of the frost", bound=10, least=0),
    ),
    noisier=None,
    channels=(1, 3),
    missing=_no_textures,
    fidelity=Fidelity(
        "equal in law",
        "Equal bytes for the same draws and photographs, which are scaled by 0.2 up to 48 px, by 0.3 up to 128 px, and enlarged "
        "where the image would not fit. On a grey image the frost is their luminance.",
    ),
    source=_SOURCE,
    cifar_c=((1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    tiny_c=((1, 0.3), (0.9, 0.4), (0.8, 0.45), (0.75, 0.5), (0.7, 0.55)),
    imagenet_c=((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    imagenet_c_299=((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
)
def frost(own: float, other: float) -> Operator:
    """Part of a photograph of frost over the image: one of five, chosen for each image."""
    from corruptions.frosting import frost_images
    from corruptions.whole_images import EachImageWithDraws

    if (reason := _no_textures()) is not None:  # before anything is measured
        raise ValueError(reason)
    return EachImageWithDraws(lambda images, keys, result: frost_images(images, keys, own, other, result))


@corruption(
    group="weather",
    parameters=(
        Parameter("weight", "how much of the fog is added, on the [0, 1] scale", bound=1000),
        Parameter("decay", "what the fog's roughness is divided by at each halving of distances", bound=100, least=0.1),
    ),
    noisier="higher",
    fidelity=Fidelity("equal in law", "Equal bytes for the same draws; the map's side is the next power of two."),
    source=_SOURCE,
    cifar_c=((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    tiny_c=((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
    imagenet_c=((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    imagenet_c_299=((1.5, 2), (2, 2), (2.5, 1.8), (2.5, 1.6), (3, 1.5)),
)
def fog(weight: float, decay: float) -> Operator:
    """A plasma fractal laid over the image, whose brightest value stays what it was."""
    from corruptions.plasma import fog_images
    from corruptions.whole_images import EachImageWithDraws

    return EachImageWithDraws(lambda images, keys, result: fog_images(images, keys, weight, decay, result))


@corruption(
    group="weather",
    parameters=(Parameter("added", "added to the value of HSV, on the [0, 1] scale", bound=1),),
    noisier="higher",
    random=False,
    channels=(1, 3),
    fidelity=Fidelity(
        "equal bytes", "Compared with skimage's rgb2hsv and hsv2rgb in float64. The value of a grey image is the image itself."
    ),
    source=_SOURCE,
    cifar_c=(0.05, 0.1, 0.15, 0.2, 0.3),
    tiny_c=(0.1, 0.2, 0.3, 0.4, 0.5),
    imagenet_c=(0.1, 0.2, 0.3, 0.4, 0.5),
    imagenet_c_299=(0.1, 0.2, 0.3, 0.4, 0.5),
)
def brightness(added: float) -> Operator:
    """A constant added to the value of HSV: every pixel brighter, with the same hue and saturation."""
    from corruptions.colours import change_hsv
    from corruptions.whole_images import EachColourImage

    return EachColourImage(lambda images, result: change_hsv(images, added, 1.0, 0.0, result))


@corruption(
    group="extra",
    parameters=(
        Parameter("mean", "mean of the liquid's normal numbers, on the [0, 1] scale", bound=10, least=0),
        Parameter("deviation", "their standard deviation", bound=10, least=0),
        Parameter("sigma", "standard deviation in pixels of the map's smoothing", bound=200, least=0.01),
        Parameter("threshold", "below which there is no liquid", bound=10, least=0),
        Parameter("intensity", "of water; of mud, standard deviation in pixels of its edges", bound=200, least=0.01),
        Parameter("mud", "0 for water, 1 for mud", bound=1, least=0, whole=True),
    ),
    noisier=None,
    channels=(1, 3),
    fidelity=Fidelity(
        "equal in law",
        "Equal bytes to the published steps with OpenCV for the same draws; where OpenCV measures distances with Intel's IPP, a "
        "few in 10,000 differ on rare images. On a grey image water and mud have the luminance of "
        "their colours. Where nothing is spattered the image stays as it is; the published code makes it black.",
    ),
    source=_SOURCE,
    cifar_c=(
        (0.62, 0.1, 0.7, 0.7, 0.5, 0),
        (0.65, 0.1, 0.8, 0.7, 0.5, 0),
        (0.65, 0.3, 1, 0.69, 0.5, 0),
        (0.65, 0.1, 0.7, 0.69, 0.6, 1),
        (0.65, 0.1, 0.5, 0.68, 0.6, 1),
    ),
    tiny_c=(
        (0.62, 0.1, 0.7, 0.7, 0.6, 0),
        (0.65, 0.1, 0.8, 0.7, 0.6, 0),
        (0.65, 0.3, 1, 0.69, 0.6, 0),
        (0.65, 0.1, 0.7, 0.68, 0.6, 1),
        (0.65, 0.1, 0.5, 0.67, 0.6, 1),
    ),
    imagenet_c=(
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    imagenet_c_299=(
        (0.65, 0.3, 4, 0.69, 0.9, 0),
        (0.65, 0.3, 3.5, 0.68, 0.9, 0),
        (0.65, 0.3, 3, 0.68, 0.8, 0),
        (0.65, 0.3, 1.2, 0.65, 1.8, 1),
        (0.67, 0.4, 1.2, 0.65, 1.8, 1),
    ),
)
def spatter(mean: float, deviation: float, sigma: float, threshold: float, intensity: float, mud: float) -> Operator:
    """Drops of water (severities 1 to 3) or stains of mud (4 and 5)."""
    from corruptions.filters import GaussianBlur
    from corruptions.spattering import spatter_images
    from corruptions.whole_images import EachImageWithDraws

    level = (mean, deviation, threshold, intensity, mud == 1)
    weights = GaussianBlur(sigma).weights
    edges = GaussianBlur(intensity).weights if mud == 1 else weights
    return EachImageWithDraws(lambda images, keys, result: spatter_images(images, keys, level, weights, edges, result))
