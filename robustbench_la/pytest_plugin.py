"""pytest plugin: one test per condition of a baseline. Does nothing, and imports nothing, unless one of its options is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from robustbench_la.gate.verdict import Verdict
    from robustbench_la.records.snapshot import Snapshot

_DEFAULT = "robustness-baseline.json"
_REPEATABLE = ("max-drop", "max-rise")
_OPTIONS = {
    "ckpt": "checkpoint to measure",
    "results": "store to take the results from, instead of measuring",
    "data": "where the images of the baseline are on this machine",
    "arch": "architecture, if the checkpoint does not record it",
    "activation": "activation, if the checkpoint does not record it",
    "layeract-alpha": "LayerAct's alpha, if the checkpoint does not record it",
    "normalize": "normalization, if the checkpoint does not record it",
    "device": "auto, cpu, cuda ...",
    "batch-size": "images per batch",
    "max-drop": "[NAME:]POINTS, the accuracy that may be lost (default 1.0); repeatable",
    "max-rise": "fluctuation:N%%, how much the fluctuation may rise (default 10%%)",
    "alpha": "significance level over all conditions (default 0.05)",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``larobust check`` that select what is judged, and how."""
    group = parser.getgroup("larobust", "robustness of a checkpoint against a baseline")
    group.addoption(
        "--larobust-baseline", metavar="FILE", help=f"collect one test per condition of this baseline (default {_DEFAULT})"
    )
    for name, text in _OPTIONS.items():
        if name in _REPEATABLE:
            group.addoption(f"--larobust-{name}", metavar="VALUE", action="append", default=[], help=text)
        else:
            kind = float if name == "layeract-alpha" else str
            group.addoption(f"--larobust-{name}", metavar="VALUE", type=kind, help=text)
    group.addoption("--larobust-strict", action="store_true", help="also fail if a drop is inconclusive (default: skip)")


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test per condition if any of the plugin's options is given."""
    if any(_option(config, name) for name in ("baseline", "strict", *_OPTIONS)):
        name = _option(config, "baseline") or _DEFAULT
        gate = Gate.from_parent(session, name=name, nodeid=name)
        tests: list[pytest.Item | pytest.Collector] = list(gate.collect())
        # Reported as collected, so that pytest counts them.
        config.hook.pytest_collectreport(report=pytest.CollectReport(gate.nodeid, "passed", None, tests))
        items.extend(test for test in tests if isinstance(test, pytest.Item))


def _option(config: pytest.Config, name: str) -> Any:
    return config.getoption(f"--larobust-{name}")


class Gate(pytest.Collector):
    """All conditions of a baseline, measured together when the first of their tests runs."""

    _outcome: Verdict | Exception | None = None

    def collect(self) -> Iterator[pytest.Item]:
        """One test per condition, one for the mean, and one for the fluctuation under each noise."""
        from pathlib import Path

        from robustbench_la.errors import UserError
        from robustbench_la.gate import baseline, judge
        from robustbench_la.gate.tolerances import parse_rules

        config = self.config
        try:
            if (_option(config, "ckpt") or _option(config, "results")) is None:
                raise UserError("nothing to judge; give --larobust-ckpt or --larobust-results")
            unused = [f"--larobust-{name}" for name in ("data", "device", "batch-size") if _option(config, name) is not None]
            if unused and _option(config, "results") is not None:
                raise UserError(f"--larobust-results measures nothing, so {', '.join(unused)} would have no effect")
            self.rules = parse_rules(_option(config, "max-drop"), _option(config, "max-rise"), self.alpha)
            self.known: Snapshot = baseline.read_baseline(Path(self.name))
            judge.check_rules(self.known, self.rules)
        except UserError as error:
            raise pytest.UsageError(f"larobust: {error}") from None
        for name in judge.names(self.known):
            yield Judged.from_parent(self, name=name)

    @property
    def alpha(self) -> float:
        """The significance level."""
        from robustbench_la.errors import UserError

        word = _option(self.config, "alpha")
        try:
            return 0.05 if word is None else float(word)
        except ValueError:
            raise UserError(f"--larobust-alpha takes a number, not {word!r}") from None

    def verdict(self) -> Verdict:
        """The verdict, measured once; if that fails, every test raises the same error."""
        if self._outcome is None:
            try:
                self._outcome = self._judge()
            except Exception as error:
                self._outcome = error
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

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
        from robustbench_la.measuring import for_gate  # torch: only where something is measured

        where = {name: _option(config, name.replace("_", "-")) for name in ("data", "device", "batch_size")}
        ready = for_gate.prepare_by_baseline(self.known, {**network, **where, "checkpoints": [ckpt]})
        measured = for_gate.measure_snapshot(ready, fluctuation=bool(self.known.fluctuations), said={})
        return judge.judge(self.known, measured, self.rules)


class Judged(pytest.Item):
    """One condition."""

    def runtest(self) -> None:
        """Fail on a regression, skip if the result is inconclusive."""
        from robustbench_la.gate import report

        gate = self.parent
        assert isinstance(gate, Gate)
        verdict = gate.verdict()
        judgement = next((judgement for judgement in verdict.judgements if judgement.name == self.name), None)
        if judgement is None:
            pytest.skip("; ".join(remark for remark in verdict.remarks if "judged" in remark) or "not measured, so not judged")
        if judgement in verdict.failing(strict=bool(_option(self.config, "strict"))):
            raise RegressionError(report.explain(judgement))
        if judgement.outcome in ("inconclusive", "arithmetic"):
            pytest.skip(f"{judgement.outcome}: {report.explain(judgement)}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One line for errors whose traceback says nothing more."""
        from robustbench_la.errors import UserError

        if isinstance(excinfo.value, (RegressionError, UserError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """The place of the test: the baseline file."""
        return self.parent.name if self.parent else "", None, f"larobust: {self.name}"


class RegressionError(AssertionError):
    """A condition got worse by more than its tolerance."""
