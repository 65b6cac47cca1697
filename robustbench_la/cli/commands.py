"""The table of the commands, with what ``larobust --help`` shows for each; imports none of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

ABOUT = "Is this image classifier robust to noise, and does its activation function matter?"
EXIT_CODES = (
    "Exit codes: 0 success; 1 a regression (only `check`); 2 a mistake in the input; 3 could not run here; 4 not comparable; "
    "5 nothing selected; 6 done, but without a checkpoint that could not be used; 130 interrupted; "
    "141 the reader of the output has gone."
)


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: its module, and its panel and summary in ``larobust --help``."""

    module: str
    panel: str
    summary: str
    """One line of at most 60 characters, so that 80 columns do not cut it."""


COMMANDS: Mapping[str, Entry] = MappingProxyType(
    {
        "eval": Entry("evaluate", "Measure", "Measure accuracy on clean and on corrupted images."),
        "fluctuation": Entry("fluctuation", "Measure", "Measure what noise does inside a network, layer by layer."),
        "preview": Entry("preview", "Measure", "Show images under corruptions, and what networks see."),
        "corrupt": Entry("corrupt", "Measure", "Write corrupted images, for other programs."),
        "results": Entry("results", "Results", "Show what has been measured."),
        "compare": Entry("compare", "Results", "Compare activations or checkpoints, with tests."),
        "plot": Entry("plot", "Results", "Draw a figure from the results."),
        "merge": Entry("merge", "Results", "Join the results of several machines."),
        "forget": Entry("forget", "Results", "Remove results."),
        "baseline": Entry("baseline", "Regression gate", "Record the robustness of a checkpoint for later checks."),
        "check": Entry("check", "Regression gate", "Judge a checkpoint by a baseline: exit code 1 if worse."),
        "train": Entry("train", "Train and try", "Train networks by a recipe."),
        "list": Entry("list_", "Train and try", "List corruptions, activations, architectures or datasets."),
        "quickstart": Entry("quickstart", "Train and try", "Train two small networks and compare them, in a minute."),
    }
)
