"""Preprocessing as timm and Hugging Face record it: size, crop, interpolation, mean and standard deviation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import INTERPOLATIONS, ImageChoice
from robustbench_la.images.normalization import Normalization

_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers of interpolations, as Hugging Face records them."""
_SQUASHED_FROM = 384
"""ConvNeXt: from this size on images are not cropped, but resized to a square."""


def timm_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Channels and side of the images that a network of timm takes."""
    size = config.get("input_size", (3, 224, 224))
    sides = size if isinstance(size, (list, tuple)) else ()
    if len(sides) != 3 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise UserError(f"its input_size is {size!r}, not channels, height and width")
    if sides[1] != sides[2]:
        raise UserError(f"takes images of {sides[2]}x{sides[1]} px, which are no squares; only squares are supported")
    return sides[0], sides[1]


def timm_normalization(config: Mapping[str, Any]) -> Normalization | None:
    """Mean and standard deviation; None if they are not recorded."""
    return None if "mean" not in config or "std" not in config else _normalization(config["mean"], config["std"])


def timm_images(config: Mapping[str, Any]) -> ImageChoice:
    """How images are resized and cropped: the shorter side to size / crop_pct, then a square from the centre."""
    _, side = timm_size(config)
    squash = config.get("crop_mode") == "squash"
    part = config.get("crop_pct")
    resize = side if squash else math.floor(side / (1.0 if part is None else _fraction(part)))
    return ImageChoice("", resize, side, _known(config.get("interpolation", "bicubic")), squash=squash)


def transformers_normalization(settings: Mapping[str, Any]) -> Normalization | None:
    """Mean and standard deviation of pixels on [0, 1]; None if they are not recorded."""
    if not settings:
        return None
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    offset = 1.0 if settings.get("rescale_offset") else 0.0
    plain = not settings.get("do_normalize", True) or "image_mean" not in settings
    mean, std = (0.0, 1.0) if plain else (settings["image_mean"], settings.get("image_std"))
    return _normalization(mean, std, scale=255 * factor, offset=offset)


def transformers_images(settings: Mapping[str, Any]) -> ImageChoice | None:
    """How images are resized and cropped; None if they are not."""
    resizes, crops = settings.get("do_resize", True) and "size" in settings, settings.get("do_center_crop", False)
    interpolation = _known(_PILLOW.get(settings.get("resample", 2), "?"))
    crop = _side(settings.get("crop_size", 224)) if crops else None
    if not resizes:
        return ImageChoice("", None, crop, interpolation) if crop else None
    size = settings["size"]
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size if not settings.get("default_to_square") else None
    if "crop_pct" in settings and isinstance(shortest, int):  # ConvNeXt
        if shortest >= _SQUASHED_FROM:
            return ImageChoice("", shortest, shortest, interpolation, squash=True)
        return ImageChoice("", int(shortest / _fraction(settings["crop_pct"])), shortest, interpolation)
    if isinstance(shortest, int):
        return ImageChoice("", shortest, crop, interpolation)
    return ImageChoice("", _side(size), crop or _side(size), interpolation, squash=True)


def _side(size: object) -> int:
    """The side of a square."""
    sides = {size.get("height"), size.get("width")} if isinstance(size, dict) else {size}
    side = sides.pop() if len(sides) == 1 else None
    if not isinstance(side, int) or side < 1:
        raise UserError(f"its size is {size!r}; only squares are supported")
    return side


def _fraction(value: object) -> float:
    if not isinstance(value, (int, float)) or not 0 < value <= 1:
        raise UserError(f"its crop_pct is {value!r}, not a fraction")
    return float(value)


def _known(interpolation: object) -> str:
    if interpolation == "random":  # of training only; timm evaluates with
        return "bilinear"
    if interpolation not in INTERPOLATIONS:
        raise UserError(f"its interpolation is {interpolation!r}; known are {', '.join(INTERPOLATIONS)}")
    return str(interpolation)


def _normalization(mean: object, std: object, *, scale: float = 1.0, offset: float = 0.0) -> Normalization:
    """Of ((x * scale - offset) - mean) / std, for pixels x on [0, 1]."""
    means, stds = _numbers(mean), _numbers(std)
    if means is None or stds is None or min(stds) <= 0 or scale <= 0:
        raise UserError(f"its mean and standard deviation are {mean!r} and {std!r}, which make no sense")
    if offset == 0 and abs(scale - 1) < 1e-6:  # 1/255 in decimals
        return Normalization(means, stds)
    return Normalization(tuple((m + offset) / scale for m in means), tuple(s / scale for s in stds))


def _numbers(values: object) -> tuple[float, ...] | None:
    """One number or several; None for anything else."""
    several = values if isinstance(values, (list, tuple)) else [values]
    numbers = tuple(float(value) for value in several if isinstance(value, (int, float)) and math.isfinite(value))
    return numbers if numbers and len(numbers) == len(several) else None
