"""Settings in messages: every one that a message names is a flag of commands, and an argument where Python shows it."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

import robustbench_la as la
from robustbench_la.wording import as_flags, in_python

PACKAGE = Path(la.__file__).parent
OF_COMMANDS_ALONE = ("cli", "training", "pytest_plugin.py", "measuring/provenance.py")
"""What Python functions do not call; provenance calls git, with flags of git."""
WITHOUT_ARGUMENT = {"group", "format", "porcelain"}
"""Settings of figures and files that commands write."""


def messages() -> list[tuple[str, str]]:
    """Every text of the package that names a flag, except docstrings. With its file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        skipped |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) in skipped or name.startswith(OF_COMMANDS_ALONE) or name == "wording.py":
                continue
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else " " for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                text = node.value
            else:
                continue
            if re.search(r"(?<![\w-])--[a-z]", text):
                found.append((name, text))
    return found


def test_every_setting_that_a_message_names_is_an_argument_in_python() -> None:
    functions = (la.evaluate, la.fluctuation, la.preview, la.check, la.compare, la.open_store)
    arguments = {name for function in functions for name in inspect.signature(function).parameters}
    arguments |= {*la.MeasuringSettings.__annotations__, *la.NetworkSettings.__annotations__, *la.Filters.__annotations__}
    for file, message in messages():
        own_words = re.sub(r"larobust [a-z][^;)`]*", "", message)
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", own_words):
            name = in_python(flag, filters=file.startswith("analysis")).partition("=")[0]

            assert name in arguments | WITHOUT_ARGUMENT, (file, message)


@pytest.mark.parametrize(
    ("message", "worded"),
    [
        ("fails, but --strict fails that", "fails, but strict=True fails that"),
        ("take them with --key", "take them with key="),
        ("choose with --key ema", 'choose with key="ema"'),
        ("give a smaller --batch-size", "give a smaller batch_size="),
        ("--activation is relu, but it is silu; omit --activation", "activation= is relu, but it is silu; omit activation="),
        ("which has which: --ckpt 'runs/{activation}_seed{seed}.pt'", 'which has which: model="runs/{activation}_seed{seed}.pt"'),
        ("a table says which: --ckpt-table", 'a table says which: model="TABLE.csv"'),
        ("did you mean --noise fog --severity 3?", 'did you mean noise="fog", severity=3?'),
        ("`larobust eval --fresh`, --store FILE", '`larobust eval --fresh`, store="FILE"'),
    ],
)  # fmt: skip
def test_a_flag_with_its_value_is_an_argument_with_its_value(message: str, worded: str) -> None:
    assert in_python(message) == worded


def test_where_results_are_selected_the_filters_are_named() -> None:
    assert in_python("narrow it with --ckpt or --arch", filters=True) == "narrow it with checkpoint= or architecture="


def test_flags_of_a_suggested_command_can_be_pasted() -> None:
    flags = as_flags({"checkpoints": "my net.pt", "arch_label": "mine", "amp": False, "noise_seed": 0, "severity": ["1", "3"]})

    assert flags == " --ckpt 'my net.pt' --as mine --noise-seed 0 --severity 1 --severity 3"


def test_errors_and_notes_of_compare_name_arguments(tmp_path: Path) -> None:
    from robustbench_la.analysis.tables.table import Column, Row, Table
    from robustbench_la.api.comparing import Comparison

    table = Table(title="", columns=(Column(name="n"),), rows=(Row(values=(1,)),), notes=("give --as LABEL, --ckpt a.pt",))

    assert Comparison(compared=(table,)).tables()[0].notes == ('give arch_label="LABEL", checkpoint="a.pt"',)
    with pytest.raises(la.UserError, match=r'`larobust eval` writes them, store="FILE" selects another store'):
        la.compare(tmp_path / "none.sqlite")
