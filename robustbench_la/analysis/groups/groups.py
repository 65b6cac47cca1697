"""Sorts stored cells into comparable groups: same architecture, images, precision and levels. Computes no statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from robustbench_la.activations import in_order
from robustbench_la.analysis.groups.gaps import require_complete
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
from robustbench_la.analysis.groups.variants import Variant, variant_of
from robustbench_la.records.cells import CLEAN, Condition, Pass, RunSetting, Source
from robustbench_la.records.level_words import levels_in_words
from robustbench_la.records.networks import IDENTITY, NetworkId, NetworkRecord

if TYPE_CHECKING:
    from robustbench_la.store.store import Stored

_COMPARED = ("sha256", "weights_key", "activation", "alpha", "exchange")
"""The properties in which networks of a group may differ."""
SHARED = tuple(name for name in IDENTITY if name not in _COMPARED)
"""Those that they share."""

_NAMED = 3
"""The largest number of architectures that a title names."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkResults:
    """One network and its cells within a group."""

    network: NetworkRecord
    cells: Mapping[Pass, Stored] = field(repr=False)

    @property
    def variant(self) -> Variant:
        """The row it belongs to when networks are compared by activation."""
        return variant_of(self.network)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """Networks that were measured on the same images, at the same precision and levels."""

    fingerprint: str
    precision: str
    profile: str | None
    """Level table; None for custom levels, or where only clean images were measured."""
    noise_version: int
    """How the noise was drawn, see ``Condition``."""
    jpeg: int | None
    """The quality of the JPEG as which corrupted images were stored; None if they were not."""
    source: Source
    """Whether the corrupted images are those of a published set, which ``profile`` then names."""
    data: tuple[str, ...]
    """Names under which the dataset was measured."""
    images: int
    dataset_images: int
    resized: bool
    """Whether images were resized or cropped."""
    networks: tuple[NetworkResults, ...] = field(repr=False)
    """Layer-level activations first, each before its element-level counterpart; then by training seed."""
    passes: tuple[Pass, ...] = field(repr=False)
    """Everything that any of the networks was measured under."""
    assumed: tuple[str, ...] = ()
    """What neither files nor users said about the networks, a statement each."""
    title: str = ""
    """What distinguishes the group from all others: architecture, images, levels, and what else differs from a similar group."""
    code_changed: bool = False
    """Whether another group differs in nothing but the code of its networks."""

    @property
    def architecture(self) -> str:
        """The architecture of the networks; several only where networks are compared across architectures."""
        names = list(dict.fromkeys(results.variant.architecture for results in self.networks))
        return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} architectures"

    @property
    def subject(self) -> str:
        """What was measured: architecture, images, levels, precision. Groups that differ otherwise may share it."""
        partial = f" of {self.dataset_images:,} (partial)" if self.images < self.dataset_images else ""
        parts = [f"{self.architecture} on {' = '.join(self.data)}", f"{self.images:,}{partial} images"]
        if self.corruptions:
            parts.append(levels_of(self.profile, self.conditions))
        parts += drawn_by(self.noise_version) + stored_as(self.jpeg)
        if self.precision != "float32":
            parts.append(self.precision)
        return ", ".join(parts)

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Each condition once: clean first, then corruptions in order of appearance, by severity or level."""
        conditions = list(dict.fromkeys(condition for condition, _ in self.passes))
        names = list(dict.fromkeys(condition.corruption for condition in conditions))
        return tuple(
            sorted(conditions, key=lambda c: (c != CLEAN, names.index(c.corruption), c.severity or 0, c.parameters)),
        )

    @property
    def corruptions(self) -> tuple[str, ...]:
        """Names of the corruptions, without clean."""
        return tuple(dict.fromkeys(condition.corruption for condition in self.conditions if condition != CLEAN))

    @property
    def noise_seeds(self) -> tuple[int, ...]:
        """The noise seeds, sorted."""
        return tuple(sorted({seed for _, seed in self.passes if seed is not None}))

    @property
    def paths(self) -> tuple[str, ...]:
        """The files and folders of the user's that it came from: checkpoints, code of networks, folders of images."""
        networks = [results.network for results in self.networks]
        code = [network.architecture for network in networks if ".py:" in network.architecture]
        return tuple(dict.fromkeys([*(network.checkpoint for network in networks), *code, *self.data]))

    @property
    def names(self) -> list[str]:
        """A name of each network, which no other network of the group has."""
        return named_apart([results.network for results in self.networks])


def group(stored: Iterable[Stored], *, allow_missing: bool = False, across: bool = False) -> list[Group]:
    """Sort cells into groups, in order of appearance.

    Args:
        stored: Cells of a store.
        allow_missing: Accept networks that lack cells which others of their group have.
        across: Group networks of any architecture, code and normalization, as long as they saw the same images.

    Returns:
        The groups.

    Raises:
        UserError: If cells are missing and ``allow_missing`` is False; lists them.
    """
    shared: dict[tuple[object, ...], list[Stored]] = {}
    for entry in stored:
        shared.setdefault(comparable_key(entry.cell.network, entry.setting, across=across), []).append(entry)
    codes = Counter(comparable_key(entries[0].cell.network, entries[0].setting, code=False) for entries in shared.values())
    found = []
    for entries in shared.values():
        corrupted = [entry.cell.condition for entry in entries if entry.cell.condition != CLEAN]
        series_of = series_among(corrupted)
        network, setting = entries[0].cell.network, entries[0].setting
        changed = codes[comparable_key(network, setting, code=False)] > 1 and not across
        common = traits(network, setting, () if across else SHARED)
        for series in dict.fromkeys(series_of.values()) or (Series(),):
            under = [condition for condition in corrupted if series_of[condition] == series]
            found += [
                (replace(_group(entries, series, series_of, version), code_changed=changed), common | files_of(under))
                for version in noise_versions(under)
            ]
    titles = distinguished([each.subject for each, _ in found], [common for _, common in found])
    groups = [replace(each, title=title) for (each, _), title in zip(found, titles, strict=True)]
    if not allow_missing:
        for each in groups:
            require_complete_group(each)
    return groups


def group_alike(stored: Sequence[Stored], *, allow_missing: bool = False) -> list[Group]:
    """Sort cells into groups; networks of any architecture share one with those that were measured under the same conditions.

    Raises:
        UserError: As ``group``.
    """
    alike: dict[object, list[Group]] = {}
    for each in group(stored, allow_missing=allow_missing):
        levels = (each.profile, each.jpeg, each.source, each.noise_version)
        key = (each.fingerprint, each.precision, *levels, frozenset(each.passes))
        alike.setdefault(key, []).append(each)
    joined: list[Group] = []
    for groups in alike.values():
        if len(groups) > 1:
            cells = [entry for each in groups for network in each.networks for entry in network.cells.values()]
            groups = group(cells, allow_missing=allow_missing, across=True)
        joined += groups
    told_apart = [
        {
            "conditions": f"{len(each.conditions)} conditions",
            "levels": levels_in_words(each.conditions),
            "fingerprint": f"images {each.fingerprint[:8]}",
        }
        for each in joined
    ]
    titles = distinguished([each.title for each in joined], told_apart)
    return [replace(each, title=title) for each, title in zip(joined, titles, strict=True)]


def comparable_key(network: NetworkRecord, setting: RunSetting, *, code: bool = True, across: bool = False) -> tuple[object, ...]:
    """What two measurements must share to be comparable: an architecture that the user named counts whatever its code.

    Args:
        network: Of a measurement.
        setting: Of its run.
        code: Whether the code of the network matters; False tells whether it is all that differs.
        across: Whether only the images and the precision matter.
    """
    if across:
        return (setting.fingerprint, setting.precision)
    shared = {name: getattr(network, name) for name in SHARED} | {"architecture": network.design}
    if not code or network.architecture_label is not None:
        del shared["code"]
    return (*shared.values(), setting.fingerprint, setting.precision)


def _group(stored: Sequence[Stored], series: Series, series_of: Mapping[Condition, Series], noise_version: int) -> Group:
    networks: dict[NetworkId, list[Stored]] = {}
    for entry in stored:
        networks.setdefault(entry.cell.network.id, []).append(entry)
    measured = []
    for entries in networks.values():
        corrupted = [entry for entry in entries if entry.cell.condition != CLEAN]
        at_profile = [
            entry
            for entry in corrupted
            if series_of[entry.cell.condition] == series and is_drawn_by(entry.cell.condition, noise_version)
        ]
        if (
            at_profile or not corrupted
        ):  # with clean cells only, the rest is missing; cells of another profile only belong to that group
            clean = [entry for entry in entries if entry.cell.condition == CLEAN]
            cells = {entry.cell.pass_: entry for entry in clean + at_profile}
            measured.append(NetworkResults(network=entries[0].cell.network, cells=cells))
    activations = in_order(one.network.activation for one in measured)
    setups = list(dict.fromkeys(one.variant.setup for one in measured))
    measured.sort(
        key=lambda one: (
            activations.index(one.network.activation),
            one.network.alpha or 0.0,
            setups.index(one.variant.setup),
            _seed_order(one.network),
        )
    )
    setting = stored[0].setting
    return Group(
        fingerprint=setting.fingerprint,
        precision=setting.precision,
        profile=series.profile,
        noise_version=noise_version,
        jpeg=series.jpeg,
        source=series.source,
        data=tuple(sorted({entry.setting.data for entry in stored})),
        images=setting.images,
        dataset_images=setting.dataset_images,
        resized=setting.resize is not None or setting.crop is not None,
        assumed=tuple(dict.fromkeys(statement for entry in stored for statement in entry.setting.assumed)),
        networks=tuple(measured),
        passes=tuple(dict.fromkeys(entries for one in measured for entries in one.cells)),
    )


def _seed_order(network: NetworkRecord) -> tuple[bool, int, str]:
    return network.training_seed is None, network.training_seed or 0, network.checkpoint


def require_complete_group(group: Group) -> None:
    """Refuse a group with missing cells.

    Raises:
        UserError: If cells are missing; lists them.
    """
    several = len(group.noise_seeds) > 1
    gaps = [
        (
            name,
            [
                f"{condition}{f' (noise seed {seed})' if several and seed is not None else ''}"
                for condition, seed in group.passes
                if (condition, seed) not in results.cells
            ],
        )
        for name, results in zip(group.names, group.networks, strict=True)
    ]
    require_complete(
        group.title,
        gaps,
        remedy="measure them, narrow the selection with --ckpt, --noise, --severity or --noise-seed, or show gaps with "
        "--allow-missing",
    )
