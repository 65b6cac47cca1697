"""``fluctuation``: what noise does inside networks, layer by layer, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.api.display import ShownAsTables, flat, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.preparing import Severities, Words, meter_of, notes_of, plan_of, prepared, sources, store_of
from robustbench_la.api.selecting import words_of
from robustbench_la.api.settings import MeasuringSettings, check_keywords
from robustbench_la.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from robustbench_la.analysis.tables.table import Table
    from robustbench_la.api.preparing import Data, Models, Sources
    from robustbench_la.measuring.layer_options import FluctuationOptions
    from robustbench_la.records.cells import Provenance, RunSetting
    from robustbench_la.records.layers import NetworkFluctuation
    from robustbench_la.records.plan import EvaluationPlan


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FluctuationResult(ShownAsTables):
    """How much activations moved under noise. Displayed as the tables that ``larobust fluctuation`` prints."""

    networks: tuple[NetworkFluctuation, ...]
    """All layers of one network under one condition each."""
    about: str
    """What was measured on, in a sentence."""
    notes: tuple[str, ...]
    """What was assumed of the networks."""
    setting: RunSetting
    """Images, machine and versions."""
    provenance: Provenance

    def tables(self, *, detail: bool = False) -> list[Table]:
        """The tables, as data. detail: every condition instead of means over them."""
        from robustbench_la.analysis.tables import layer_tables
        from robustbench_la.analysis.tables.layer_pairs import pairs

        layers = layer_tables.layers(self.networks, detail=detail, about=self.about)
        compared = pairs(self.networks)
        return [layers, layer_tables.activations(self.networks), *([compared] if compared is not None else [])]

    def remarks(self) -> tuple[str, ...]:
        """What was assumed of the networks."""
        return self.notes

    def to_pandas(self) -> pd.DataFrame:
        """One row per network, condition and layer, with every statistic."""
        return frame([flat(layer.as_dict()) for network in self.networks for layer in network.layers])

    def to_json(self) -> str:
        """The JSON document that ``larobust fluctuation --json`` prints."""
        from robustbench_la.analysis.tables.layer_pairs import pairs
        from robustbench_la.output.json_documents import fluctuation_document, json_text

        document = fluctuation_document(self.networks, pairs(self.networks), self.provenance)
        return json_text(document)

    def save(self, store: str | Path) -> int:
        """Add the layer records to a store, from which ``larobust results`` and ``plot layers`` read.

        Args:
            store: Its file, such as ``"runs/results.sqlite"``; created if there is none.

        Returns:
            The number of records that were new.
        """
        from robustbench_la.store import layer_rows
        from robustbench_la.store.store import Store

        with Store(Path(store)) as opened:
            return sum(
                opened.add_layers(self.setting, layer_rows.rows(one), replace=one.threshold is not None) for one in self.networks
            )

    @errors_in_python
    def plot(self, kind: Literal["layers", "distribution"] = "layers") -> Figure:
        """The figure that ``larobust fluctuation --plot`` writes: a matplotlib figure, which a notebook displays."""
        from robustbench_la.errors import lookup
        from robustbench_la.output.figures.kinds import FIGURES

        drawn = {name: FIGURES[name] for name in ("layers", "distribution")}
        return lookup(drawn, kind, kind="figure").draw(self.networks)


@errors_in_python
def fluctuation(
    model: Models,
    data: Data | None = None,
    *,
    noise: Words | None = None,
    severity: Severities | None = None,
    inject: Words | None = None,
    only: Literal["fluctuation"] | None = None,
    threshold: float | None = None,
    **settings: Unpack[MeasuringSettings],
) -> FluctuationResult:
    """Measure what noise does inside networks, layer by layer; what ``larobust fluctuation`` does.

    Every activation call is compared between a clean image and the same image with noise.

    Args:
        model: As for ``evaluate``.
        data: As for ``evaluate``.
        noise: As for ``evaluate``; clean images alone do not fluctuate.
        severity: As for ``evaluate``.
        inject: Instead of noise on the images, noise on each pre-activation, one layer at a time: ``"gaussian=0.1"`` (a tenth of
            the image's own spread there), ``"gaussian-absolute=0.1"`` (in its units), or several.
        only: ``"fluctuation"`` measures nothing but that, in less time.
        threshold: An element is saturated when its scale is below this; 0.01 if not given.
        settings: Any of ``MeasuringSettings``, by keyword: ``normalize``, ``limit``, ``device``, ``store`` ...

    Returns:
        The result, displayed as tables.

    Raises:
        UserError: For the first thing that does not fit, in one line; also a ValueError if an argument is wrong.
        KeyboardInterrupt: After Ctrl-C. With ``store``, everything finished by then is kept there, and the same call resumes.

    >>> import torch, robustbench_la as la
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), la.LASiLU(), torch.nn.Linear(32, 10))
    >>> result = la.fluctuation(model, "digits", noise="gaussian", severity=3, limit=100)
    >>> [(layer.layer, layer.function, layer.elements) for network in result.networks for layer in network.layers]
    [('2', 'la_silu', 32)]
    """
    from robustbench_la.measuring.layer_options import parse_options

    check_keywords(fluctuation, settings, MeasuringSettings)
    options = parse_options(only, threshold, words_of(inject))
    if options.injections and (noise is not None or severity is not None or settings.get("profile") is not None):
        raise ArgumentError("inject= replaces noise=, severity= and profile=; give one or the other")
    given = sources(
        model,
        data,
        layout=settings.get("layout"),
        data_name=settings.get("data_name"),
        download=settings.get("download", False),
    )
    plan = plan_of(given, {**settings, "noise": "clean" if options.injections else noise, "severity": severity})
    return _measured(given, plan, options, settings)


def _measured(
    given: Sources, plan: EvaluationPlan, options: FluctuationOptions, settings: MeasuringSettings
) -> FluctuationResult:
    from robustbench_la.measuring import provenance
    from robustbench_la.measuring.quantities import Fluctuation
    from robustbench_la.measuring.resume import measure_missing

    meter, store = meter_of(settings.get("progress")), store_of(settings)
    with prepared(given, plan, meter) as evaluation:
        quantity = Fluctuation(options=options)
        if not quantity.wanted(evaluation):
            raise ArgumentError("fluctuation needs noise; give some with noise=")
        results = measure_missing(evaluation, quantity, store=store, fresh=settings.get("fresh", False), meter=meter)
        saturated = f" Saturated: scale below {options.threshold:g}." if options.only is None else ""
        return FluctuationResult(
            networks=results.records,
            about=provenance.about(evaluation) + saturated,
            notes=notes_of(evaluation),
            setting=results.setting,
            provenance=provenance.collect(evaluation, results.setting, wall_time_s=results.seconds),
        )
