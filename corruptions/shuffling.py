"""Glass: an image whose pixels are blurred, displaced a little one after another, and blurred again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.kernels import blur_planes, kernel
from corruptions.whole_draws import hashed

_LOW_HALF = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def glass_images(
    images: NDArray[np.uint8],
    keys: NDArray[np.int64],
    weights: NDArray[np.float64],
    reach: int,
    rounds: int,
    result: NDArray[np.uint8],
) -> None:
    """Write images as through frosted glass to ``result``.

    Args:
        images: uint8 (N, C, H, W).
        keys: int64 (N,); each step of the shuffle takes the next word: dx from its low half, dy from its high half.
        weights: Those of the blur, at distances 0, 1, ... pixels.
        reach: How far a pixel may come from.
        rounds: How often the image is shuffled.
        result: uint8 (N, C, H, W).
    """
    height, width = images.shape[2:]
    planes = images.reshape(-1, height, width)
    blurred = np.empty_like(planes)
    blur_planes(planes, weights, blurred)
    steps = rounds * max(height - 2 * reach, 0) * max(width - 2 * reach, 0)
    for image, key in zip(blurred.reshape(images.shape), keys[:, None], strict=True):
        shuffle(image, hashed(key, steps)[0], reach, rounds)
    blur_planes(blurred, weights, result.reshape(planes.shape))


@kernel("void(uint8[:, :, ::1], uint64[::1], int64, int64)")
def shuffle(image: NDArray[np.uint8], words: NDArray[np.uint64], reach: int, rounds: int) -> None:
    """Replace pixels in place, from the lower right to the upper left, each by one from -reach to reach - 1 pixels away.

    The published code means to swap the two, but copies: numpy's views make it read the first pixel after it has been replaced.

    Args:
        image: uint8 (C, H, W).
        words: uint64, one for each step.
        reach: How far away the other pixel may be.
        rounds: How often.
    """
    channels, height, width = image.shape
    step = 0
    span = np.uint64(2 * reach)
    for _ in range(rounds):
        for row in range(height - reach, reach, -1):
            for column in range(width - reach, reach, -1):
                across = np.int64(((words[step] & _LOW_HALF) * span) >> _HALF) - reach
                down = np.int64(((words[step] >> _HALF) * span) >> _HALF) - reach
                step += 1
                for channel in range(channels):
                    image[channel, row, column] = image[channel, row + down, column + across]
