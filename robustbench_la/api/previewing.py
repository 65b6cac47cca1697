"""``preview``: images under corruptions, displayed as a grid."""

from __future__ import annotations

import contextlib
import numbers
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.preparing import Severities, Sources, Words, evaluation_in_memory, meter_of, notes_of, plan_of, sources
from robustbench_la.api.settings import MeasuringSettings, check_keywords
from robustbench_la.errors import ArgumentError
from robustbench_la.records.published_sets import is_published

if TYPE_CHECKING:
    from typing import Unpack

    from matplotlib.figure import Figure

    from robustbench_la.api.preparing import Data, Models
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.records.plan import EvaluationPlan
    from robustbench_la.records.previews import Preview

Chosen: TypeAlias = int | str | Path | Iterable[int | str | Path] | None


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PreviewResult:
    """Images under corruptions. A notebook displays the grid that ``larobust preview`` writes."""

    preview: Preview
    """The images with their pixels, conditions and predictions."""
    notes: tuple[str, ...]
    """What was left out, and what was assumed of the networks."""

    def __repr__(self) -> str:
        preview = self.preview
        return "\n".join((f"{preview.about} {len(preview.conditions)} conditions; save(FILE) writes them.", *self.notes))

    def _repr_html_(self) -> str:
        from robustbench_la.output.previews.page import fragment

        return fragment(self.preview)

    def _repr_png_(self) -> bytes:
        from robustbench_la.output.previews.files import png

        return png(self.preview)

    def figure(self) -> Figure:
        """The grid as a matplotlib figure; save it with a dpi of 300, at which each pixel of an image is a square of dots."""
        from robustbench_la.output.previews.arrangement import arranged
        from robustbench_la.output.previews.figure import figures

        return figures(arranged(self.preview), self.preview.networks, self.preview.about, pages=False)[0]

    @errors_in_python
    def save(self, path: str | Path) -> None:
        """Write the grid as PNG, SVG, PDF or HTML, by the suffix of ``path``."""
        from robustbench_la.output.previews.files import save

        save(self.preview, Path(path))


@errors_in_python
def preview(
    data: Data | None = None,
    image: Chosen = None,
    *,
    noise: Words | None = None,
    severity: Severities | None = None,
    model: Models | None = None,
    **settings: Unpack[MeasuringSettings],
) -> PreviewResult:
    """Show images under corruptions, with exactly the pixels that ``evaluate`` measures on; what ``larobust preview`` does.

    Args:
        data: The name of a dataset as on the command line, or images in memory, as for ``evaluate``, here also without labels:
            ``images`` alone. Image files need none.
        image: The index of an image in the data, an image file (also from elsewhere), or several of them. If not given, the first
            ``limit`` images (one, if that is not given either) of the permutation that ``evaluate`` takes its images from.
        noise: Corruptions, groups or custom levels, as for ``evaluate``; all if not given.
        severity: 1 to 5, several of them, or a range such as ``"1-3"``; all five if not given.
        model: Networks, as for ``evaluate``; what they take each image for is shown below it.
        settings: Any of ``MeasuringSettings`` but those of stores: ``resize``, ``profile``, ``noise_seed`` ...

    Returns:
        The grid, which a notebook displays.

    Raises:
        UserError: For the first thing that does not fit, in one line; also a ValueError if an argument is wrong.

    >>> import robustbench_la as la
    >>> la.preview("digits", 17, noise="gaussian_noise")
    1 image of digits, 8x8 px, 1 channel; levels of profile cifar-c; noise seed 0. 6 conditions; save(FILE) writes them.
    """
    from robustbench_la.measuring.preview import preview_of

    check_keywords(preview, settings, MeasuringSettings)
    for name in ("store", "fresh"):
        if settings.get(name):
            raise ArgumentError(f"{name}= would have no effect: a preview keeps no results")
    given = sources(
        [] if model is None else model,
        data,
        layout=settings.get("layout"),
        data_name=settings.get("data_name"),
        download=settings.get("download", False),
        needs_models=model is not None,
    )
    named = isinstance(given.data, str) and is_published(given.data)  # which has its own
    plan = plan_of(given, {**settings, "noise": noise if noise is not None or named else "all", "severity": severity})
    with _prepared(given, plan, words_of(image), settings) as evaluation:
        return PreviewResult(preview=preview_of(evaluation), notes=notes_of(evaluation))


def words_of(image: Chosen) -> list[str]:
    """Images as the command takes them.

    >>> words_of(3), words_of([Path("cat.png"), 4]), words_of(None)
    (['3'], ['cat.png', '4'], [])
    """
    if image is None:
        return []
    if isinstance(image, (str, Path)):
        return [str(image)]
    several = list(image) if isinstance(image, Iterable) else [image]
    for one in several:
        if isinstance(one, bool) or not isinstance(one, (str, Path, numbers.Integral)):
            raise ArgumentError(f"image= must be an index, an image file, or several of them, not {one!r}")
        if not isinstance(one, (str, Path)) and one < 0:
            raise ArgumentError(f"image= must be 0 or above, not {one}")
    if not several:
        raise ArgumentError("image= is empty; leave it out for the first of a fixed permutation")
    return list(map(str, several))


@contextlib.contextmanager
def _prepared(given: Sources, plan: EvaluationPlan, words: list[str], settings: MeasuringSettings) -> Iterator[Evaluation]:
    """What it takes to show images; networks in memory are in eval mode while the context lasts, and as they were afterwards."""
    from robustbench_la.images.from_memory import is_array
    from robustbench_la.measuring import preview as previews
    from robustbench_la.models.in_memory import borrowed

    if given.in_files:
        yield previews.prepare_preview(plan, words, download=given.download)
        return
    previews.check_count(plan, words)
    unlabelled = is_array(given.data)
    if unlabelled:
        given = replace(given, data=(given.data, [0] * len(given.data)))  # type: ignore[arg-type]  # any labels: see below
    first = plan.model_copy(update={"limit": plan.limit or 1})
    with borrowed(given.modules):
        evaluation = evaluation_in_memory(
            given,
            first,
            meter_of(settings.get("progress")),
            decode=lambda dataset: previews.decode(dataset, plan, words),
            chosen=words,
        )
        yield previews.without_labels(evaluation) if unlabelled else evaluation
