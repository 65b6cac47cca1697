"""Published images beside images corrupted here: the same networks on the same labels in order, one corruption per row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from robustbench_la.analysis.comparison.request import Request
from robustbench_la.analysis.groups.series import (
    Series,
    drawn_by,
    files_of,
    is_drawn_by,
    levels_of,
    noise_versions,
    series_among,
    stored_as,
)
from robustbench_la.analysis.groups.titles import distinguished, named_apart, traits
from robustbench_la.analysis.statistics.paired_tests import holm, paired_difference, paired_t
from robustbench_la.analysis.statistics.seed_tests import over_seeds
from robustbench_la.analysis.tables.table import Column, Estimate, Evidence, Row, Table
from robustbench_la.errors import UserError
from robustbench_la.records.cells import CLEAN
from robustbench_la.text import some

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from robustbench_la.records.cells import Condition, RunSetting
    from robustbench_la.store.store import Stored

SOURCES = ("prebuilt", "generated")
Unit = tuple[str, int | None]
"""A corruption at a severity."""
Right = Callable[["Stored"], "NDArray[np.bool_]"]
"""Maps a cell to whether each image was classified correctly, (N,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """What one network was measured under, from one source."""

    series: Series
    noise_version: int
    named: tuple[str, ...]
    """The names under which its images were measured."""
    labels: bytes
    """Of all images, in order."""
    setting: RunSetting
    cells: Mapping[Unit, Sequence[Stored]]
    """One cell per noise seed."""

    @property
    def data(self) -> str:
        """Its dataset, by every name."""
        return " = ".join(self.named)

    @property
    def key(self) -> tuple[object, ...]:
        """What networks share that were measured under it."""
        return (self.setting.fingerprint, self.setting.precision, self.series, self.noise_version)

    def has_the_images_of(self, other: _Side) -> bool:
        """Whether both have the same labels in the same order: parts of equally many, or all of a set that is such a part."""
        one, two = self.setting, other.setting
        whole = one.images == one.dataset_images or two.images == two.dataset_images
        return self.labels == other.labels and (whole or one.dataset_images == two.dataset_images)


_Pair = tuple["Stored", _Side, _Side]
"""Any cell of a network, the images corrupted here, and the published ones."""


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
    series_of = series_among(entry.cell.condition for entries in by_network.values() for entry in entries)
    pairs: dict[tuple[object, ...], list[_Pair]] = {}
    for entries in by_network.values():
        sides = _sides(entries, series_of, labels_of)
        for prebuilt in sides["prebuilt"]:
            for generated in sides["generated"]:
                if prebuilt.has_the_images_of(generated) and set(prebuilt.cells) & set(generated.cells):
                    pairs.setdefault(prebuilt.key + generated.key, []).append((entries[0], generated, prebuilt))
    if not pairs:
        raise UserError(_nothing(list(by_network.values())))
    return [
        _table(title, members, request, right, _choice(members, pairs.values()))
        for title, members in zip(_titles(list(pairs.values())), pairs.values(), strict=True)
    ]


def _titles(tables: Sequence[Sequence[_Pair]]) -> list[str]:
    """Titles that name both datasets, and what else differs where two would be the same."""
    titles, told_apart = [], []
    for members in tables:
        entry, generated, prebuilt = members[0]
        what = f"{_what(generated)} and {_what(prebuilt)}"
        titles.append(f"Generated and prebuilt images: {what}, {generated.data} and {prebuilt.data}")
        read = [cell.cell.condition for cells in prebuilt.cells.values() for cell in cells]
        told_apart.append(traits(entry.cell.network, generated.setting, ()) | files_of(read))
    return distinguished(titles, told_apart)


def _choice(members: Sequence[_Pair], tables: Iterable[Sequence[_Pair]]) -> tuple[str, ...]:
    """What is said where other images corrupted here fit the same published ones as well."""
    _, generated, prebuilt = members[0]
    others = [one[0][1] for one in tables if one[0][2].key == prebuilt.key]
    names = list(dict.fromkeys(side.data for side in others if side.key[0] != generated.key[0]))
    if not names:
        return ()
    same = f"The labels of {some(names)} are the same in the same order, too, so there is a table for each"
    return (f"{same}; give the two datasets that you mean with --data.",)


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


def _sides(
    entries: Sequence[Stored], series_of: Mapping[Condition, Series], labels_of: Callable[[str], NDArray[np.uint16]]
) -> dict[str, list[_Side]]:
    """What one network was measured under, by source."""
    sides: dict[str, list[_Side]] = {source: [] for source in SOURCES}
    kinds: dict[tuple[str, Series], list[Stored]] = {}
    for entry in entries:
        kinds.setdefault((entry.setting.fingerprint, series_of[entry.cell.condition]), []).append(entry)
    for (fingerprint, series), measured in kinds.items():
        setting, labels = measured[0].setting, labels_of(fingerprint).tobytes()
        names = tuple(sorted({entry.setting.data for entry in measured}))
        for version in noise_versions(entry.cell.condition for entry in measured):
            cells: dict[Unit, list[Stored]] = {}
            for entry in measured:
                condition = entry.cell.condition
                if is_drawn_by(condition, version) and condition.severity is not None:
                    cells.setdefault((condition.corruption, condition.severity), []).append(entry)
            side = _Side(series=series, noise_version=version, named=names, labels=labels, setting=setting, cells=cells)
            sides[series.source].append(side)
    return sides


def _table(title: str, members: Sequence[_Pair], request: Request, right: Right, choice: tuple[str, ...]) -> Table:
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
    checkpoints = [entry.cell.network.checkpoint for entry, _, _ in members]
    return Table(
        title=title,
        columns=columns,
        rows=shown,
        notes=(*_notes(generated, prebuilt), *choice),
        paths=tuple(dict.fromkeys([*checkpoints, *generated.named, *prebuilt.named])),
    )


def _what(side: _Side) -> str:
    """The levels of images corrupted here, or the published set; and what is unusual about them."""
    levels = levels_of(side.series.profile, [cell.cell.condition for cells in side.cells.values() for cell in cells])
    return ", ".join([levels, *drawn_by(side.noise_version), *stored_as(side.series.jpeg)])


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
    seeds = {cell.cell.noise_seed for cells in generated.cells.values() for cell in cells}
    averaged = f", averaged over {len(seeds)} noise seeds" if len(seeds) > 1 else ""
    notes = [
        f"Top-1 accuracy in % on {generated.setting.images:,} images: {generated.data} corrupted here ({_what(generated)}"
        f"{averaged}), and {prebuilt.data} as read, at the severities that both have. Difference: generated − prebuilt in "
        "points, with its 95 % interval; one condition and one seed: McNemar's exact test, else a paired t-test over images. "
        "p (Holm): corrected over the tests of this table. Both have the same labels in the same order; it was not checked that "
        "they show the same photographs, or that the former were clean before. The draws of noise are the same only if larobust "
        "wrote the set with this noise seed."
    ]
    if str(prebuilt.series.profile).startswith(("imagenet-c", "tiny-imagenet-c")) and generated.series.jpeg != 85:
        notes.append("The published images are stored as JPEG 85, so images generated with --jpeg 85 are the fair counterpart.")
    partial = {side.data: side.setting for side in (generated, prebuilt) if side.setting.partial}
    counts = {name: f"{setting.images:,} of {setting.dataset_images:,} images" for name, setting in partial.items()}
    if len(counts) == 2 and len(set(counts.values())) == 1:
        notes.append(f"Partial: {next(iter(counts.values()))}.")
    elif counts:
        notes.append(f"Partial: {'; '.join(f'{count} of {name}' for name, count in counts.items())}.")
    return tuple(notes)
