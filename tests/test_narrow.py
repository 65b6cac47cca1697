"""What stands in a terminal of 80 columns: numbers for long names, and sentences that end between words."""

from __future__ import annotations

import io

import pytest

from robustbench_la.analysis.tables.table import Column, Row, Table
from robustbench_la.cli.streams import say
from robustbench_la.output.terminal import plain


def by_layer(names: list[str], columns: int) -> Table:
    labels = (Column(name="checkpoint", grouped=True), Column(name="activation", grouped=True), Column(name="layer"))
    numbers = tuple(Column(name=f"number {index}", kind="number") for index in range(columns))
    rows = [
        Row(values=(name, name[:4], layer, 1024, *(0.5 + index for index in range(columns))))
        for name in names
        for layer in ("act1", "act2")
    ]
    return Table(
        title="By layer", columns=(*labels, Column(name="D", kind="count", label=True), *numbers), rows=tuple(rows), notes=()
    )


NAMES = [f"{activation}_resnet20_lr0.05_wd5e-4_seed{seed}" for activation in ("silu", "relu") for seed in (1, 2)]


def test_names_that_head_several_rows_are_numbered_where_a_table_has_several_blocks() -> None:
    text = plain([by_layer(NAMES, 12)], width=80)
    lines = text.splitlines()

    assert [f"{number}: {name} ({name[:4]})" in lines for number, name in enumerate(NAMES, start=1)] == [True] * 4
    assert max(map(len, lines)) <= 80
    assert text.count("act1") == 2 * 4  # in two blocks
    assert text.count("1,024") == 8  # what tells no rows apart is not repeated


def test_a_table_that_fits_keeps_its_names() -> None:
    text = plain([by_layer(["a", "b"], 3)], width=80)

    assert "no." not in text
    assert "1:" not in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_sentences_are_wrapped_between_words_in_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown, piped = Terminal(), io.StringIO()
    sentence = "500 images of digits, 8x8 px, 1 channel; levels of profile cifar-c; noise seed 0."
    for stream in (shown, piped):
        say(sentence, on=stream)

    assert piped.getvalue() == f"{sentence}\n"
    assert max(map(len, shown.getvalue().splitlines())) <= 40
    assert shown.getvalue().split() == sentence.split()


def test_a_command_is_not_wrapped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    shown = Terminal()
    say("Next: larobust check --baseline baselines/robustness.json --ckpt NEW.pt", on=shown)

    assert len(shown.getvalue().splitlines()) == 1


def test_levels_of_corruptions_are_never_broken() -> None:
    """Not even where the five of them take several lines."""
    from corruptions import CORRUPTIONS
    from robustbench_la.cli.list_ import _corruptions

    shown = set(plain(_corruptions(), width=80).split())
    levels = {"/".join(f"{value:g}" for value in level) for entry in CORRUPTIONS.values() for level in entry.levels["imagenet-c"]}
    assert levels <= shown
