"""Blurs: each function returns the filter for one level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corruptions.registry import Parameter, corruption

if TYPE_CHECKING:
    from corruptions.filters import GaussianBlur


@corruption(
    group="extra",
    aliases=("blur",),
    parameters=(Parameter("sigma", "standard deviation in pixels", bound=200),),
    noisier="higher",
    random=False,
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
