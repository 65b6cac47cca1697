"""pytest plugin: one test for each condition of a baseline. Does nothing, and imports nothing, unless it is asked to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from robustbench_la.gate.verdict import Verdict
    from robustbench_la.records.answers import Snapshot

_DEFAULT = "robustness-baseline.json"
_REPEATABLE = ("max-drop", "max-rise")
_OPTIONS = {
    "ckpt": "checkpoint to measure",
    "results": "store to judge from, in place of measuring",
    "data": "where the baseline's images lie on this machine",
    "arch": "architecture, where the checkpoint does not tell",
    "activation": "activation, where the checkpoint does not tell",
    "layeract-alpha": "LayerAct's alpha, where the checkpoint does not tell",
    "normalize": "normalization, where the checkpoint does not tell",
    "device": "auto, cpu, cuda ...",
    "batch-size": "images at a time",
    "max-drop": "[NAME:]POINTS of accuracy that may be lost (1.0); repeatable",
    "max-rise": "fluctuation:N%%, by how much it may rise (10%%)",
    "alpha": "level of significance over all conditions (0.05)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Those options of ``larobust check`` that say what is judged, and how."""
    group = parser.getgroup("larobust", "robustness of a checkpoint against a baseline")
    group.addoption(
        "--larobust-baseline", metavar="FILE", help=f"collect one test for each condition of this baseline ({_DEFAULT})"
    )
    for name, text in _OPTIONS.items():
        if name in _REPEATABLE:
            group.addoption(f"--larobust-{name}", metavar="VALUE", action="append", default=[], help=text)
        else:
            kind = float if name == "layeract-alpha" else str
            group.addoption(f"--larobust-{name}", metavar="VALUE", type=kind, help=text)
    group.addoption("--larobust-strict", action="store_true", help="fail also where a fall is inconclusive (otherwise: skip)")


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the conditions, where any option of larobust's is given."""
    if any(_option(config, name) for name in ("baseline", "strict", *_OPTIONS)):
        name = _option(config, "baseline") or _DEFAULT
        gate = Gate.from_parent(session, name=name, nodeid=name)
        found: list[pytest.Item | pytest.Collector] = list(gate.collect())
        config.hook.pytest_collectreport(report=pytest.CollectReport(gate.nodeid, "passed", None, found))  # so that they count
        items.extend(one for one in found if isinstance(one, pytest.Item))


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"--larobust-{name}")


class Gate(pytest.Collector):
    """All conditions of a baseline, measured together the first time that one is asked for."""

    _found: Verdict | Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One test a condition, one for the mean, one for the fluctuation under each noise."""
        from pathlib import Path

        from robustbench_la.errors import UserError
        from robustbench_la.gate import baseline, judge
        from robustbench_la.gate.rules import parse_rules

        config = self.config
        try:
            if (_option(config, "ckpt") or _option(config, "results")) is None:
                raise UserError("say what to judge with --larobust-ckpt or --larobust-results")
            idle = [f"--larobust-{name}" for name in ("data", "device", "batch-size") if _option(config, name) is not None]
            if idle and _option(config, "results") is not None:
                raise UserError(f"--larobust-results measures nothing, so {', '.join(idle)} would do nothing")
            self.rules = parse_rules(_option(config, "max-drop"), _option(config, "max-rise"), self.alpha)
            self.known: Snapshot = baseline.read_baseline(Path(self.name))
            judge.check_rules(self.known, self.rules)
        except UserError as error:
            raise pytest.UsageError(f"larobust: {error}") from None
        for name in judge.names(self.known):
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
            try:
                self._found = self._judge()
            except Exception as error:
                self._found = error
        if isinstance(self._found, Exception):
            raise self._found
        return self._found

    def _judge(self) -> Verdict:
        from pathlib import Path

        from robustbench_la.gate import from_store, judge
        from robustbench_la.images.normalization import canonical

        config = self.config
        ckpt, results = _option(config, "ckpt"), _option(config, "results")
        words = {"layeract_alpha": "layeract-alpha", **{name: name for name in ("arch", "activation", "normalize")}}
        network = {name: value for name, word in words.items() if (value := _option(config, word)) is not None}
        if results is not None:
            if "normalize" in network:
                network["normalize"] = canonical(network["normalize"])
            return judge.judge(self.known, from_store.from_store(Path(results), self.known, ckpt, network), self.rules)
        from robustbench_la.measuring import answers  # torch: only where something is measured

        where = {name: _option(config, name.replace("_", "-")) for name in ("data", "device", "batch_size")}
        evaluation = answers.prepare_by_baseline(self.known, {**network, **where, "checkpoints": [ckpt]})
        measured = answers.measure_snapshot(evaluation, fluctuation=bool(self.known.fluctuations), said={})
        return judge.judge(self.known, measured, self.rules)


class Judged(pytest.Item):
    """One condition."""

    def runtest(self) -> None:
        """Fail where it regressed, skip where that is not clear."""
        from robustbench_la.gate import report

        gate = self.parent
        assert isinstance(gate, Gate)
        verdict = gate.verdict()
        found = next((one for one in verdict.judgements if one.name == self.name), None)
        if found is None:
            pytest.skip("; ".join(remark for remark in verdict.remarks if "judged" in remark) or "not measured, so not judged")
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
        """Where it is defined: in the baseline."""
        return self.parent.name if self.parent else "", None, f"larobust: {self.name}"


class RegressionError(AssertionError):
    """A condition became worse than its tolerance allows."""
