"""Digital corruptions: each function returns the operator for one level."""

from __future__ import annotations

from corruptions.registry import Fidelity, Operator, Parameter, corruption

_SOURCE = "Hendrycks & Dietterich 2019; make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py, make_imagenet_c_inception.py"


@corruption(
    group="digital",
    parameters=(Parameter("factor", "what differences from the mean are multiplied by", bound=100),),
    noisier="lower",
    random=False,
    fidelity=Fidelity("equal bytes", "Compared with numpy in float64; each channel has its own mean."),
    source=_SOURCE,
    cifar_c=(0.75, 0.5, 0.4, 0.3, 0.15),
    tiny_c=(0.4, 0.3, 0.2, 0.1, 0.05),
    imagenet_c=(0.4, 0.3, 0.2, 0.1, 0.05),
    imagenet_c_299=(0.4, 0.3, 0.2, 0.1, 0.05),
)
def contrast(factor: float) -> Operator:
    """Every value moved towards the mean of its channel in this image."""
    from corruptions.colours import scale_about_mean
    from corruptions.whole_images import EachPlane

    return EachPlane(lambda planes, result: scale_about_mean(planes, factor, result))


@corruption(
    group="digital",
    aliases=("elastic",),
    parameters=(
        Parameter("size", "of the field of displacements in pixels", bound=1e5, least=0),
        Parameter("sigma", "standard deviation in pixels of the field's smoothing", bound=2000, least=0),
        Parameter("jitter", "how far the corners of the affine map move at most, in pixels", bound=1000, least=0),
    ),
    noisier=None,
    fidelity=Fidelity(
        "equal in law",
        "Equal to the published steps for the same draws, except for fewer than 1 byte in 1,000, where OpenCV rounds a position "
        "to another 1/32 pixel. Levels are in pixels, of the published sides 32, 64, 244 (sic) and 360 (sic).",
    ),
    source=_SOURCE,
    cifar_c=((0, 0, 2.56), (1.6, 6.4, 2.24), (2.56, 1.92, 1.92), (3.2, 1.28, 1.6), (3.2, 0.96, 0.96)),
    tiny_c=((0, 0, 5.12), (3.2, 19.2, 3.84), (6.4, 5.12, 3.84), (6.4, 1.92, 1.92), (10.24, 1.92, 1.28)),
    imagenet_c=((488, 170.8, 24.4), (488, 19.52, 48.8), (12.2, 2.44, 4.88), (17.08, 2.44, 4.88), (29.28, 2.44, 4.88)),
    imagenet_c_299=((720, 252, 36), (720, 28.8, 72), (18, 3.6, 7.2), (25.2, 3.6, 7.2), (43.2, 3.6, 7.2)),
)
def elastic_transform(size: float, sigma: float, jitter: float) -> Operator:
    """Moved by a random affine map, then by a smooth random field."""
    from corruptions.warping import elastic_images
    from corruptions.whole_images import EachImageWithDraws

    level = (size, sigma, jitter)
    return EachImageWithDraws(lambda images, keys, result: elastic_images(images, keys, level, result))


@corruption(
    group="digital",
    parameters=(Parameter("factor", "size of the small image, as a fraction of each side", bound=1),),
    noisier="lower",
    random=False,
    fidelity=Fidelity("equal bytes", "Compared with Pillow's resize with the filter BOX. A side has at least one pixel."),
    source=_SOURCE,
    cifar_c=(0.95, 0.9, 0.85, 0.75, 0.65),
    tiny_c=(0.9, 0.8, 0.7, 0.6, 0.5),
    imagenet_c=(0.6, 0.5, 0.4, 0.3, 0.25),
    imagenet_c_299=(0.5, 0.4, 0.3, 0.25, 0.2),
)
def pixelate(factor: float) -> Operator:
    """Made smaller and enlarged again, both with a box filter."""
    from corruptions.resizing import box_axis, shrink_and_enlarge
    from corruptions.whole_images import EachPlane, Pixels

    def fill(planes: Pixels, result: Pixels) -> None:
        _, height, width = planes.shape
        low, narrow = max(1, int(height * factor)), max(1, int(width * factor))
        there, back = (box_axis(width, narrow), box_axis(height, low)), (box_axis(narrow, width), box_axis(low, height))
        shrink_and_enlarge(planes, *there[0], *there[1], *back[0], *back[1], result)

    return EachPlane(fill)


@corruption(
    group="digital",
    aliases=("jpeg",),
    parameters=(Parameter("quality", "Pillow's JPEG quality", bound=100, least=1, whole=True),),
    noisier="lower",
    random=False,
    channels=(1, 3),
    fidelity=Fidelity(
        "equal bytes",
        "Those of Pillow with libjpeg-turbo, whose arithmetic is repeated without the file: the same on every machine.",
    ),
    source=_SOURCE,
    cifar_c=(80, 65, 58, 50, 40),
    tiny_c=(65, 58, 50, 40, 25),
    imagenet_c=(25, 18, 15, 10, 7),
    imagenet_c_299=(23, 16, 13, 8, 5),
)
def jpeg_compression(quality: float) -> Operator:
    """Stored as JPEG and read back."""
    from corruptions.compression import through_jpeg
    from corruptions.whole_images import EachImage

    return EachImage(lambda images, result: through_jpeg(images, int(quality), result))


@corruption(
    group="extra",
    parameters=(
        Parameter("factor", "what the saturation of HSV is multiplied by", bound=1000, least=0),
        Parameter("offset", "what is then added to it, on the [0, 1] scale", bound=1, least=0),
    ),
    noisier=None,
    random=False,
    channels=(1, 3),
    fidelity=Fidelity(
        "equal bytes",
        "Compared with skimage's rgb2hsv and hsv2rgb in float64. An offset makes grey pixels of a colour image reddish, as in "
        "the published code; an image of one channel has no saturation, and is left as it is.",
    ),
    source=_SOURCE,
    cifar_c=((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
    tiny_c=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
    imagenet_c=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    imagenet_c_299=((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
)
def saturate(factor: float, offset: float) -> Operator:
    """Saturation of HSV multiplied and raised: less colour at severities 1 and 2, more from 3 on."""
    from corruptions.colours import change_hsv
    from corruptions.whole_images import EachColourImage

    return EachColourImage(lambda images, result: change_hsv(images, 0.0, factor, offset, result))
