"""Published images beside images corrupted here: the same networks on the same photographs, one corruption per row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.groups.series import drawn_by, is_drawn_by, noise_versions, stored_as
from robustbench_la.analysis.groups.titles import named_apart
from robustbench_la.analysis.statistics.paired_tests import holm, paired_difference, paired_t
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Evidence, Row, Table
from robustbench_la.errors import UserError
from robustbench_la.records.cells import CLEAN

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.records.cells import RunSetting
    from robustbench_la.store.store import Stored

SOURCES = ("prebuilt", "generated")
Unit = tuple[str, int | None]
"""A corruption at a severity."""
Right = Callable[["Stored"], "NDArray[np.bool_]"]
"""Maps a cell to whether each image was classified correctly, (N,)."""
_Series = tuple[str | None, int | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What one network was measured under, from one source."""

    series: _Series
    labels: bytes
    """Of all images, in order."""
    setting: RunSetting
    cells: Mapping[Unit, Sequence[Stored]]
    """One cell per noise seed."""

    def has_the_images_of(self, other: _Side) -> bool:
        """Whether both have the same labels in the same order: parts of equally many, or all of a set that is such a part."""
        one, two = self.setting, other.setting
        whole = one.images == one.dataset_images or two.images == two.dataset_images
        return self.labels == other.labels and (whole or one.dataset_images == two.dataset_images)


def sources_of(words: str) -> tuple[str, ...]:
    """The sources that a word such as ``prebuilt,generated`` names. Raises UserError for another word.

    >>> sources_of("prebuilt,generated")
    ('prebuilt', 'generated')
    """
    named = tuple(dict.fromkeys(word.strip() for word in words.split(",")))
    if not named or not set(named) <= set(SOURCES):
        raise UserError(f"--source must be prebuilt, generated, or prebuilt,generated, not {words!r}")
    return named


def compare_sources(
    stored: Iterable[Stored], request: Request, labels_of: Callable[[str], NDArray[np.uint16]], right: Right
) -> list[Table]:
    """Compare each network's accuracy on published images with that on images corrupted here, image by image.

    Args:
        stored: Cells of a store.
        request: Says whether a row is a corruption or a severity.
        labels_of: Reads the labels of the images with a fingerprint.
        right: Reads the answers of a cell.

    Returns:
        A table for each published set and each way of generating that share images, a network and conditions.

    Raises:
        UserError: If nothing is to be compared, with the reason.
    """
    by_network: dict[object, list[Stored]] = {}
    for entry in stored:
        if entry.cell.condition != CLEAN:
            by_network.setdefault((entry.cell.network.id, entry.setting.precision), []).append(entry)
    pairs: dict[tuple[object, ...], list[tuple[Stored, _Side, _Side]]] = {}
    for entries in by_network.values():
        sides = _sides(entries, labels_of)
        for prebuilt in sides["prebuilt"]:
            for generated in sides["generated"]:
                if prebuilt.has_the_images_of(generated) and set(prebuilt.cells) & set(generated.cells):
                    place = (prebuilt.labels, prebuilt.series, generated.series)
                    pairs.setdefault(place, []).append((entries[0], generated, prebuilt))
    if not pairs:
        raise UserError(_nothing(list(by_network.values())))
    return [_table(members, request, right) for members in pairs.values()]


def _nothing(by_network: Sequence[Sequence[Stored]]) -> str:
    found = {entry.cell.condition.source for entries in by_network for entry in entries}
    for source in SOURCES:
        if source not in found:
            what = "published images (as `larobust eval --data cifar10-c:DIR` measures)" if source == "prebuilt" else (
                "images corrupted here"
            )  # fmt: skip
            return f"no network was measured on {what}, so there is nothing to compare with --source"
    return (
        "no network was measured on published images and on images corrupted here with the same labels in the same order, at the "
        "same severity of one corruption; measure the same photographs with the same --limit"
    )


def _sides(entries: Sequence[Stored], labels_of: Callable[[str], NDArray[np.uint16]]) -> dict[str, list[_Side]]:
    """What one network was measured under, by source."""
    sides: dict[str, list[_Side]] = {source: [] for source in SOURCES}
    kinds: dict[tuple[object, ...], list[Stored]] = {}
    for entry in entries:
        condition = entry.cell.condition
        kinds.setdefault((entry.setting.fingerprint, condition.source, condition.profile, condition.jpeg), []).append(entry)
    for (fingerprint, source, profile, jpeg), measured in kinds.items():
        setting, labels = measured[0].setting, labels_of(str(fingerprint)).tobytes()
        for version in noise_versions(entry.cell.condition for entry in measured):
            cells: dict[Unit, list[Stored]] = {}
            for entry in measured:
                condition = entry.cell.condition
                if is_drawn_by(condition, version) and condition.severity is not None:
                    cells.setdefault((condition.corruption, condition.severity), []).append(entry)
            series = (profile, jpeg, version)
            sides[str(source)].append(_Side(series=series, labels=labels, setting=setting, cells=cells))  # type: ignore[arg-type]
    return sides


def _table(members: Sequence[tuple[Stored, _Side, _Side]], request: Request, right: Right) -> Table:
    names = named_apart([entry.cell.network for entry, _, _ in members])
    rows = []
    for name, (_, generated, prebuilt) in zip(names, members, strict=True):
        shared = [unit for unit in generated.cells if unit in prebuilt.cells]
        by_row: dict[tuple[str, int | None], list[Unit]] = {}
        for unit in shared:
            by_row.setdefault(unit if request.detail == "severity" else (unit[0], None), []).append(unit)
        for (corruption, severity), units in by_row.items():
            label = corruption if severity is None else f"{corruption} {severity}"
            rows.append((name, label, *_compared(units, generated, prebuilt, right)))
        if len(by_row) > 1:
            rows.append((name, "mean", *_compared(shared, generated, prebuilt, right)))
    p_values = [None if difference.evidence is None else difference.evidence.p for *_, difference in rows]
    shown = tuple(
        Row(values=(name, label, ours, theirs, difference, p, corrected))
        for (name, label, ours, theirs, difference), p, corrected in zip(rows, p_values, holm(p_values), strict=True)
    )
    columns = (
        Column(name="checkpoint", grouped=True),
        Column(name="corruption"),
        Column(name="generated", kind="percent"),
        Column(name="prebuilt", kind="percent"),
        Column(name="difference", kind="percent", signed=True),
        Column(name="p", kind="number"),
        Column(name="p (Holm)", kind="number"),
    )
    _, generated, prebuilt = members[0]
    return Table(
        title=f"Generated and prebuilt images: {_what(generated)} and images of {prebuilt.series[0]}",
        columns=columns,
        rows=shown,
        notes=_notes(generated, prebuilt),
    )


def _what(side: _Side) -> str:
    profile, jpeg, version = side.series
    return ", ".join([f"levels of {profile}", *drawn_by(version), *stored_as(jpeg)])


def _compared(units: Sequence[Unit], generated: _Side, prebuilt: _Side, right: Right) -> tuple[float, float, Estimate]:
    """Accuracy on generated and on prebuilt images, and their difference; corruptions, severities and seeds weigh equally."""
    per_corruption: dict[str, list[Unit]] = {}
    for unit in units:
        per_corruption.setdefault(unit[0], []).append(unit)

    def of(side: _Side) -> NDArray[np.float64]:
        means = [
            np.mean([np.mean([right(cell) for cell in side.cells[unit]], axis=0) for unit in own], axis=0)
            for own in per_corruption.values()
        ]
        return np.asarray(np.mean(means, axis=0), dtype=np.float64)

    ours, theirs = of(generated), of(prebuilt)
    if len(units) == 1 and len(generated.cells[units[0]]) == len(prebuilt.cells[units[0]]) == 1:
        result = paired_difference(ours == 1, theirs == 1)
        evidence = Evidence("generated", "prebuilt", test="McNemar, exact", p=result.p, gained=result.gained, lost=result.lost)
        return float(ours.mean()), float(theirs.mean()), Estimate(result.value, result.low, result.high, evidence=evidence)
    spread = over_seeds(ours - theirs)
    statistic, p = paired_t(ours - theirs)
    evidence = Evidence("generated", "prebuilt", test="paired t-test over images", statistic=statistic, p=p)
    return float(ours.mean()), float(theirs.mean()), Estimate(spread.mean, spread.low, spread.high, evidence=evidence)


def _notes(generated: _Side, prebuilt: _Side) -> tuple[str, ...]:
    setting = generated.setting
    seeds = {cell.cell.noise_seed for cells in generated.cells.values() for cell in cells}
    averaged = f", averaged over {len(seeds)} noise seeds" if len(seeds) > 1 else ""
    notes = [
        f"Top-1 accuracy in % on {setting.images:,} images: generated here ({_what(generated)}{averaged}) and read "
        f"from {prebuilt.series[0]}, at the severities that both have. Difference: generated − prebuilt in points, "
        "with its 95 % interval; one condition and one seed: McNemar's exact test, else a paired t-test over images. p (Holm): "
        "corrected over the tests of this table. Both have the same photographs; the draws of noise are the same only if "
        "larobust wrote the set with this noise seed."
    ]
    if str(prebuilt.series[0]).startswith(("imagenet-c", "tiny-imagenet-c")) and generated.series[1] != 85:
        notes.append("The published images are stored as JPEG 85, so images generated with --jpeg 85 are the fair counterpart.")
    if setting.images < setting.dataset_images:
        notes.append(f"Partial: {setting.images:,} of {setting.dataset_images:,} images.")
    return tuple(notes)
