"""Preprocessing as timm and Hugging Face record it: size, crop, interpolation, mean and standard deviation."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Mapping
from typing import Any, TypeGuard

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import INTERPOLATIONS, ImageChoice
from robustbench_la.images.normalization import Normalization

_PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}
"""Pillow's numbers of interpolations, as Hugging Face records them."""
_SQUASHED_FROM = 384
"""ConvNeXt: from this size on images are not cropped, but resized to a square."""
_CROP_PCT = 0.875
"""timm's own, for networks that record none."""
_LARGEST = 2**15
"""Pixels: no image of a larger side is prepared."""


def timm_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Channels and side of the images that a network of timm takes."""
    size = config.get("input_size", (3, 224, 224))
    sides = size if isinstance(size, (list, tuple)) else ()
    if len(sides) != 3 or not all(map(_is_size, sides)):
        raise UserError(f"its input_size is {reprlib.repr(size)}, not channels, height and width")
    if sides[1] != sides[2]:
        raise UserError(f"takes images of {sides[2]}x{sides[1]} px, which are no squares; only squares are supported")
    return sides[0], sides[1]


def timm_normalization(config: Mapping[str, Any]) -> Normalization | None:
    """Mean and standard deviation; None if they are not recorded."""
    return None if "mean" not in config or "std" not in config else _normalization(config["mean"], config["std"])


def timm_images(config: Mapping[str, Any]) -> ImageChoice:
    """How images are resized and cropped: the shorter side (squashed: both) to size / crop_pct, then a central square."""
    _, side = timm_size(config)
    mode, part = config.get("crop_mode") or "center", config.get("crop_pct")
    if mode not in ("center", "squash"):
        raise UserError(f"its crop_mode is {reprlib.repr(mode)}; only center and squash are supported")
    resize = _resized(side, _CROP_PCT if part is None else part)
    return ImageChoice("", resize, side, _known(config.get("interpolation", "bicubic")), squash=mode == "squash")


def transformers_normalization(settings: Mapping[str, Any]) -> Normalization | None:
    """Mean and standard deviation of pixels on [0, 1]; None if they are not recorded."""
    if not settings:
        return None
    normalizes = settings.get("do_normalize", True)
    mean, std = (settings.get("image_mean"), settings.get("image_std")) if normalizes else (0.0, 1.0)
    if mean is None or std is None:  # the image processor's own, which is not recorded
        return None
    factor = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    if (known := _numbers(factor)) is None or len(known) != 1:
        raise UserError(f"its rescale_factor is {reprlib.repr(factor)}, not a number")
    offset = 1.0 if settings.get("rescale_offset") else 0.0
    return _normalization(mean, std, scale=255 * known[0], offset=offset)


def transformers_images(settings: Mapping[str, Any]) -> ImageChoice | None:
    """How images are resized and cropped; None if they are not."""
    resizes, crops = settings.get("do_resize", True) and "size" in settings, settings.get("do_center_crop", False)
    interpolation = _of_pillow(settings.get("resample", 2))
    crop = _side(settings.get("crop_size", 224)) if crops else None
    if not resizes:
        return ImageChoice("", None, crop, interpolation) if crop else None
    size = settings["size"]
    shortest = size.get("shortest_edge") if isinstance(size, dict) else size if not settings.get("default_to_square") else None
    shortest = None if shortest is None else _side(shortest)
    if "crop_pct" in settings and shortest is not None:  # ConvNeXt
        if shortest >= _SQUASHED_FROM:
            return ImageChoice("", shortest, shortest, interpolation, squash=True)
        return ImageChoice("", _resized(shortest, settings["crop_pct"]), shortest, interpolation)
    if shortest is not None:
        return ImageChoice("", shortest, crop, interpolation)
    return ImageChoice("", _side(size), crop or _side(size), interpolation, squash=True)


def _side(size: object) -> int:
    """The side of a square."""
    height, width = (size.get("height"), size.get("width")) if isinstance(size, dict) else (size, size)
    if not _is_size(height) or height != width:
        raise UserError(f"its size is {reprlib.repr(size)}; only squares of 1 to {_LARGEST} px are supported")
    return int(height)


def _is_size(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST


def _resized(side: int, part: object) -> int:
    """The side of images of which ``side`` is this part."""
    if isinstance(part, bool) or not isinstance(part, (int, float)) or not side / _LARGEST <= part <= 1:
        raise UserError(f"its crop_pct is {reprlib.repr(part)}, which is no sensible fraction")
    return math.floor(side / part)


def _of_pillow(number: object) -> str:
    if not isinstance(number, int) or isinstance(number, bool) or number not in _PILLOW:
        raise UserError(
            f"its resample is {reprlib.repr(number)}; known are 0 to {max(_PILLOW)}, Pillow's numbers of interpolations"
        )
    return _known(_PILLOW[number])


def _known(interpolation: object) -> str:
    if interpolation == "random":  # of training only; timm evaluates with
        return "bilinear"
    if not isinstance(interpolation, str) or interpolation not in INTERPOLATIONS:
        raise UserError(f"its interpolation is {reprlib.repr(interpolation)}; known are {', '.join(INTERPOLATIONS)}")
    return interpolation


def _normalization(mean: object, std: object, *, scale: float = 1.0, offset: float = 0.0) -> Normalization:
    """Of ((x * scale - offset) - mean) / std, for pixels x on [0, 1]."""
    means, stds = _numbers(mean), _numbers(std)
    if means is None or stds is None or min(stds) <= 0 or not 1e-6 < scale < 1e6:
        raise UserError(f"its mean and standard deviation are {reprlib.repr(mean)} and {reprlib.repr(std)}, which make no sense")
    if offset == 0 and abs(scale - 1) < 1e-6:  # 1/255 in decimals
        return Normalization(means, stds)
    return Normalization(tuple((m + offset) / scale for m in means), tuple(s / scale for s in stds))


def _numbers(values: object) -> tuple[float, ...] | None:
    """One number or several; None for anything else."""
    several = values if isinstance(values, (list, tuple)) else [values]
    try:
        numbers = tuple(float(value) for value in several if isinstance(value, (int, float)) and not isinstance(value, bool))
    except OverflowError:  # an integer beyond all floats
        return None
    if not all(map(math.isfinite, numbers)):
        return None
    return numbers if numbers and len(numbers) == len(several) else None
