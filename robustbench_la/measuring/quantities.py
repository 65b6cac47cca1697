"""What can be measured and kept in a store: how networks classify, and how much their activations move."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from robustbench_la.measuring.accuracy import measure_cells
from robustbench_la.measuring.fluctuation import conditions_of, measure_layers
from robustbench_la.measuring.layer_pass import FluctuationOptions
from robustbench_la.measuring.layer_totals import Sample
from robustbench_la.measuring.session import Evaluation, key_of
from robustbench_la.models.checkpoints.network import Network
from robustbench_la.progress import Meter
from robustbench_la.records.cells import Cell, Key, RunSetting
from robustbench_la.records.layers import NetworkFluctuation
from robustbench_la.records.packing import pack_classes
from robustbench_la.store import layer_rows
from robustbench_la.store.schema import Selection
from robustbench_la.store.store import Store

Record = TypeVar("Record")


class Quantity(Protocol[Record]):
    """Something that is measured of each network under each condition, one record for each pass."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """What there is to measure, in the order in which it is shown."""

    def key(self, record: Record) -> Key:
        """What a record is a measurement of."""

    def named(self, record: Record, checkpoint: str) -> Record:
        """A record of the network as it is called now; it may have had another name when it was measured."""

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[Record]:
        """Measure what is not ``known``; a record comes as soon as it is finished."""

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, Record]:
        """What a store holds of it that answers the question."""

    def keeper(self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool) -> Callable[[Record], object]:
        """What puts a record into a store, in one transaction. replace: in the place of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How networks classify: counts, losses and calibration, and the predicted class of each image."""

    predictions: bool = False
    """Whether cells that are read from a store bring their predictions, which take a hundred times the memory of all else."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """By pass, then network."""
        return [
            (network, key_of(network, condition, seed))
            for condition, seed in evaluation.passes
            for network in evaluation.networks
        ]

    def key(self, record: Cell) -> Key:
        """Of the cell."""
        return record.key

    def named(self, record: Cell, checkpoint: str) -> Cell:
        """The cell under another name of its network."""
        return dataclasses.replace(record, network=dataclasses.replace(record.network, checkpoint=checkpoint))

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[Cell]:
        """See ``measure_cells``."""
        return measure_cells(evaluation, known=known, meter=meter)

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, Cell]:
        """All cells on the same images in the same precision."""
        cells = store.cells(_same_images(setting), predictions=self.predictions)
        return {stored.cell.key: stored.cell for stored in cells}

    def keeper(self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool) -> Callable[[Cell], object]:
        """Puts a cell into a store, with the labels of the images."""
        labels = pack_classes(evaluation.images.labels)
        return lambda cell: store.add(setting, [cell], labels=labels, replace=replace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fluctuation:
    """How much the activations of networks move under noise, layer by layer."""

    options: FluctuationOptions = field(default_factory=FluctuationOptions)
    activation_means: bool = False
    """Whether the mean activation of each element is kept; a store does not hold it, so everything is measured."""

    def wanted(self, evaluation: Evaluation) -> list[tuple[Network, Key]]:
        """By network, then noise seed, then condition."""
        return [
            (network, key_of(network, condition, seed))
            for network in evaluation.networks
            for seed in evaluation.seeds
            for condition in conditions_of(evaluation, self.options)
        ]

    def key(self, record: NetworkFluctuation) -> Key:
        """Of its first layer: all layers have the same."""
        return record.layers[0].key

    def named(self, record: NetworkFluctuation, checkpoint: str) -> NetworkFluctuation:
        """The fluctuation under another name of its network."""
        network = dataclasses.replace(record.layers[0].network, checkpoint=checkpoint)
        layers = tuple(dataclasses.replace(layer, network=network) for layer in record.layers)
        return dataclasses.replace(record, layers=layers)

    def measure(self, evaluation: Evaluation, known: Container[Key], meter: Meter) -> Iterator[NetworkFluctuation]:
        """See ``measure_layers``; one noise seed after the other."""
        for seed in evaluation.seeds:
            one_seed = dataclasses.replace(evaluation, seed=seed, noise_seeds=1)
            for record in measure_layers(one_seed, self.options, known=known, meter=meter):
                yield record if self.activation_means else dataclasses.replace(record, activation_means=())

    def read(self, store: Store, evaluation: Evaluation, setting: RunSetting) -> Mapping[Key, NetworkFluctuation]:
        """What was measured with the same threshold; where only the fluctuation is asked for, what was measured at all."""
        if self.activation_means:
            return {}
        rows = (row for _, row in store.layers(_same_images(setting)))
        keys = {key for _, key in self.wanted(evaluation)}
        stored = layer_rows.networks(rows, Sample(evaluation.images.ids).ids, keys)
        if self.options.only is not None:
            return {key: layer_rows.alone(one) for key, one in stored.items()}
        return {key: one for key, one in stored.items() if one.threshold == self.options.threshold}

    def keeper(
        self, store: Store, evaluation: Evaluation, setting: RunSetting, *, replace: bool
    ) -> Callable[[NetworkFluctuation], object]:
        """Puts all layers of a network into a store, in the place of what is there, but never less in the place of more."""
        whole = self.options.only is None
        return lambda one: store.add_layers(setting, layer_rows.rows(one), replace=whole)


def _same_images(setting: RunSetting) -> Selection:
    return Selection(fingerprints=(setting.fingerprint,), precisions=(setting.precision,))
