"""The keywords that several of the Python functions take, explained once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias, TypedDict

from robustbench_la.errors import did_you_mean

Normalize: TypeAlias = str | tuple[Sequence[float], Sequence[float]]
Only: TypeAlias = str | Iterable[str] | None
Numbers: TypeAlias = int | str | Iterable[int | str] | None


class NetworkSettings(TypedDict, total=False):
    """How networks are read and run."""

    normalize: Normalize | None
    """Of the networks' inputs: a name (``"cifar10"``, ``"imagenet"`` ...), or (means, standard deviations) of pixels on [0, 1].
    If not given: what the checkpoint or the baseline records, else pixels on [0, 1] as they are."""
    activation: str | None
    """The networks' activation, if it is neither recorded in the file nor seen in the forward pass."""
    layeract_alpha: float | None
    """LayerAct's alpha, if it is neither recorded in the file nor seen in the network."""
    preprocess: str | None
    """``"FILE.py:NAME"``: your own preprocessing of corrupted images, instead of ``normalize``."""
    channels: int | None
    """3 repeats grey images in three channels, 1 makes colour images grey."""
    interpolation: str | None
    """How images are resized: ``"bilinear"``, ``"bicubic"``, ``"nearest"`` or ``"lanczos"``."""
    labels: str | None
    """A text file whose line i names the class folder of output i, if that is not the sorted order."""
    label_map: str | None
    """``"imagenet-subset"``: 1,000 outputs, class folders named by WordNet ids, some or all of them."""
    arch: str | None
    """The architecture of checkpoint files that do not record it."""
    exchange: str | Sequence[str] | None
    """Activations to exchange in the networks of checkpoint files, such as ``"relu=la_silu"``; not in networks in memory."""
    arch_label: str | None
    """What to call the architecture: networks with the same label are compared, whatever their code."""
    key: str | None
    """Which weights of checkpoint files that hold several, such as ``"ema"``."""
    trust_file: bool
    """Also load pickled networks and TorchScript, which runs code in the file: for files of people you trust."""
    layout: str | None
    """The axes of images in memory, if their shape leaves them open: ``"NCHW"``, ``"NHWC"`` ..."""
    download: bool
    """Fetch a missing dataset, where torchvision can."""
    device: str | None
    """``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"auto"``. If not given: that of the first network in memory, or
    ``"auto"`` for files."""
    batch_size: int | None
    """Images per batch; chosen by device if not given."""
    allow_stochastic: bool
    """Measure a network whose answer to an image depends on chance or on the other images of the batch; results are marked."""
    progress: bool | None
    """False hides the progress bar, which terminals and notebooks show otherwise."""


class MeasuringSettings(NetworkSettings, total=False):
    """What is measured, on which images, and where results are kept."""

    profile: str | None
    """The level table, such as ``"imagenet-c"``; chosen by image size if not given."""
    jpeg: int | None
    """Store corrupted images as JPEG of this quality first, as ImageNet-C and Tiny-ImageNet-C are (85)."""
    frost_textures: str | None
    """The folder that has the published photographs of frost; those of ``larobust[frost]`` if not given."""
    noise_seed: int
    """Seed of the noise; 0 if not given."""
    limit: int | None
    """Use only this many images, the first of a fixed permutation."""
    resize: int | None
    """Scale the shorter side of each image to this many pixels."""
    crop: int | None
    """Cut a square with a side of this many pixels from the centre."""
    data_name: str | None
    """What images in memory are called in tables and stores."""
    amp: bool
    """bfloat16 autocast: faster, slightly different numbers."""
    store: str | Path | None
    """A file of results: what it holds is not measured again, and each new result is kept there at once."""
    allow_code: str | Sequence[str] | None
    """Code that the arch column of tables of checkpoints names and that may run, such as ``"net.py:Net"``."""
    keep_going: bool
    """Go on without checkpoint files that cannot be used; the result's notes name them. Otherwise the first is an error."""
    fresh: bool
    """Measure again, and replace, what the store holds."""


class WritingSettings(TypedDict, total=False):
    """Which images ``write_corrupted`` corrupts, and how; the rest is as in ``MeasuringSettings``."""

    profile: str | None
    """The level table, such as ``"imagenet-c"``; chosen by image size if not given."""
    frost_textures: str | None
    """The folder that has the published photographs of frost; those of ``larobust[frost]`` if not given."""
    noise_seed: int
    """Seed of the noise; 0 if not given."""
    limit: int | None
    """Use only this many images, the first of a fixed permutation."""
    resize: int | None
    """Scale the shorter side of each image to this many pixels."""
    crop: int | None
    """Cut a square with a side of this many pixels from the centre."""
    channels: Literal[1, 3] | None
    """3 repeats grey images in three channels, 1 makes colour images grey."""
    interpolation: str | None
    """How images are resized; ``"bilinear"`` if not given."""
    layout: str | None
    """The axes of images in memory, if their shape leaves them open: ``"NCHW"``, ``"NHWC"`` ..."""
    data_name: str | None
    """What images in memory are called in the record of the set."""
    download: bool
    """Fetch a missing dataset, where torchvision can."""
    device: str | None
    """``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"`` or ``"auto"``, the default."""
    batch_size: int | None
    """Images at a time; chosen by device if not given."""
    progress: bool | None
    """False hides the progress bar, which terminals and notebooks show otherwise."""


class Filters(TypedDict, total=False):
    """Select results of a store: those that match every filter given."""

    checkpoint: Only
    """A path, file name, pattern, or the beginning of a SHA-256; or several."""
    activation: Only
    """Such as ``"la_silu"``; or several."""
    architecture: Only
    """Such as ``"resnet20"``; or several."""
    data: Only
    """The name of a dataset, or a pattern such as ``"mnist:*"``; or several."""
    noise: Only
    """A corruption, an alias, a group, a custom level or ``"clean"``; or several."""
    severity: Numbers
    """1 to 5, several of them, or a range such as ``"1-3"``."""
    noise_seed: int | Iterable[int] | None
    """A seed of the noise; or several."""


def check_keywords(function: Callable[..., object], given: Mapping[str, object], known: type) -> None:
    """Refuse keywords that a function does not take, as Python itself would.

    Raises:
        TypeError: For a keyword that is not among those of ``known``, a TypedDict.

    >>> import robustbench_la as la
    >>> check_keywords(la.evaluate, {"batchsize": 64}, MeasuringSettings)
    Traceback (most recent call last):
    TypeError: evaluate() got an unexpected keyword argument 'batchsize'; did you mean batch_size?
    """
    for name in given:
        if name not in known.__annotations__:
            parameters = [own.name for own in inspect.signature(function).parameters.values() if own.kind != own.VAR_KEYWORD]
            near = did_you_mean(name, [*parameters, *known.__annotations__])
            raise TypeError(f"{function.__name__}() got an unexpected keyword argument {name!r}{near}")
