"""What is to be written: images, conditions and names, checked before anything is. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import features

import robustbench_la
from corruptions import NOISE_VERSION, profile_for
from corruptions.compression import libjpeg_version
from robustbench_la.errors import UserError
from robustbench_la.images import decoding
from robustbench_la.images.decoding import ImageChoice, ImageSet
from robustbench_la.measuring.available import conditions_here
from robustbench_la.models.devices import batch_size_for, resolve
from robustbench_la.progress import Meter, silent
from robustbench_la.records.cells import Condition
from robustbench_la.records.plan import EvaluationPlan
from robustbench_la.writing import layouts, manifest
from robustbench_la.writing.folder import check_output
from robustbench_la.writing.request import check_arrays, check_request, format_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """Everything needed to write a set of corrupted images."""

    output: Path
    format: str
    """A key of layouts.FORMATS."""
    images: ImageSet
    names: tuple[str, ...]
    """Where each image goes in the folder of a condition; empty for arrays."""
    conditions: tuple[Condition, ...]
    profile: str
    seed: int
    device: torch.device
    batch_size: int
    unmeasurable: tuple[str, ...]
    """Why each corruption of the groups that were asked for is left out."""
    settings: manifest.Settings
    """What the manifest says."""


def prepare_writing(
    plan: EvaluationPlan, output: Path, *, form: str | None = None, download: bool = False, meter: Meter = silent
) -> Writing:
    """Open and decode the images that a plan names.

    Args:
        plan: Provides data, noise, severities, noise seed, device and batch size; what it says of networks is ignored.
        output: The folder to write into.
        form: A key of layouts.FORMATS; ``png`` if not given.
        download: Whether a missing dataset may be downloaded.
        meter: Shows the progress of decoding.

    Returns:
        Everything needed to write.

    Raises:
        UserError: For the first thing that is missing or does not fit; if it can be known, before images are decoded.
    """
    form = check_request(plan, output, form)
    resolve(plan.device)
    choice = choice_of(plan, plan.data or "digits")
    dataset = decoding.open_dataset(choice, download=download)
    shape = dataset.shape()
    conditions, _ = _conditions(plan, form, shape.height, shape.width)
    manifest.check_same(output, _known_before(plan, form, conditions, (shape.height, shape.width)))
    images = dataset.decode(limit=plan.limit, meter=meter)  # last, because it may take minutes
    file = dataset.source.file
    files = None if file is None else [file(index) for index in range(images.total)]
    return writing_of(images, plan, output, form=form, files=files)


def choice_of(plan: EvaluationPlan, name: str) -> ImageChoice:
    """A dataset with the size and channels that a plan gives its images."""
    return ImageChoice(
        name,
        resize=plan.resize,
        crop=plan.crop,
        channels=plan.channels,
        interpolation=plan.interpolation or "bilinear",
    )


def writing_of(
    images: ImageSet, plan: EvaluationPlan, output: Path, *, form: str | None = None, files: Sequence[str] | None = None
) -> Writing:
    """What is to be written of images that are in memory. files: the paths of all images of their dataset, if they have any.

    Raises:
        UserError: For the first thing that does not fit.
    """
    form = format_of(form, plan)
    check_output(output)
    channels, height, width = images.images.shape[1:]
    if channels not in (1, 3):
        raise UserError(f"images must have 1 channel or 3 to be written, not {channels}")
    conditions, unmeasurable = _conditions(plan, form, height, width)
    names = () if form == "npy" else tuple(layouts.image_names(images, files, form))
    settings = {
        **_known_before(plan, form, conditions, (height, width)),
        "data": images.name,
        "shape": [height, width, channels],
        "images": len(images.ids),
        "dataset_images": images.total,
        "fingerprint": images.fingerprint(),
        "names": manifest.names_digest(names) if names else None,
        "classes": layouts.class_folders(images.classes) if files is None else list(images.classes),
    }
    manifest.check_same(output, settings)
    device = resolve(plan.device)
    return Writing(
        output=output,
        format=form,
        images=images,
        names=names,
        conditions=conditions,
        profile=plan.profile or profile_for(height, width),
        seed=plan.noise_seed,
        device=device,
        batch_size=plan.batch_size or batch_size_for(device, height * width),
        unmeasurable=unmeasurable,
        settings=settings,
    )


def _conditions(plan: EvaluationPlan, form: str, height: int, width: int) -> tuple[tuple[Condition, ...], tuple[str, ...]]:
    """The conditions to write, and why others are left out."""
    conditions, unmeasurable = conditions_here(plan, height=height, width=width)
    if not conditions:
        reason = f" ({'; '.join(unmeasurable)})" if unmeasurable else ""
        raise UserError(f"no corruption to write images of{reason}; name some with --noise")
    check_arrays(form, custom=any(one.severity is None for one in conditions), severities=[one.severity for one in conditions])
    return tuple(replace(one, jpeg=None) for one in conditions), unmeasurable


def _known_before(plan: EvaluationPlan, form: str, conditions: Sequence[Condition], size: tuple[int, int]) -> dict[str, object]:
    """The settings that are known before the images are decoded."""
    libraries = {"larobust": robustbench_la.__version__, "numpy": np.__version__, "pillow": PIL.__version__}
    if form == "jpeg85":
        libraries |= dict([libjpeg_version().split()])
    if form == "png":
        libraries["zlib"] = str(features.version("zlib_ng") or features.version("zlib"))
    return {
        "format": form,
        "noise_seed": plan.noise_seed,
        "noise_version": NOISE_VERSION,
        "profile": plan.profile or profile_for(*size),
        "conditions": manifest.conditions_as_settings(conditions),
        "versions": libraries,
    }
