"""pytest plugin: one test for each condition of a baseline. Does nothing, and imports nothing, unless it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from robustbench_la.gate import Verdict
    from robustbench_la.snapshot import Snapshot

_REPEATABLE = ("max-drop", "max-rise")
_OPTIONS = {
    "ckpt": "checkpoint to measure",
    "results": "store to judge from, in place of measuring",
    "data": "where the baseline's images lie on this machine",
    "arch": "architecture, where the checkpoint does not tell",
    "activation": "activation, where the checkpoint does not tell",
    "normalize": "normalization, where the checkpoint does not tell",
    "device": "auto, cpu, cuda ...",
    "max-drop": "[NAME:]POINTS of accuracy that may be lost (1.0); repeatable",
    "max-rise": "fluctuation:N%%, by how much it may rise (10%%)",
    "alpha": "level of significance over all conditions (0.05)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of ``larobust check``."""
    group = parser.getgroup("larobust", "robustness of a checkpoint against a baseline")
    group.addoption("--larobust-baseline", metavar="FILE", help="collect one test for each condition of this baseline")
    for name, text in _OPTIONS.items():
        if name in _REPEATABLE:
            group.addoption(f"--larobust-{name}", metavar="VALUE", action="append", default=[], help=text)
        else:
            group.addoption(f"--larobust-{name}", metavar="VALUE", help=text)
    group.addoption("--larobust-strict", action="store_true", help="fail also where a fall is inconclusive (otherwise: skip)")


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the conditions, where a baseline is given."""
    if config.getoption("--larobust-baseline") is not None:
        name = config.getoption("--larobust-baseline")
        items.extend(Gate.from_parent(session, name=name, nodeid=name).collect())


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"--larobust-{name}")


class Gate(pytest.Collector):
    """All conditions of a baseline, measured together the first time that one is asked for."""

    _found: Verdict | Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One test a condition, one for the mean, one for the fluctuation under each noise."""
        from pathlib import Path

        from robustbench_la import baseline, gate
        from robustbench_la.errors import UserError
        from robustbench_la.rules import parse_rules

        option = self.config.getoption
        try:
            if (option("--larobust-ckpt") or option("--larobust-results")) is None:
                raise UserError("say what to judge with --larobust-ckpt or --larobust-results")
            parse_rules(option("--larobust-max-drop"), option("--larobust-max-rise"), self.alpha)
            self.known: Snapshot = baseline.read(Path(option("--larobust-baseline")))
        except UserError as error:
            raise pytest.UsageError(f"larobust: {error}") from None
        for name in gate.names(self.known):
            yield Judged.from_parent(self, name=name)

    @property
    def alpha(self) -> float:
        """The level of significance."""
        from robustbench_la.errors import UserError

        word = _option(self.config, "alpha")
        try:
            return 0.05 if word is None else float(word)
        except ValueError:
            raise UserError(f"--larobust-alpha is a number, not {word!r}") from None

    def verdict(self) -> Verdict:
        """Measured once, also where that fails."""
        if self._found is None:
            from robustbench_la.errors import UserError

            try:
                self._found = self._judge()
            except UserError as error:
                self._found = error
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def _judge(self) -> Verdict:
        from pathlib import Path

        from robustbench_la import gate, snapshot
        from robustbench_la.rules import parse_rules

        config = self.config
        rules = parse_rules(_option(config, "max-drop"), _option(config, "max-rise"), self.alpha)
        ckpt, results = _option(config, "ckpt"), _option(config, "results")
        if results is not None:
            return gate.judge(self.known, snapshot.from_store(Path(results), self.known, ckpt), rules)
        from robustbench_la import remeasure

        flags = {name: _option(config, name) for name in ("data", "arch", "activation", "normalize", "device")}
        evaluation = remeasure.prepare(self.known, {**flags, "checkpoints": [ckpt]})
        return gate.judge(self.known, remeasure.measure(evaluation, fluctuation=bool(self.known.fluctuations), said={}), rules)


class Judged(pytest.Item):
    """One condition."""

    def runtest(self) -> None:
        """Fail where it regressed, skip where that is not clear."""
        from robustbench_la import report

        gate = self.parent
        assert isinstance(gate, Gate)
        verdict = gate.verdict()
        found = next((one for one in verdict.judgements if one.name == self.name), None)
        if found is None:
            pytest.skip(verdict.remarks[-1] if verdict.remarks else "not judged")
        if found in verdict.failing(strict=bool(_option(self.config, "strict"))):
            raise RegressionError(report.explain(found))
        if found.outcome == "inconclusive":
            pytest.skip(report.explain(found))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """A line, where there is nothing to trace."""
        from robustbench_la.errors import UserError

        if isinstance(excinfo.value, (RegressionError, UserError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """Where it stands: in the baseline."""
        return _option(self.config, "baseline"), None, f"larobust: {self.name}"


class RegressionError(AssertionError):
    """A condition became worse than its tolerance allows."""
