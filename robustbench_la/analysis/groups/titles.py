"""Titles of groups and names of networks that tell them apart: where two would be the same, what differs is added."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from robustbench_la.records.networks import IDENTITY, NetworkRecord

if TYPE_CHECKING:
    from robustbench_la.records.cells import RunSetting

_DIGITS = 8
"""Of a SHA-256 that stands for what it is the digest of."""
_SAID = ("sha256", "architecture", "activation", "alpha")
"""Properties of a network that titles and tables show anyway, or in which networks of a group may differ."""


def _size(pixels: int | None, what: str) -> str:
    return f"not {what}" if pixels is None else f"{what} to {pixels:,} px"


def _digest(digest: object, what: str, without: str) -> str:
    return f"{what} {str(digest)[:_DIGITS]}" if digest else without


_WORDS: Mapping[str, Callable[[object], str]] = {
    "code": lambda digest: _digest(digest, "network code", "network code of larobust"),
    "recipe": lambda digest: _digest(digest, "training recipe", "training recipe unknown"),
    "normalization": lambda name: f"normalization {name}",
}
"""How a property of a network is said; others go by their name."""


def traits(network: NetworkRecord, setting: RunSetting, shared: Sequence[str]) -> dict[str, str]:
    """What a group of results has in common, in words, the most telling first.

    Args:
        network: Any network of the group.
        setting: Any setting of the group.
        shared: The properties that networks of a group share.

    Returns:
        Name of each property -> what to add to a title in which it matters.
    """
    networks = {name: getattr(network, name) for name in shared if name not in _SAID}
    return {
        **{name: _WORDS[name](value) if name in _WORDS else f"{name} {value}" for name, value in networks.items()},
        "resize": _size(setting.resize, "resized"),
        "crop": _size(setting.crop, "cropped"),
        "precision": setting.precision,
        "fingerprint": f"images {setting.fingerprint[:_DIGITS]}",
    }


def distinguished(titles: Sequence[str], traits_of: Sequence[Mapping[str, str]]) -> list[str]:
    """Titles of which no two are the same, if their traits differ at all.

    Args:
        titles: One per group.
        traits_of: The traits of each group, in the order in which they are preferred; later ones are only added where the titles
            are still the same without them.

    Returns:
        The titles; those that were the same are followed by what differs between them.

    >>> distinguished(["mlp", "mlp", "cnn"], [{"n": "half"}, {"n": "none"}, {"n": "half"}])
    ['mlp, half', 'mlp, none', 'cnn']
    """
    shown = list(titles)
    for name in dict.fromkeys(name for each in traits_of for name in each):
        same: dict[str, list[int]] = {}
        for index, title in enumerate(shown):
            same.setdefault(title, []).append(index)
        for indices in same.values():
            if len({traits_of[index].get(name) for index in indices}) > 1:
                for index in indices:
                    shown[index] += f", {traits_of[index].get(name)}"
    return shown


def named_apart(networks: Sequence[NetworkRecord]) -> list[str]:
    """The name of each network: its checkpoint, followed by what differs where several networks share it.

    >>> def network(sha256: str, normalization: str = "half") -> NetworkRecord:
    ...     return NetworkRecord(checkpoint="best.pt", sha256=sha256, architecture="mlp", activation="relu", alpha=None,
    ...                          normalization=normalization, activation_level="element", training_seed=None)
    >>> named_apart([network("a" * 64), network("b" * 64)]), named_apart([network("a" * 64)])
    (['best.pt (aaaaaaaa)', 'best.pt (bbbbbbbb)'], ['best.pt'])
    """

    def said(network: NetworkRecord, name: str) -> str:
        value = getattr(network, name)
        return str(value)[:_DIGITS] if name == "sha256" else _WORDS[name](value) if name in _WORDS else f"{name} {value}"

    distinct = list(dict.fromkeys(network.id for network in networks))
    records = [next(network for network in networks if network.id == identity) for identity in distinct]
    properties = ("activation", "alpha", *(name for name in IDENTITY if name not in ("activation", "alpha", "weights")))
    first = [network.checkpoint for network in records]
    shown = distinguished(first, [{name: said(network, name) for name in properties} for network in records])
    names = {
        identity: name if name == checkpoint else f"{checkpoint} ({name.removeprefix(f'{checkpoint}, ')})"
        for identity, name, checkpoint in zip(distinct, shown, first, strict=True)
    }
    return [names[network.id] for network in networks]


def stochastic_note(networks: Iterable[NetworkRecord]) -> list[str]:
    """What is said below a table of networks whose answers are not their own; empty if there is none."""
    names = list(dict.fromkeys(network.checkpoint for network in networks if network.stochastic))
    if not names:
        return []
    return [f"Stochastic ({', '.join(names)}): the answer to an image depends on chance or on the rest of its batch."]
