"""A user's own preprocessing: applied to corrupted images in place of a normalization."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.images.normalization import Normalization
from robustbench_la.models.user_code import code_of, failure, user_object


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess(Normalization):
    """From 8-bit images to the input of a network by the user's code."""

    text: str
    """``FILE.py:NAME``, as given."""
    digest: str
    """Of the code, see ``code_of``."""
    transform: Callable[..., object] = field(compare=False, repr=False)

    def check(self, channels: int) -> None:
        """Accept any number of channels: the transform may change it."""

    def apply(self, images: Tensor) -> Tensor:
        """Preprocess images.

        Args:
            images: uint8 (N, C, H, W).

        Returns:
            float32 (N, C, H, W), possibly of another size.

        Raises:
            UserError: If the code fails, or returns something else.
        """
        try:
            with torch.no_grad():
                result = self.transform(images) if isinstance(self.transform, nn.Module) else self._one_by_one(images)
        except Exception as error:  # code of the user's: anything may go wrong in it
            raise UserError(f"--preprocess {self.text} fails: {failure(error)}") from error
        if not isinstance(result, Tensor) or result.dim() != 4 or len(result) != len(images) or not result.is_floating_point():
            kind = f"{result.dtype} {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
            raise UserError(f"--preprocess {self.text} returns {kind} for {len(images)} images, not floats (N, C, H, W)")
        return result.to(images.device, torch.float32)

    def shape(self, of: Shape) -> Shape:
        """What the network sees of images of a shape."""
        _, channels, height, width = self.apply(torch.zeros(2, of.channels, of.height, of.width, dtype=torch.uint8)).shape
        return Shape(classes=of.classes, channels=channels, height=height, width=width)

    def _one_by_one(self, images: Tensor) -> Tensor:
        """With a transform of PIL images."""
        import PIL.Image

        arrays = images.permute(0, 2, 3, 1).cpu().numpy()
        results = [self.transform(PIL.Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)) for array in arrays]
        return torch.stack([torch.as_tensor(result) for result in results])

    def __str__(self) -> str:
        return f"{self.text} ({self.digest[:12]})"


def read_preprocess(text: str) -> Preprocess:
    """Import a user's preprocessing.

    Args:
        text: ``FILE.py:NAME`` or ``package.module:NAME``: a transform of a PIL image (such as torchvision's Compose) that returns
            a tensor, or a module that takes uint8 tensors (N, C, H, W); or a class, of which one is made without arguments.

    Returns:
        The preprocessing.

    Raises:
        UserError: If there is no such thing, or its code fails.
    """
    source, colon, name = text.rpartition(":")
    if not colon or not source or not name:
        raise UserError(f"--preprocess {text}: give FILE.py:NAME")
    found = user_object(source, name)
    try:
        transform = found() if isinstance(found, type) else found
    except Exception as error:  # code of the user's: anything may go wrong in it
        raise UserError(f"--preprocess {text} fails: {failure(error)}") from error
    if not callable(transform):
        raise UserError(f"--preprocess {text} is a {type(transform).__name__}, not a transform")
    if isinstance(transform, nn.Module):
        transform.eval()
    return Preprocess(mean=(0.0,), std=(1.0,), text=text, digest=code_of(text) or "", transform=transform)
