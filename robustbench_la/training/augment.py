"""Random crops and flips of training images, keyed by (seed, epoch, image id): an interruption cannot change them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from corruptions.draws import image_keys, integers
from robustbench_la.errors import UserError
from robustbench_la.records.plan import Augment


def augmented(images: Tensor, augment: Augment, ids: Tensor, *, seed: int, epoch: int) -> Tensor:
    """Pad images, then crop and flip them at random; the result depends on (seed, epoch, id) only.

    Args:
        images: uint8 (N, C, H, W).
        augment: Padding, crop and flip.
        ids: int64 (N,), the index of each image in the whole dataset.
        seed: The training seed.
        epoch: From 0.

    Returns:
        uint8 (N, C, H', W'), where H' and W' are the side of the crop if there is one.

    Raises:
        UserError: If the crop exceeds the padded images.
    """
    if augment == Augment():
        return images
    height, width = images.shape[2:]
    crop_height, crop_width = (augment.crop, augment.crop) if augment.crop else (height, width)
    slack = (height + 2 * augment.pad - crop_height, width + 2 * augment.pad - crop_width)
    if min(slack) < 0:
        raise UserError(
            f"a random crop of {augment.crop} px exceeds images of {width}x{height} px with {augment.pad} px of padding; "
            "give a smaller crop"
        )
    keys = image_keys(seed, f"augment/{epoch}", ids)
    top = integers(keys, 1, slack[0] + 1)
    left = integers(keys, 1, slack[1] + 1, start=2)
    rows = top + torch.arange(crop_height)
    columns = left + torch.arange(crop_width)
    if augment.flip:
        columns = torch.where(integers(keys, 1, 2, start=4) == 1, columns.flip(1), columns)
    padded = nn.functional.pad(images, [augment.pad] * 4)
    return padded[torch.arange(len(images))[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
