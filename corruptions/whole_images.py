"""Operators that corrupt one image at a time on the CPU, where float64 sums have one order; other devices get those bytes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from corruptions.threads import in_pieces

Pixels = NDArray[np.uint8]
Keys = NDArray[np.int64]


class EachImage:
    """A corruption that draws nothing: the image and the level decide everything."""

    def __init__(self, fill: Callable[[Pixels, Pixels], None]) -> None:
        """Wrap a function.

        Args:
            fill: Takes images, uint8 (n, C, H, W), and writes the corrupted ones to its second argument, of the same shape. It is
                called from several threads at a time.
        """
        self.fill = fill

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Corrupt ``images``, uint8 (N, C, H, W); ``keys`` is never called."""
        pixels, result = _arrays(images)
        in_pieces(len(pixels), pixels[0].size, lambda part: self.fill(pixels[part], result[part]))
        return torch.from_numpy(result).to(images.device)


class EachPlane(EachImage):
    """The same for a function of planes, uint8 (n C, H, W): each channel is corrupted on its own."""

    def __init__(self, fill: Callable[[Pixels, Pixels], None]) -> None:
        """Wrap a function of planes."""

        def fill_images(images: Pixels, result: Pixels) -> None:
            fill(images.reshape(-1, *images.shape[2:]), result.reshape(-1, *images.shape[2:]))

        super().__init__(fill_images)


class EachColourImage(EachImage):
    """The same for a function of colour images: a grey image counts as a colour image of three equal channels.

    One channel of the result is kept, the one with the largest values: the value of HSV, which is all that a grey image has.
    """

    def __init__(self, fill: Callable[[Pixels, Pixels], None]) -> None:
        """Wrap a function of images with three channels."""

        def fill_images(images: Pixels, result: Pixels) -> None:
            if images.shape[1] == 3:
                fill(images, result)
                return
            coloured = np.repeat(images, 3, axis=1)
            fill(coloured.copy(), coloured)
            result[:, 0] = coloured.max(axis=1)

        super().__init__(fill_images)


class EachImageWithDraws:
    """A corruption that draws random numbers for each image."""

    def __init__(self, fill: Callable[[Pixels, Keys, Pixels], None]) -> None:
        """Wrap a function.

        Args:
            fill: As that of ``EachImage``, with the keys of the images, int64 (n,), as its second argument; see
                ``whole_draws`` for what is drawn with them.
        """
        self.fill = fill

    def __call__(self, images: Tensor, keys: Callable[[], Tensor]) -> Tensor:
        """Corrupt ``images``, uint8 (N, C, H, W), with one key for each."""
        pixels, result = _arrays(images)
        image_keys = keys().cpu().numpy()
        in_pieces(len(pixels), pixels[0].size, lambda part: self.fill(pixels[part], image_keys[part], result[part]))
        return torch.from_numpy(result).to(images.device)


def _arrays(images: Tensor) -> tuple[Pixels, Pixels]:
    """The pixels on the CPU in one piece, and room for the result."""
    pixels = images.cpu().contiguous().numpy()
    return pixels, np.empty_like(pixels)
