"""Converts the fluctuation of networks to rows of a store, and back."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from robustbench_la.errors import UserError, first_line
from robustbench_la.records.cells import Key, Record
from robustbench_la.records.layers import STATISTICS, LayerStats, NetworkFluctuation

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WHOLE = -1
"""Index of the row with the properties of the network as a whole."""
_COUNTS = ("function", "elements", "images")
"""What is kept for a layer besides its statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerRow(Record):
    """One layer of a network, or the network as a whole, as kept in a store."""

    layer: str
    index: int
    statistics: Mapping[str, Any]
    """Everything else: kept as JSON."""

    def as_dict(self) -> dict[str, Any]:
        """For JSON: flat."""
        columns = {**self.flat(), "layer": self.layer, "index": self.index}
        return columns | {name: value for name, value in self.statistics.items() if name not in columns}


def rows(one: NetworkFluctuation) -> list[LayerRow]:
    """One row per layer, and one for the network as a whole."""
    first = one.layers[0]
    whole: dict[str, Any] = {
        "images": first.images,
        "layers": len(one.layers),
        "threshold": one.threshold,
        "unreached": list(one.unreached),
        "skipped": list(one.skipped),
        "per_image": {name: _packed(values) for name, values in one.per_image.items()},
    }
    return [
        LayerRow(network=first.network, pass_=first.pass_, layer="", index=_WHOLE, statistics=whole),
        *(
            LayerRow(
                network=layer.network,
                pass_=layer.pass_,
                layer=layer.layer,
                index=layer.index,
                statistics={name: getattr(layer, name) for name in _COUNTS} | dict(layer.statistics),
            )
            for layer in one.layers
        ),
    ]


def networks(
    stored: Iterable[LayerRow], sample: NDArray[np.int64] | None, wanted: Container[Key] | None = None
) -> dict[Key, NetworkFluctuation]:
    """Reassemble what ``rows`` split up, without the activation means.

    Args:
        stored: Rows in any order; incomplete networks are left out.
        sample: Ids of the images whose individual values are kept; None if unknown, then these values are left out.
        wanted: Keys to reassemble; None for all.

    Returns:
        Key -> fluctuation of the network.

    Raises:
        UserError: If a row is damaged.
    """
    import numpy as np

    ids = np.empty(0, dtype=np.int64) if sample is None else sample
    wholes: dict[Key, Mapping[str, Any]] = {}
    layers: dict[Key, list[LayerStats]] = {}
    for row in stored:
        key = row.key
        if wanted is not None and key not in wanted:
            continue
        try:
            if row.index == _WHOLE:
                wholes[key] = row.statistics
            else:
                layers.setdefault(key, []).append(_layer(row))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"a layer of the store cannot be read ({first_line(error)})") from None
    try:
        return {
            key: NetworkFluctuation(
                layers=tuple(sorted(layers[key], key=lambda layer: layer.index)),
                threshold=whole["threshold"],
                unreached=tuple(whole["unreached"]),
                skipped=tuple(whole["skipped"]),
                sample=ids,
                per_image={}
                if sample is None
                else {name: _unpacked(packed, len(sample)) for name, packed in whole["per_image"].items()},
                activation_means=(),
            )
            for key, whole in wholes.items()
            if len(layers.get(key, ())) == whole["layers"]
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"a layer of the store cannot be read ({first_line(error)})") from None


def alone(one: NetworkFluctuation) -> NetworkFluctuation:
    """Reduce a record to what ``--only fluctuation`` would have measured."""
    kept = [name for name in STATISTICS if name.startswith("fluctuation")]
    return replace(
        one,
        layers=tuple(replace(layer, statistics={name: layer.statistics[name] for name in kept}) for layer in one.layers),
        threshold=None,
        per_image={"fluctuation": one.per_image["fluctuation"]},
        activation_means=(),
    )


def _layer(row: LayerRow) -> LayerStats:
    counts = {name: row.statistics[name] for name in _COUNTS}
    statistics = {name: row.statistics[name] for name in STATISTICS if name in row.statistics}
    numbers = all(value is None or (isinstance(value, (int, float)) and math.isfinite(value)) for value in statistics.values())
    if not numbers or not isinstance(counts["elements"], int):
        raise ValueError(f"statistics of {row.layer} under {row.condition}")
    return LayerStats(network=row.network, pass_=row.pass_, layer=row.layer, index=row.index, statistics=statistics, **counts)


def _packed(values: NDArray[np.float64]) -> str:
    """Numbers as compressed float32, in base64."""
    return base64.b64encode(zlib.compress(values.astype("<f4").tobytes(), level=6)).decode()


def _unpacked(packed: str, count: int) -> NDArray[np.float64]:
    import numpy as np

    stream = zlib.decompressobj()
    try:
        values = np.frombuffer(stream.decompress(base64.b64decode(packed), 4 * count + 1), dtype="<f4").astype(np.float64)
    except (ValueError, zlib.error) as error:
        raise UserError(f"a layer of the store cannot be read ({first_line(error)})") from None
    if len(values) != count:
        raise UserError(f"a layer of the store cannot be read (not the values of {count} images)")
    return values
