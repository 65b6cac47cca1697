"""What a caller in Python may expect of a library: nothing dropped in silence, no changed process, rows in the order given."""

from __future__ import annotations

import subprocess
import sys

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


def test_looking_at_a_network_does_not_import_the_compiler_of_torch() -> None:
    """It takes seconds, in every process."""
    code = (
        "import sys, torch\n"
        "from robustbench_la.measuring.probe import Probe\n"
        "from robustbench_la.models.architectures import NetworkSpec\n"
        "from robustbench_la.models.build import build\n"
        "from robustbench_la.models.unallocated import unallocated\n"
        "spec = NetworkSpec(architecture='resnet20', classes=10, channels=3, height=32, width=32)\n"
        "with unallocated():\n"
        "    sketch = build(spec, 'relu')\n"
        "assert all(weights.is_meta for weights in sketch.state_dict().values())\n"
        "with Probe(build(spec, 'relu'), lambda *_: None).watching():\n"
        "    pass\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.stdout == "False\n", done.stderr
