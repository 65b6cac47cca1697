"""From 8-bit images to the input of a network: the same numbers as torchvision's ToTensor and Normalize."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from robustbench_la.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Normalization:
    """Mean and standard deviation per channel, for pixels on the [0, 1] scale; a single number applies to all channels."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check(self, channels: int) -> None:
        """Raise UserError unless it can be applied to images with this number of channels."""
        if not {len(self.mean), len(self.std)} <= {1, channels}:
            raise UserError(f"the normalization {self} is for {len(self.mean)} channels, but the images have {channels}")

    def apply(self, images: Tensor) -> Tensor:
        """Normalise images: (x / 255 - mean) / std.

        Args:
            images: uint8 (N, C, H, W).

        Returns:
            float32 (N, C, H, W).

        Raises:
            UserError: If the number of channels does not match.
        """
        self.check(images.shape[1])
        scaled = images.float().div_(255)
        if self == NORMALIZATIONS["none"]:
            return scaled
        mean, std = (scaled.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))
        return scaled.sub_(mean).div_(std)

    def __str__(self) -> str:
        for name, normalization in NORMALIZATIONS.items():
            if self == normalization:
                return name
        return "/".join(",".join(map(repr, values)) for values in (self.mean, self.std))


NORMALIZATIONS: Mapping[str, Normalization] = MappingProxyType(
    {
        "none": Normalization((0.0,), (1.0,)),
        "half": Normalization((0.5,), (0.5,)),  # the paper's, for MNIST
        "mnist": Normalization((0.1307,), (0.3081,)),  # of the training images
        "cifar10": Normalization((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),  # of the training images
        "cifar100": Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),  # of the training images
        "imagenet": Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # torchvision's
    }
)


_LARGEST = 4
"""Larger means and standard deviations are taken for those of pixels on 0 to 255."""


def parse_normalization(text: str) -> Normalization:
    """Parse a normalization.

    Args:
        text: A name of NORMALIZATIONS, or ``M,M,M/S,S,S``: means, then standard deviations, on the [0, 1] scale.

    Returns:
        The normalization.

    Raises:
        UserError: If the name is unknown, or the numbers do not make sense.
    """
    if text in NORMALIZATIONS:
        return NORMALIZATIONS[text]
    parts = text.split("/")
    try:
        mean, std = (tuple(float(value) for value in part.split(",")) for part in parts)
    except ValueError:
        raise UserError(
            f"unknown normalization {text!r}; give a name or M,M,M/S,S,S (means/standard deviations)"
            f"{did_you_mean(text, NORMALIZATIONS)}"
        ) from None
    if not all(map(math.isfinite, (*mean, *std))) or min(std) <= 0 or len(mean) != len(std):
        raise UserError(
            f"invalid normalization {text!r}: give as many means as standard deviations, all finite, the latter above 0"
        )
    if max(*mean, *std) > _LARGEST:
        scaled = "/".join(",".join(f"{value / 255:.4g}" for value in values) for values in (mean, std))
        raise UserError(f"invalid normalization {text!r}: it is for pixels on [0, 1], so divide by 255: {scaled}")
    return Normalization(mean, std)


def canonical(text: str) -> str:
    """The unique text under which records keep the normalization that ``text`` names.

    >>> canonical("0.5,0.5/0.5,0.5"), canonical("0.5/0.5")
    ('0.5,0.5/0.5,0.5', 'half')
    """
    return str(parse_normalization(text))
