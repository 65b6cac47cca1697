"""``write_corrupted``: corrupted images as files, for other programs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.preparing import Severities, Sources, Words, check_use, meter_of, plan_of
from robustbench_la.api.settings import WritingSettings, check_keywords
from robustbench_la.wording import in_python

if TYPE_CHECKING:
    from robustbench_la.api.preparing import Data
    from robustbench_la.progress import Meter
    from robustbench_la.records.plan import EvaluationPlan
    from robustbench_la.writing.preparing import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSet:
    """A set of corrupted images in a folder."""

    folder: Path
    format: str
    """``"png"``, ``"jpeg85"`` or ``"npy"``."""
    conditions: tuple[str, ...]
    """Such as ``"fog 3"``: the corruption and its severity, or custom level."""
    images: int
    """Under each condition."""
    written: int
    """How many images were written now, under all conditions; the others were there."""
    left_out: tuple[str, ...]
    """Why each corruption of the groups that were asked for is missing."""


@errors_in_python
def write_corrupted(
    data: Data,
    output: str | Path,
    *,
    noise: Words = "paper",
    severity: Severities | None = None,
    format: Literal["png", "jpeg85", "npy"] = "png",
    **settings: Unpack[WritingSettings],
) -> WrittenSet:
    """Write corrupted images in the layouts of ImageNet-C and CIFAR-10-C; what ``larobust corrupt`` does.

    They are the images that ``evaluate`` measures on and ``corrupt`` returns. The same call continues an interrupted one, and
    ends with the same bytes.

    Args:
        data: The name of a dataset (``"cifar10:data"``, ``"folder:photos"``), ``(images, labels)`` with 8-bit images, or a torch
            Dataset of (PIL image or uint8 tensor, label).
        output: The folder to write into: a new one, an empty one, or one that an interrupted call began.
        noise: Corruptions: names, aliases, groups (``"common"``, ``"all"``), or custom levels (``"gaussian=0.05,0.1"``).
        severity: 1 to 5, several of them, or a range such as ``"1-3"``; all five if not given.
        format: ``"png"`` (without loss) or ``"jpeg85"`` for class folders as in ImageNet-C; ``"npy"`` for one array per
            corruption as in CIFAR-10-C.
        settings: Any of ``WritingSettings``, by keyword: ``limit``, ``resize``, ``crop``, ``noise_seed`` ...

    Returns:
        What is in the folder now.

    Raises:
        UserError: For the first thing that does not fit, in one line; also a ValueError if an argument is wrong.
        RunError: If the disk is full, or another process writes into the folder.

    >>> import tempfile, robustbench_la as la
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     written = la.write_corrupted("digits", folder, noise="fog", severity=3, limit=20)
    >>> written.conditions, written.images, written.written
    (('fog 3',), 20, 20)
    """
    from robustbench_la.models.allocator import keep_freed_memory
    from robustbench_la.writing.write import write

    check_keywords(write_corrupted, settings, WritingSettings)
    layout, data_name = settings.get("layout"), settings.get("data_name")
    check_use(data, layout=layout, data_name=data_name, download=settings.get("download", False))
    keep_freed_memory()
    given = Sources(models=[], data=f"folder:{data}" if isinstance(data, Path) else data, layout=layout, data_name=data_name)
    plan, meter = plan_of(given, {**settings, "noise": noise, "severity": severity}), meter_of(settings.get("progress"))
    writing = _prepared(given, plan, Path(output), form=format, download=settings.get("download", False), meter=meter)
    done = write(writing, meter=meter)
    return WrittenSet(
        folder=writing.output,
        format=writing.format,
        conditions=tuple(map(str, writing.conditions)),
        images=len(writing.images.ids),
        written=done.images,
        left_out=tuple(map(in_python, writing.unmeasurable)),
    )


def _prepared(given: Sources, plan: EvaluationPlan, output: Path, *, form: str, download: bool, meter: Meter) -> Writing:
    from robustbench_la.images.decoding import IN_MEMORY
    from robustbench_la.images.from_memory import images_in_memory
    from robustbench_la.writing.preparing import choice_of, prepare_writing, writing_of

    if given.data is None or isinstance(given.data, str):
        return prepare_writing(plan, output, form=form, download=download, meter=meter)
    default = IN_MEMORY if isinstance(given.data, (tuple, list)) else type(given.data).__name__
    choice = choice_of(plan, given.data_name or default)
    images = images_in_memory(given.data, choice, limit=plan.limit, layout=given.layout, meter=meter)
    return writing_of(images, plan, output, form=form)
