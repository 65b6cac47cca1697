"""Converting, resizing and cropping one image; torchvision is imported only where something is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from robustbench_la.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

    from robustbench_la.images.decoding import ImageChoice


def resized(image: Image, choice: ImageChoice) -> Image:
    """Convert, resize and crop an image as in ``ImageChoice``. Raises UserError if it is smaller than the crop."""
    from torchvision.transforms import InterpolationMode, functional

    resize, crop = choice.resize, choice.crop
    if choice.channels is not None:
        image = image.convert("RGB" if choice.channels == 3 else "L")
    if resize is not None:
        size = [resize, resize] if choice.squash else [resize]
        image = functional.resize(image, size, InterpolationMode(choice.interpolation))
    if crop is not None:
        if min(image.size) < crop:
            raise UserError(f"--crop {crop} exceeds an image of {image.size[0]}x{image.size[1]} px; give a larger --resize")
        image = functional.center_crop(image, [crop, crop])
    return image


def channels_remark(mode: str, choice: ImageChoice) -> tuple[str, ...]:
    """What to say about images of a PIL mode whose channels are changed."""
    if choice.channels in (None, 1 if mode == "L" else 3):
        return ()
    how = "grey images, repeated in 3 channels" if choice.channels == 3 else "colour images, made grey"
    return (f"{how} (--channels {choice.channels})",)
