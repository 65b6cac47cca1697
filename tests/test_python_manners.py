"""What a caller in Python may expect of a library: nothing dropped in silence, no changed process, rows in the order given."""

from __future__ import annotations

import pytest
from torch import nn

import robustbench_la as la


def network(activation: type[nn.Module] = nn.SiLU) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), activation(), nn.Linear(16, 10))


def test_fresh_without_a_store_is_refused() -> None:
    for measure in (la.evaluate, la.fluctuation):
        with pytest.raises(ValueError, match=r"^fresh= would have no effect without store=$"):
            measure(network(), "digits", noise="gaussian", fresh=True, limit=8)


def test_ctrl_c_in_python_is_a_plain_keyboard_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    from robustbench_la.measuring import quantities

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quantities, "measure_cells", stopped)
    with pytest.raises(KeyboardInterrupt) as raised:
        la.evaluate(network(), "digits", noise="clean", limit=8)

    assert type(raised.value) is KeyboardInterrupt


def test_rows_are_in_the_order_of_the_callers_dictionary() -> None:
    names = ["z", "a", "m"]
    models = {name: network(activation) for name, activation in zip(names, (nn.SiLU, nn.ReLU, nn.SiLU), strict=True)}
    (table,) = la.evaluate(models, "digits", noise="clean", limit=8).tables()

    assert [row.values[0] for row in table.rows] == names
