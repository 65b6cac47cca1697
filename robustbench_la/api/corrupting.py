"""``corrupt``: applies one corruption at one level to numpy, torch or PIL images."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.errors import ArgumentError, did_you_mean, lookup

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from corruptions.registry import Level
    from robustbench_la.images.layout import Layout

    Images: TypeAlias = NDArray[np.uint8] | Tensor | Image | Sequence[Image]
    Given = TypeVar("Given", bound=Images)
    Ids: TypeAlias = int | Sequence[int] | NDArray[np.integer] | Tensor


@errors_in_python
def corrupt(
    images: Given,
    corruption: str,
    *,
    severity: int | None = None,
    level: float | Sequence[float] | None = None,
    profile: str | None = None,
    seed: int = 0,
    ids: Ids | None = None,
    layout: Layout | None = None,
    frost_textures: str | None = None,
) -> Given:
    """Corrupt images, as the commands do: the same noise for the same seed and ids, on every machine.

    Args:
        images: 8-bit images: a numpy array or a torch tensor of (N, C, H, W), (N, H, W, C), (C, H, W), (H, W, C) or (H, W); a PIL
            image of mode L or RGB, or a sequence of them.
        corruption: A name or an alias: ``"gaussian_noise"``, ``"gaussian"``, ``"poisson"``, ``"fog"`` ...
        severity: 1 to 5, with the published levels. Give either this or ``level``.
        level: A custom level, in the units of the corruption: a number, or one number per parameter.
        profile: The table of levels for ``severity``, such as ``"imagenet-c"``; chosen by the size of the images if not given.
        seed: Seed of the noise.
        ids: Each image's index in its dataset; with ``seed``, corruption and level it alone decides the noise. Default: 0, 1 ...
        layout: The axes of an array, if its shape does not show them: ``"NCHW"``, ``"NHWC"``, ``"NHW"``, ``"CHW"`` ...
        frost_textures: The folder that has the published photographs of frost; those of ``larobust[frost]`` if not given.

    Returns:
        New images of the kind, shape and (for a tensor) device of those given.

    Raises:
        UserError: If the corruption is unknown, or images, levels or ids are invalid; also a ValueError.
        TypeError: Unless exactly one of ``severity`` and ``level`` is given.

    >>> import numpy as np
    >>> import robustbench_la as la
    >>> image = np.full((2, 2), 128, dtype=np.uint8)
    >>> la.corrupt(image, "gaussian", level=0.1)
    array([[118,  94],
           [165, 128]], dtype=uint8)
    """
    import numpy as np
    import PIL.Image

    from robustbench_la.measuring.available import use_textures

    use_textures(frost_textures)
    if isinstance(images, PIL.Image.Image):
        return cast("Given", _corrupted_pictures([images], corruption, severity, level, profile, seed, _one_id(ids))[0])
    if isinstance(images, (list, tuple)):
        return cast("Given", _corrupted_pictures(images, corruption, severity, level, profile, seed, ids))
    if isinstance(images, np.ndarray):
        import torch

        if images.dtype != np.uint8:
            raise _not_8_bit(str(images.dtype))
        # A copy where torch could not share the memory: it warns of read-only arrays and refuses negative strides.
        shared = images if images.flags.writeable and min(images.strides, default=0) >= 0 else images.copy()
        result = _corrupted(torch.from_numpy(shared), corruption, severity, level, profile, seed, ids, layout)
        return cast("Given", result.numpy())
    return cast("Given", _corrupted(_tensor(images), corruption, severity, level, profile, seed, ids, layout))


def _tensor(images: object) -> Tensor:
    import torch

    if not isinstance(images, torch.Tensor):
        raise ArgumentError(f"images must be a numpy array, a torch tensor or PIL images, not {type(images).__name__}")
    if images.dtype != torch.uint8:
        raise _not_8_bit(str(images.dtype).removeprefix("torch."))
    return images


def _not_8_bit(kind: str) -> ArgumentError:
    return ArgumentError(
        f"images must be 8-bit (uint8, 0 to 255), not {kind}; corrupt them before they are scaled and normalized"
    )


def _one_id(ids: Ids | None) -> Ids:
    return [0] if ids is None else ids


def _corrupted(
    images: Tensor,
    corruption: str,
    severity: int | None,
    level: float | Sequence[float] | None,
    profile: str | None,
    seed: int,
    ids: Ids | None,
    layout: str | None,
) -> Tensor:
    """Of a tensor in any layout, in the same layout."""
    from corruptions import corrupt as corrupt_batch
    from robustbench_la.images.layout import layout_of

    axes = layout_of(images.shape, layout)
    batch = images if "N" in axes else images[None]
    batch = batch[..., None] if "C" not in axes else batch
    channels_last = axes.endswith("C") or "C" not in axes
    batch = batch.permute(0, 3, 1, 2) if channels_last else batch
    name, wanted = _level(corruption, severity, level, profile, batch.shape[2:])
    if _whole(seed, "seed") < 0:
        raise ArgumentError(f"seed= must be 0 or above, not {seed}")
    numbers_, seed = _id_tensor(ids, len(batch)), _whole(seed, "seed")
    try:
        result = corrupt_batch(batch.contiguous(), name, wanted, ids=numbers_, seed=seed)
    except ValueError as error:
        raise ArgumentError(str(error)) from None
    return (result.permute(0, 2, 3, 1) if channels_last else result).reshape(images.shape).contiguous()


def _corrupted_pictures(
    pictures: Sequence[object],
    corruption: str,
    severity: int | None,
    level: float | Sequence[float] | None,
    profile: str | None,
    seed: int,
    ids: Ids | None,
) -> list[Image]:
    """Of PIL images, which may be of different sizes."""
    import numpy as np
    import PIL.Image
    import torch

    numbers_ = _id_tensor(ids, len(pictures))
    result = []
    for place, picture in enumerate(pictures):
        if not isinstance(picture, PIL.Image.Image):
            raise ArgumentError(f"a sequence of images must hold PIL images, not {type(picture).__name__}; stack arrays into one")
        if picture.mode not in ("L", "RGB"):
            raise ArgumentError(
                f'PIL images must be of mode L or RGB, not {picture.mode}; convert them with image.convert("RGB")'
            )
        pixels = torch.from_numpy(np.array(picture))
        own = numbers_[place : place + 1]
        layout = "HW" if picture.mode == "L" else "HWC"
        done = _corrupted(pixels, corruption, severity, level, profile, seed, own, layout)
        result.append(PIL.Image.fromarray(done.numpy()))
    return result


def _level(
    corruption: str,
    severity: int | None,
    level: float | Sequence[float] | None,
    profile: str | None,
    size: Sequence[int],
) -> tuple[str, float | Level]:
    """The name and level of the requested corruption, for images of this height and width."""
    from corruptions import CORRUPTIONS, PROFILES, level_of, names_of, profile_for
    from corruptions.registry import known_words, names_with_level

    names = names_of(corruption) if level is None else names_with_level(corruption)
    if not names:
        apart = corruption.partition("=")[0]
        hint = (
            f"; name the corruption {apart!r} and give the level as level="
            if names_of(apart)
            else did_you_mean(corruption, known_words())
        )
        raise ArgumentError(f"unknown corruption {corruption!r}{hint}")
    if len(names) > 1:
        raise ArgumentError(f"{corruption!r} is a group of {len(names)} corruptions; name one: {', '.join(names)}")
    if (severity is None) == (level is None):
        raise TypeError(f"corrupt() takes {'either' if severity is not None else 'one of'} severity= (1 to 5) or level=")
    try:
        if level is not None:
            if profile is not None:
                raise ArgumentError("profile= chooses the table of severities, so it would have no effect with level=")
            return names[0], CORRUPTIONS[names[0]].check(_numbers(level))
        used = profile or profile_for(*size)
        lookup(PROFILES, used, kind="profile")
        return names[0], level_of(names[0], severity=_whole(severity, "severity"), profile=used)
    except ValueError as error:
        raise ArgumentError(str(error)) from None


def _numbers(level: object) -> Level:
    values = (level,) if isinstance(level, numbers.Real) else tuple(level) if isinstance(level, Sequence) else ()
    if not values or isinstance(level, str) or not all(isinstance(one, numbers.Real) and math.isfinite(one) for one in values):
        raise ArgumentError(f"level= must be a number, or a sequence of them, not {level!r}")
    return tuple(float(one) for one in values)


def _whole(value: object, name: str) -> int:
    """A whole number of any kind (numpy has its own); no bool."""
    if not isinstance(value, numbers.Integral) or isinstance(value, bool):
        raise ArgumentError(f"{name}= must be a whole number, not {value!r}")
    return int(value)


def _id_tensor(ids: Ids | None, count: int) -> Tensor:
    import torch

    found = torch.arange(count) if ids is None else torch.as_tensor(ids).reshape(-1).cpu()
    if found.dtype.is_floating_point or found.dtype == torch.bool:
        raise ArgumentError(f"ids= must be whole numbers, not {found.dtype}")
    if len(found) != count:
        raise ArgumentError(f"ids= has {len(found)} numbers for {count} image{'s' if count != 1 else ''}")
    return found.to(torch.int64)
