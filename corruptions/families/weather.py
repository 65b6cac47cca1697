"""Weather: each function returns the operator for one level."""

from __future__ import annotations

from corruptions.registry import Fidelity, Operator, Parameter, corruption

_SOURCE = "Hendrycks & Dietterich 2019; make_cifar_c.py, make_tinyimagenet_c.py, make_imagenet_c.py, make_imagenet_c_inception.py"


@corruption(
    group="weather",
    aliases=("bright",),
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
