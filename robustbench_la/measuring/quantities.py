"""What can be measured and kept in a store: the accuracy of networks, and the fluctuation of their activations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.measuring.fluctuation import conditions_of, measure_layers
from robustbench_la.measuring.layer_options import FluctuationOptions
from robustbench_la.measuring.layer_totals import Sample
from robustbench_la.measuring.session import Evaluation, key_of
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.progress import Meter
from robustbench_la.records.cells import CLEAN, Cell, Key, RunSetting
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.records.packing import pack_classes
from robustbench_la.store import layer_rows
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store

Record = TypeVar("Record")


class Quantity(Protocol[Record]):
    """Something measured for each network under each condition, with one record per pass."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """What an evaluation consists of, in the order of output."""

    def key(self, record: Record) -> Key:
        """What a record is a measurement of."""

    def described(self, record: Record, network: NetworkRecord) -> Record:
        """The record with the current name of its network, and what is known about it now."""

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[Record]:
        """Measure everything except ``known``, yielding each record as soon as it is finished."""

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, Record]:
        """The records in a store that can be used for this evaluation."""

    def keeper(self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool) -> Callable[[Record], object]:
        """A function that writes one record into a store, in one transaction; ``replace``: overwrite an existing one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Accuracy: counts, losses and calibration, and the predicted class of each image."""

    predictions: bool = False
    """Whether to read all predictions from the store, which take a hundred times the memory of everything else; otherwise those
    of clean images, which show the order of the outputs."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """By pass, then network."""
        return [
            (network, key_of(network, condition, seed))
            for condition, seed in evaluation.passes
            for network in evaluation.networks
        ]

    def key(self, record: Cell) -> Key:
        """The key of the cell."""
        return record.key

    def described(self, record: Cell, network: NetworkRecord) -> Cell:
        """The cell of a network with another name, about which more is known."""
        return dataclasses.replace(record, network=_now(record.network, network))

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[Cell]:
        """See ``measure_cells``."""
        return measure_cells(evaluation, known=known, meter=meter)

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, Cell]:
        """All cells of these networks on the same images in the same precision."""
        selection = _at_hand(evaluation, setting)
        cells = store.cells(selection, predictions=self.predictions)
        if not self.predictions:
            cells += store.cells(dataclasses.replace(selection, corruptions=(CLEAN.corruption,)), predictions=True)
        return {stored.cell.key: stored.cell for stored in cells}

    def keeper(self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool) -> Callable[[Cell], object]:
        """A function that writes a cell, with the labels of the images."""
        labels = pack_classes(evaluation.images.labels)
        return lambda cell: store.add(setting, [cell], labels=labels, replace=replace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation:
    """How much the activations of networks fluctuate under noise, layer by layer."""

    options: FluctuationOptions = field(default_factory=FluctuationOptions)
    activation_means: bool = False
    """Whether to return the mean activation of each element; a store does not hold it, so everything is measured again."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """By network, then noise seed, then condition."""
        return [
            (network, key_of(network, condition, seed))
            for network in evaluation.networks
            for seed in evaluation.seeds
            for condition in conditions_of(evaluation, self.options)
        ]

    def key(self, record: NetworkFluctuation) -> Key:
        """The key that all its layers share."""
        return record.layers[0].key

    def described(self, record: NetworkFluctuation, network: NetworkRecord) -> NetworkFluctuation:
        """The record of a network with another name, about which more is known."""
        now = _now(record.layers[0].network, network)
        layers = tuple(dataclasses.replace(layer, network=now) for layer in record.layers)
        return dataclasses.replace(record, layers=layers)

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[NetworkFluctuation]:
        """See ``measure_layers``; one noise seed after another."""
        for seed in evaluation.seeds:
            one_seed = dataclasses.replace(evaluation, seed=seed, noise_seeds=1)
            for record in measure_layers(one_seed, self.options, known=known, meter=meter):
                yield record if self.activation_means else dataclasses.replace(record, activation_means=())

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, NetworkFluctuation]:
        """Records with the same threshold; if only the fluctuation is requested, all records."""
        if self.activation_means:
            return {}
        rows = (row for _, row in store.layers(_at_hand(evaluation, setting)))
        keys = {key for _, key in self.wanted(evaluation)}
        stored = layer_rows.networks(rows, Sample(evaluation.images.ids).ids, keys)
        if self.options.only is not None:
            return {key: layer_rows.alone(record) for key, record in stored.items()}
        return {key: record for key, record in stored.items() if record.threshold == self.options.threshold}

    def keeper(
        self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool
    ) -> Callable[[NetworkFluctuation], object]:
        """A function that writes all layers of a network, replacing existing ones unless those have more statistics."""
        complete = self.options.only is None
        return lambda record: store.add_layers(setting, layer_rows.rows(record), replace=complete)


def _now(before: NetworkRecord, network: NetworkRecord) -> NetworkRecord:
    """A network as it is known now; what only an earlier run knew about it, such as its training seed, is kept."""
    return dataclasses.replace(network, **{**before.known, **network.known})


def _at_hand(evaluation: Evaluation, setting: RunSetting) -> Selection:
    """What a store may hold of an evaluation. Without the networks, one would read the predictions of a whole study."""
    files = tuple(dict.fromkeys(network.sha256 for network in evaluation.networks))
    return Selection(fingerprints=(setting.fingerprint,), precisions=(setting.precision,), sha256=files)
