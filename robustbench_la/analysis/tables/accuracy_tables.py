"""The tables of `larobust eval`: accuracy of each checkpoint under each corruption. Produces data, not text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Self

from robustbench_la.activations import ACTIVATIONS, counterparts, in_order
from robustbench_la.analysis.groups.titles import named_apart, stochastic_note
from robustbench_la.analysis.groups.variants import Sort, copies_note, copies_of, pools_of, sorts_in_order, sorts_of
from robustbench_la.analysis.metrics.definitions import mean_note
from robustbench_la.analysis.metrics.means import MEAN, alike, mean
from robustbench_la.analysis.statistics.paired_tests import wilson
from robustbench_la.analysis.tables.table import Column, Estimate, Row, Table
from robustbench_la.records.cells import CLEAN, Cell, Pass
from robustbench_la.records.level_words import levels_in_words, severities_in_words, shared_severities
from robustbench_la.records.networks import NetworkId


def summary(cells: Sequence[Cell], *, about: str = "", as_given: bool = False) -> Table:
    """One row per checkpoint: accuracy on clean images, under each corruption (mean over severities), and over all corruptions.

    Layer-level activations come first, each followed by its element-level counterpart and their difference. A checkpoint that was
    not measured under every condition (an interrupted run) gets gaps, never a mean over an incomplete set of cells.

    Args:
        cells: Cells of any number of checkpoints.
        about: A sentence on images, levels and precision, shown below the table.
        as_given: Keep the checkpoints in the order of the cells, with the differences below them.

    Returns:
        The table, with accuracies as fractions.
    """
    conditions = list(dict.fromkeys(cell.condition for cell in cells))
    corruptions = list(dict.fromkeys(condition.corruption for condition in conditions if condition != CLEAN))
    wanted = _Wanted.of(cells, corruptions)
    names, pools = _names(cells), pools_of(cell.network for cell in cells)
    rows = [
        row
        for pool in dict.fromkeys(pools.values())
        for row in _rows([cell for cell in cells if pools[cell.network.id] == pool], pool, names, wanted)
    ]
    if as_given:
        places = {name: place for place, name in enumerate(dict.fromkeys(names[cell.network.id] for cell in cells))}
        rows.sort(key=lambda row: len(places) if row.is_difference else places[str(row.values[0])])
    columns = (
        Column(name="checkpoint"),
        Column(name="activation"),
        Column(name="level"),
        Column(name="clean", kind="percent", better="higher"),
        *(Column(name=corruption, kind="percent", better="higher") for corruption in corruptions),
        Column(name="mean corr.", kind="percent", better="higher"),
        Column(name="rel. drop", kind="percent", better="lower"),
    )
    interval, drop = (
        (", with its 95 % Wilson interval below the clean accuracy", " Rel. drop: (clean − mean corr.) / clean, in %.")
        if CLEAN in conditions
        else ("", "")
    )
    notes = (
        *([about] if about else []),
        f"Top-1 accuracy in %{interval}. Each corruption: {_levels(cells)}. "
        f"{mean_note(MEAN, conditions, corruptions, 'corruptions')}{drop}",
        *_pair_note(cell.network.activation for cell in cells),
        *copies_note(cell.network for cell in cells),
        *stochastic_note(cell.network for cell in cells),
    )
    return Table(title="Accuracy under corruption", columns=columns, rows=tuple(rows), notes=notes)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What every network of a table should have been measured under."""

    corruptions: Sequence[str]
    passes: Set[Pass]
    shared: Set[Pass]
    """Those that the mean over corruptions covers."""

    @classmethod
    def of(cls, cells: Sequence[Cell], corruptions: Sequence[str]) -> Self:
        """Of the cells of all networks."""
        passes = {cell.pass_ for cell in cells}
        measured = {name: [pass_.condition for pass_ in passes if pass_.condition.corruption == name] for name in corruptions}
        covered = {condition for own in alike(measured).values() for condition in own}
        return cls(corruptions, passes, {pass_ for pass_ in passes if pass_.condition in covered})


def _levels(cells: Sequence[Cell]) -> str:
    """What the number of a corruption is a mean over; names the levels of each where they are not the same severities."""
    conditions = list(dict.fromkeys(cell.condition for cell in cells))
    shared = shared_severities(conditions)
    levels = f"mean over {severities_in_words(shared) if shared else 'its levels'}"
    if len(seeds := {cell.noise_seed for cell in cells} - {None}) > 1:
        levels += f" and {len(seeds)} noise seeds"
    each = "" if shared else levels_in_words(conditions)
    return f"{levels} ({each})" if each else levels


def _rows(cells: Sequence[Cell], pool: str, names: Mapping[NetworkId, str], wanted: _Wanted) -> list[Row]:
    """The rows of networks that were built and trained alike.

    Args:
        cells: Of these networks.
        pool: What tells them from others, after their architecture.
        names: A name of each network.
        wanted: What each should have been measured under.
    """
    groups: dict[Sort, dict[str, list[Cell]]] = {}
    sorts = sorts_of(cell.network for cell in cells)
    copies = {names[copy] for copy in copies_of(cell.network for cell in cells)}
    for cell in cells:
        groups.setdefault(sorts[cell.network.id], {}).setdefault(names[cell.network.id], []).append(cell)
    measured = {
        sort: [_accuracies(checkpoint_cells, wanted) for checkpoint_cells in checkpoints.values()]
        for sort, checkpoints in groups.items()
    }
    rows: list[Row] = []
    ordered = sorts_in_order(groups)
    apart = pool.removeprefix(cells[0].network.design).removeprefix(", ")
    which = f" ({apart})" if apart else ""
    for sort in ordered:
        activation = sort.activation
        for (checkpoint, checkpoint_cells), values in zip(groups[sort].items(), measured[sort], strict=True):
            rows.append(
                Row(
                    values=(
                        checkpoint,
                        sort.label,
                        checkpoint_cells[0].network.activation_level,
                        _clean(checkpoint_cells),
                        *values[1:],
                    )
                )
            )
        sharing = [
            layer
            for layer in ordered
            if layer.activation in counterparts(activation) and ACTIVATIONS[activation].level == "element"
        ]
        for layer in sharing:
            over, under = (
                zip(*(values for own, values in zip(groups[name], measured[name], strict=True) if own not in copies), strict=True)
                for name in (layer, sort)
            )
            differences = [_difference(mean(first), mean(second)) for first, second in zip(over, under, strict=True)]
            rows.append(Row(values=(f"{layer.label} − {sort.label}{which}", "", "", *differences), is_difference=True))
    return rows


def _names(cells: Sequence[Cell]) -> dict[NetworkId, str]:
    """A name of each network, which no other has."""
    networks = list({cell.network.id: cell.network for cell in cells}.values())
    return {network.id: name for network, name in zip(networks, named_apart(networks), strict=True)}


def _pair_note(groups: Iterable[str]) -> tuple[str, ...]:
    names = set(groups)
    if not any(names.intersection(counterparts(name)) for name in names):
        return ()
    return (
        "Rows with −: layer-level activation minus its element-level counterpart, means over checkpoints, in percentage points; "
        "positive is better, except for rel. drop.",
    )


def detail(cells: Sequence[Cell]) -> Table:
    """One row per checkpoint and condition."""
    several = len({cell.noise_seed for cell in cells} - {None}) > 1
    names = _names(cells)
    rows = [
        Row(
            values=(
                checkpoint,
                cell.network.activation,
                cell.condition.corruption,
                cell.condition.severity if cell.condition.severity is not None else "custom",
                cell.condition.level,
                *([cell.noise_seed] if several else []),
                Estimate(cell.correct / cell.total, *wilson(cell.correct, cell.total)),
                None if cell.correct_top5 is None else cell.correct_top5 / cell.total,
                cell.nll_sum / cell.total,
                cell.correct,
                cell.total,
            )
        )
        for activation in in_order({cell.network.activation for cell in cells})
        for checkpoint in dict.fromkeys(names[cell.network.id] for cell in cells if cell.network.activation == activation)
        for cell in cells
        if names[cell.network.id] == checkpoint
    ]
    columns = (
        Column(name="checkpoint"),
        Column(name="activation"),
        Column(name="corruption"),
        Column(name="severity", kind="count", label=True),
        Column(name="level", kind="number", label=True),
        *([Column(name="noise seed", kind="count", label=True)] if several else []),
        Column(name="top-1", kind="percent", better="higher"),
        Column(name="top-5", kind="percent", better="higher"),
        Column(name="NLL", kind="number", better="lower"),
        Column(name="correct", kind="count", better="higher"),
        Column(name="images", kind="count"),
    )
    notes = ("Accuracies in %, top-1 with its 95 % Wilson interval; NLL: mean negative log-likelihood in nats.",)
    return Table(title="Every severity", columns=columns, rows=tuple(rows), notes=notes)


def _accuracies(cells: Sequence[Cell], wanted: _Wanted) -> tuple[float | None, ...]:
    """Accuracy on clean images, under each corruption and on average over them, and the relative drop; None for missing cells."""
    over_all, over_shared = _means(cells, wanted.passes), _means(cells, wanted.shared)
    clean = over_all.get(CLEAN.corruption)
    corrupted = mean(over_shared.get(name) for name in wanted.corruptions)
    drop = None if clean is None or corrupted is None or clean == 0 else (clean - corrupted) / clean
    return (clean, *map(over_all.get, wanted.corruptions), corrupted, drop)


def _means(cells: Sequence[Cell], wanted: Set[Pass]) -> dict[str, float]:
    """The mean accuracy under each corruption over those passes of it that are wanted, if none is missing."""
    names = [pass_.condition.corruption for pass_ in wanted]
    shares: dict[str, list[float]] = {}
    for cell in cells:
        if cell.pass_ in wanted:
            shares.setdefault(cell.condition.corruption, []).append(cell.correct / cell.total)
    return {name: sum(each) / len(each) for name, each in shares.items() if len(each) == names.count(name)}


def _difference(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _clean(cells: Sequence[Cell]) -> Estimate | None:
    """Accuracy on clean images."""
    clean = next((cell for cell in cells if cell.condition.corruption == "clean"), None)
    return None if clean is None else Estimate(clean.correct / clean.total, *wilson(clean.correct, clean.total))
