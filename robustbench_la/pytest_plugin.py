"""pytest plugin: one test per condition of a baseline, and a fixture, ``robustness_gate``. Imports nothing until one is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from robustbench_la.api.checking import CheckResult
    from robustbench_la.api.preparing import Data, Model
    from robustbench_la.gate.tolerances import Rules
    from robustbench_la.gate.verdict import Judgement, Verdict
    from robustbench_la.records.cells import Condition
    from robustbench_la.records.snapshot import Snapshot

_DEFAULT = "robustness-baseline.json"


@dataclass(frozen=True, slots=True)
class _Option:
    """An option of ``larobust check``, here ``--larobust-NAME``, and ``larobust_NAME`` in pytest's configuration file."""

    help: str
    kind: Literal["text", "words", "switch"] = "text"

    def add(self, name: str, group: pytest.OptionGroup, parser: pytest.Parser) -> None:
        """To the command line and to the configuration file."""
        if self.kind == "switch":
            group.addoption(f"--larobust-{name}", action="store_true", help=self.help)
        elif self.kind == "words":
            group.addoption(f"--larobust-{name}", metavar="VALUE", action="append", default=[], help=f"{self.help}; repeatable")
        else:
            group.addoption(f"--larobust-{name}", metavar="VALUE", help=self.help)
        kinds: Mapping[str, Literal["string", "linelist", "bool"]] = {"text": "string", "words": "linelist", "switch": "bool"}
        default: object = {"text": None, "words": [], "switch": False}[self.kind]
        parser.addini(_ini(name), self.help.replace("%%", "%"), type=kinds[self.kind], default=default)


OPTIONS: Mapping[str, _Option] = {
    "baseline": _Option(f"baseline to judge by (default {_DEFAULT})"),
    "ckpt": _Option("checkpoint to measure"),
    "results": _Option("store to take the results from, instead of measuring"),
    "max-drop": _Option("[NAME:]POINTS, the accuracy that may be lost (default 1.0)", "words"),
    "max-rise": _Option("fluctuation:N%%, how much the fluctuation may rise (default 10%%)", "words"),
    "alpha": _Option("significance level over all conditions (default 0.05)"),
    "strict": _Option("also fail if the images are too few to decide (default: skip)", "switch"),
    "noise": _Option("judge only this corruption", "words"),
    "severity": _Option("judge only this severity, or a range such as 1-3", "words"),
    "data": _Option("where the images of the baseline are on this machine"),
    "download": _Option("fetch the data first, where torchvision can", "switch"),
    "arch": _Option("architecture, if the checkpoint does not record it"),
    "as": _Option("what to call the architecture"),
    "exchange": _Option("OLD=NEW, activations to exchange in a network given by arch", "words"),
    "key": _Option("which weights, if the checkpoint holds several"),
    "trust-file": _Option("also load pickled networks and TorchScript, which runs code in the file", "switch"),
    "allow-stochastic": _Option("accept a network whose answer depends on chance or on other images", "switch"),
    "activation": _Option("activation, if the checkpoint does not record it"),
    "layeract-alpha": _Option("LayerAct's alpha, if the checkpoint does not record it"),
    "normalize": _Option("normalization, if the checkpoint does not record it"),
    "preprocess": _Option("FILE.py:NAME, your own preprocessing in place of a normalization"),
    "frost-textures": _Option("folder with the published photographs of frost, if they are not installed"),
    "labels": _Option("file whose line i names the class folder of output i"),
    "label-map": _Option("name of a list of labels that comes with larobust"),
    "device": _Option("auto, cpu, cuda ..."),
    "batch-size": _Option("images per batch"),
    "allow-missing-baseline": _Option("judge nothing if there is no baseline yet", "switch"),
}
_COLLECT = "larobust_collect"
_PLAN_NAMES = {"as": "arch_label"}
"""Options whose setting has another name."""


def _ini(name: str) -> str:
    return "larobust_" + name.replace("-", "_")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of ``larobust check`` that say what is judged, and how."""
    group = parser.getgroup("larobust", "robustness of a checkpoint against a baseline; ckpt or results collects its tests")
    for name, option in OPTIONS.items():
        option.add(name, group, parser)
    parser.addini(_COLLECT, "collect one test per condition of the baseline in every run", type="bool", default=False)


@pytest.hookimpl(tryfirst=True)  # before -k and -m deselect
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add one test per condition if the command line says what to judge, or the configuration file asks for it.

    Other options alone are for tests with the fixture; where there are none, they ask for the tests of the baseline as well.
    """
    given = {name for name in OPTIONS if config.getoption(f"--larobust-{name}")}
    for_the_fixture = any("robustness_gate" in getattr(item, "fixturenames", ()) for item in items)
    if given & {"ckpt", "results"} or config.getini(_COLLECT) or (given and not for_the_fixture):
        name = _option(config, "baseline") or _DEFAULT
        gate = Gate.from_parent(session, name=name, nodeid=name)
        tests: list[pytest.Item | pytest.Collector] = list(gate.collect())
        # Reported as collected, so that pytest counts them.
        config.hook.pytest_collectreport(report=pytest.CollectReport(gate.nodeid, "passed", None, tests))
        items.extend(test for test in tests if isinstance(test, pytest.Item))


def _option(config: pytest.Config, name: str) -> Any:
    """As given on the command line, else in the configuration file; None, False or empty if in neither."""
    return config.getoption(f"--larobust-{name}") or config.getini(_ini(name))


def _settings(config: pytest.Config, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The options that were given, except those that only say how to judge, by the names of settings."""
    judging = ("baseline", "max-drop", "max-rise", "alpha", "strict", "noise", "severity", "allow-missing-baseline", *without)
    given = {name: _option(config, name) for name in OPTIONS if name not in judging}
    given["layeract-alpha"] = _number(config, "layeract-alpha")
    return {_PLAN_NAMES.get(name, name.replace("-", "_")): value for name, value in given.items() if value or _is_zero(value)}


def _is_zero(value: object) -> bool:
    """Whether a value is the number 0, which is as false as an option that was not given."""
    return value == 0 and value is not False


def _number(config: pytest.Config, name: str, default: float | None = None) -> float | None:
    """The value of an option that takes a number."""
    from robustbench_la.errors import UserError

    word = _option(config, name)
    try:
        return float(word) if word else default
    except ValueError:
        raise UserError(f"--larobust-{name} takes a number, not {word!r}") from None


@pytest.fixture(scope="session")
def robustness_gate(request: pytest.FixtureRequest) -> Callable[..., CheckResult]:
    """Judge a network by the baseline: ``robustness_gate(model)``.

    It takes what ``robustbench_la.check`` takes, with the plugin's options as defaults, and the checkpoint of ``--larobust-ckpt``
    if no model is given. It fails the test on a regression, skips it if the images are too few to decide or there is
    no baseline yet and that is allowed, and otherwise returns the result.
    """
    config = request.config

    def judge(model: Model | None = None, data: Data | None = None, **settings: Any) -> CheckResult:
        import robustbench_la
        from robustbench_la.errors import UserError
        from robustbench_la.files import is_missing
        from robustbench_la.gate import report

        given = _settings(config, without=("results", "ckpt", "data"))
        given |= {"baseline": _option(config, "baseline") or _DEFAULT, "strict": bool(_option(config, "strict"))}
        given |= {"alpha": _number(config, "alpha", 0.05), "max_drop": _option(config, "max-drop")}
        given |= {
            "max_rise": _option(config, "max-rise"),
            **{name: _option(config, name) or None for name in ("noise", "severity")},
        }
        given |= settings
        if model is None and _option(config, "results"):
            raise UserError(
                "robustness_gate measures, so larobust_results would have no effect; give it a model, or drop that option"
            )
        one = model if model is not None else _option(config, "ckpt")
        if one is None:
            raise UserError("nothing to judge; give robustness_gate a model, or pytest --larobust-ckpt")
        if _option(config, "allow-missing-baseline") and is_missing(Path(given["baseline"])):
            pytest.skip(f"there is no baseline yet: {given['baseline']}")
        result = robustbench_la.check(one, data if data is not None else _option(config, "data"), **given)
        _fail_or_skip(result.verdict.judgements, result.verdict, strict=result.strict, explain=report.explain)
        return result

    return judge


def _fail_or_skip(
    judgements: tuple[Judgement, ...], verdict: Verdict, *, strict: bool, explain: Callable[[Judgement], str]
) -> None:
    """Fail the running test if one of the judgements fails the gate, skip it if one is undecided."""
    if failing := [one for one in verdict.failing(strict=strict) if one in judgements]:
        raise RegressionError("\n".join(map(explain, failing)))
    if undecided := [one for one in judgements if one.outcome in ("inconclusive", "arithmetic")]:
        pytest.skip("; ".join(f"{one.outcome}: {explain(one)}" for one in undecided))


class Gate(pytest.Collector):
    """All conditions of a baseline, measured together when the first of their tests runs."""

    _outcome: Verdict | Exception | None = None
    only: Callable[[Condition], bool] | None = None
    """Which conditions are judged; None for all."""

    def collect(self) -> Iterator[pytest.Item]:
        """One test per condition, one for the mean, and one for the fluctuation under each noise."""
        from robustbench_la.errors import UserError
        from robustbench_la.files import is_missing
        from robustbench_la.gate import baseline, judge
        from robustbench_la.gate.from_store import TELLING
        from robustbench_la.gate.selection import only_these
        from robustbench_la.gate.tolerances import parse_rules
        from robustbench_la.store.filters import select

        config = self.config
        if _option(config, "allow-missing-baseline") and is_missing(Path(self.name)):
            return
        try:
            self.given = _settings(config)
            if not {"ckpt", "results"} & self.given.keys():
                raise UserError("nothing to judge; give --larobust-ckpt or --larobust-results")
            idle = [f"--larobust-{name.replace('_', '-')}" for name in self.given if name not in (*TELLING, "ckpt", "results")]
            if idle and "results" in self.given:
                raise UserError(f"--larobust-results measures nothing, so {', '.join(idle)} would have no effect")
            noise, severity = _option(config, "noise"), _option(config, "severity")
            drops, rises = _option(config, "max-drop"), _option(config, "max-rise")
            self.rules: Rules = parse_rules(drops, rises, self.alpha, lambda: baseline.corruptions_in(Path(self.name)))
            self.known: Snapshot = baseline.read_baseline(Path(self.name))
            if noise or severity:
                self.only = only_these(select(noise=noise, severities=severity, of=self.known.corruptions))
            judge.check_rules(self.known, self.rules, self.only)
        except UserError as error:
            raise pytest.UsageError(f"larobust: {error}") from None
        for name in judge.names(self.known, self.only):
            yield Judged.from_parent(self, name=name)

    @property
    def alpha(self) -> float:
        """The significance level."""
        return _number(self.config, "alpha", 0.05) or 0.0

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
        from robustbench_la.gate import from_store, judge
        from robustbench_la.gate.selection import to_measure
        from robustbench_la.images.normalization import canonical

        given = dict(self.given)
        ckpt, results = given.pop("ckpt", None), given.pop("results", None)
        if results is not None:
            if "normalize" in given:
                given["normalize"] = canonical(given["normalize"])
            stored = from_store.from_store(Path(results), self.known, ckpt, given)
            return judge.judge(self.known, stored, self.rules, only=self.only)
        from robustbench_la.measuring import for_gate  # torch: only where something is measured

        download = bool(given.pop("download", False))
        known = to_measure(self.known, self.only)
        ready = for_gate.prepare_by_baseline(known, {**given, "checkpoints": [ckpt]}, download=download)
        measured = for_gate.measure_snapshot(ready, fluctuation=bool(known.fluctuations), said={})
        return judge.judge(self.known, measured, self.rules, only=self.only)


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
        _fail_or_skip((judgement,), verdict, strict=bool(_option(self.config, "strict")), explain=report.explain)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """One line for errors whose traceback says nothing more."""
        from robustbench_la.errors import UserError
        from robustbench_la.wording import in_pytest

        if isinstance(excinfo.value, UserError):
            return in_pytest(str(excinfo.value), OPTIONS)
        if isinstance(excinfo.value, RegressionError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[str, int | None, str]:
        """The place of the test: the baseline file."""
        return self.parent.name if self.parent else "", None, f"larobust: {self.name}"


class RegressionError(AssertionError):
    """A condition got worse by more than its tolerance."""
