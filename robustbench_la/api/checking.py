"""``check``: is a network as robust as its baseline?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Unpack

from robustbench_la.api.display import ShownAsTables, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.preparing import evaluation_in_memory, meter_of, normalize_text, plain, sources
from robustbench_la.api.selecting import selection_of
from robustbench_la.api.settings import NetworkSettings, Numbers, Only, check_keywords
from robustbench_la.errors import UserError
from robustbench_la.wording import as_flags, in_python

if TYPE_CHECKING:
    import pandas as pd

    from robustbench_la.analysis.tables.table import Table
    from robustbench_la.api.preparing import Data, Model, Sources
    from robustbench_la.gate.tolerances import Rules
    from robustbench_la.gate.verdict import Judgement, Verdict
    from robustbench_la.measuring.session import Evaluation
    from robustbench_la.progress import Meter
    from robustbench_la.records.plan import EvaluationPlan
    from robustbench_la.records.snapshot import Snapshot

Tolerances: TypeAlias = float | str | Iterable[str] | Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class CheckResult(ShownAsTables):
    """The verdict of a check, displayed as ``larobust check`` prints it."""

    verdict: Verdict
    """The judgement of each condition, worst first."""
    strict: bool
    """Whether inconclusive judgements fail as well."""

    @property
    def passed(self) -> bool:
        """Whether no judgement fails. What is inconclusive fails only with ``strict``: see ``outcome``."""
        return not self.failing

    @property
    def outcome(self) -> str:
        """``pass``, ``regression``, ``inconclusive`` (the images are too few to decide) or ``arithmetic`` (of the machine)."""
        from robustbench_la.gate import report

        return report.word(self.verdict)

    @property
    def failing(self) -> list[Judgement]:
        """The regressions and, with ``strict``, the inconclusive judgements."""
        return self.verdict.failing(strict=self.strict)

    def headline(self) -> str:
        """The verdict in one line."""
        from robustbench_la.gate import report

        return in_python(report.headline(self.verdict, strict=self.strict))

    def tables(self) -> list[Table]:
        """The tables, as data."""
        from robustbench_la.gate import report

        return report.verdict_tables(self.verdict)

    def remarks(self) -> tuple[str, ...]:
        """What was compared, and what could not be judged."""
        from robustbench_la.gate import report

        return (report.about(self.verdict), *map(in_python, self.verdict.remarks))

    def to_pandas(self) -> pd.DataFrame:
        """One row per condition: accuracies as fractions, their difference and interval, p-value, outcome."""
        from robustbench_la.gate import report

        rows = report.verdict_document(self.verdict, strict=self.strict)["judgements"]
        return frame([{name: value for name, value in row.items() if name != "condition"} for row in rows])

    def to_json(self) -> str:
        """The JSON document that ``larobust check --json`` prints."""
        from robustbench_la.gate import report
        from robustbench_la.output.json_documents import json_text

        return json_text(report.verdict_document(self.verdict, strict=self.strict))


@errors_in_python
def check(
    model: Model,
    data: Data | None = None,
    *,
    baseline: str | Path = "robustness-baseline.json",
    max_drop: Tolerances = (),
    max_rise: Tolerances = (),
    alpha: float = 0.05,
    strict: bool = False,
    noise: Only = None,
    severity: Numbers = None,
    **settings: Unpack[NetworkSettings],
) -> CheckResult:
    """Judge a network by a baseline, as ``larobust check`` does.

    Images, noise, levels and seeds are those of the baseline.

    Args:
        model: A ``torch.nn.Module``, or the path of a checkpoint.
        data: As for ``evaluate``; needed if the images are not found under the name recorded in the baseline.
        baseline: A file written by ``larobust baseline``.
        max_drop: Tolerated drop in accuracy, in points (1.0 if not given): a number, words such as ``"gaussian_noise:2.0"``, or a
            dictionary from names (corruptions, ``"clean"``, ``"mean"``) to points.
        max_rise: Tolerated increase of the relative fluctuation: ``"fluctuation:10%"``.
        alpha: Significance level over all conditions; with 1, the tolerance alone decides.
        strict: Whether what is inconclusive fails as well: accuracy fell, and the images are too few to tell by how much.
        noise: Judge only these corruptions.
        severity: Judge only these severities.
        settings: Any of ``NetworkSettings``, by keyword: ``normalize``, ``device``, ``batch_size`` ...

    Returns:
        The verdict, with ``passed``.

    Raises:
        NotComparableError: If there is no baseline, or images or preprocessing differ from the baseline's; a UserError.
        UserError: If an argument or the network does not fit the baseline.

    >>> import robustbench_la as la
    >>> la.check("net.pt", baseline="no.json")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    robustbench_la.errors.NotComparableError: no.json: there is no baseline; make one with: larobust baseline ...
    """
    from robustbench_la.gate.judge import check_rules, judge
    from robustbench_la.gate.selection import only_these, to_measure
    from robustbench_la.records.plan import EvaluationPlan, NetworkPlan

    check_keywords(check, settings, NetworkSettings)
    given = sources(model, data, layout=settings.get("layout"), download=settings.get("download", False), needs_data=False)
    rules = _rules(max_drop, max_rise, alpha, Path(baseline))
    said = {name: plain(value) for name, value in settings.items() if name in NetworkPlan.model_fields}
    said["normalize"] = normalize_text(settings.get("normalize"))
    named = {"checkpoints": plain(model) if isinstance(model, (str, Path)) else "model.pt", **said}
    recorded = _read(Path(baseline), named | {"data": data if isinstance(data, str) else None}, rules)
    only = only_these(selection_of({"noise": noise, "severity": severity}, recorded.corruptions))
    check_rules(recorded, rules, only)
    flags = {name: plain(value) for name, value in settings.items() if name in EvaluationPlan.model_fields}
    normalize = normalize_text(settings.get("normalize")) or (recorded.network.normalization if given.modules else None)
    now = _measured(given, to_measure(recorded, only), {**flags, "normalize": normalize}, meter_of(settings.get("progress")))
    return CheckResult(verdict=judge(recorded, now, rules, only=only), strict=strict)


def _read(path: Path, given: Mapping[str, object], rules: Rules) -> Snapshot:
    """given: what the command that records a baseline needs too."""
    from robustbench_la.gate.baseline import read_baseline

    recorded = read_baseline(path, remedy=f"larobust baseline{as_flags(given)} -o {path}")
    if "fluctuation" in rules.named and not recorded.fluctuations:
        raise UserError(f"{path} holds no fluctuation, so max_rise= would have no effect")
    return recorded


def _measured(given: Sources, known: Snapshot, flags: Mapping[str, Any], meter: Meter) -> Snapshot:
    """The network, measured in the same way as the baseline's."""
    from robustbench_la.measuring.for_gate import measure_snapshot, prepare_by_baseline
    from robustbench_la.models.in_memory import borrowed, device_of

    device = device_of(given.modules)
    options = {
        "device": None if device is None else str(device),
        "checkpoints": [model for _, model in given.models if isinstance(model, str)],
        "data": given.data if isinstance(given.data, str) else None,
        **{name: value for name, value in flags.items() if value is not None},
    }
    if given.modules:  # what was said of the baseline's file is not said of a network in memory
        known = dataclasses.replace(known, given={})

    def prepare(plan: EvaluationPlan) -> Evaluation:
        in_memory = given.data is not None and not isinstance(given.data, str)
        return evaluation_in_memory(given, plan.model_copy(update={"data": None}) if in_memory else plan, meter)

    with borrowed(given.modules):
        ready = prepare_by_baseline(
            known, options, prepare=None if given.in_files else prepare, download=given.download, meter=meter
        )
        return measure_snapshot(ready, fluctuation=bool(known.fluctuations), said={}, meter=meter)


def _rules(drops: Tolerances, rises: Tolerances, alpha: float, baseline: Path) -> Rules:
    from robustbench_la.gate.baseline import corruptions_in
    from robustbench_la.gate.tolerances import parse_rules

    return parse_rules(_tolerances(drops), _tolerances(rises), alpha, lambda: corruptions_in(baseline))


def _tolerances(given: Tolerances) -> tuple[str, ...]:
    """Tolerances as words of the command line.

    >>> _tolerances({"clean": 0.5}), _tolerances(1), _tolerances(1e-5)
    (('clean:0.5',), ('1',), ('1e-05',))
    """
    if isinstance(given, Mapping):
        return tuple(f"{name}:{value}" for name, value in given.items())
    return (str(given),) if isinstance(given, str | float | Real) else tuple(map(str, given))
