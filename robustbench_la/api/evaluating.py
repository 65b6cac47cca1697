"""``evaluate``: accuracy on clean and on corrupted images, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from robustbench_la.api.display import ShownAsTables, flat, frame
from robustbench_la.api.errors_in_python import errors_in_python
from robustbench_la.api.preparing import Severities, Words, meter_of, notes_of, plan_of, prepared, sources, store_of
from robustbench_la.api.settings import MeasuringSettings, check_keywords
from robustbench_la.wording import in_python

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from robustbench_la.analysis.tables.table import Table
    from robustbench_la.api.preparing import Data, Models, Sources
    from robustbench_la.records.cells import Cell, Provenance, RunSetting
    from robustbench_la.records.plan import EvaluationPlan


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EvaluationResult(ShownAsTables):
    """How networks classified, under each condition. Displayed as the table that ``larobust eval`` prints."""

    cells: tuple[Cell, ...]
    """One network under one condition each: counts, predicted classes, losses and calibration."""
    about: str
    """The images, levels and precision, in a sentence."""
    notes: tuple[str, ...]
    """What was assumed of the networks."""
    setting: RunSetting
    """Images, machine and versions."""
    provenance: Provenance
    labels: bytes = field(repr=False)
    """The packed labels of the images."""

    def tables(self, *, detail: bool = False) -> list[Table]:
        """The tables, as data. detail: also one with every severity, top-5 and loss."""
        from robustbench_la.analysis.tables import accuracy_tables
        from robustbench_la.analysis.tables.convention_table import conventions

        summary = accuracy_tables.summary(self.cells, about=self.about, as_given=True)
        details = [accuracy_tables.detail(self.cells)] if detail else []
        return [summary, *conventions(self.cells, self.setting), *details]

    def remarks(self) -> tuple[str, ...]:
        """What was assumed of the networks."""
        return self.notes

    def to_pandas(self) -> pd.DataFrame:
        """One row per network and condition: their properties, counts, ``accuracy`` (a fraction) and mean ``nll`` (in nats)."""
        return frame(
            [
                flat(cell.as_dict()) | {"accuracy": cell.correct / cell.total, "nll": cell.nll_sum / cell.total}
                for cell in self.cells
            ]
        )

    def to_json(self) -> str:
        """The JSON document that ``larobust eval --json`` prints."""
        from robustbench_la.output.json_documents import cells_document, json_text

        return json_text(cells_document(self.cells, self.provenance))

    def save(self, store: str | Path) -> int:
        """Add the cells to a store, from which ``larobust results``, ``compare`` and ``plot`` read.

        Args:
            store: Its file, such as ``"runs/results.sqlite"``; created if there is none.

        Returns:
            The number of cells that were new.
        """
        from robustbench_la.store.store import Store

        with Store(Path(store)) as opened:
            return opened.add(self.setting, self.cells, labels=self.labels)

    @errors_in_python
    def plot(
        self, kind: Literal["severity", "groups", "scatter"] = "severity", *, metric: str = "top1", group: int | None = None
    ) -> Figure:
        """The figure that ``larobust plot`` draws from the cells: a matplotlib figure, which a notebook displays.

        Args:
            kind: What it shows.
            metric: What is plotted; not for a scatter.
            group: The number of a group of networks, from 1, if there are several (different architectures, different levels).
        """
        from robustbench_la.analysis.groups.one_group import cells_of_one
        from robustbench_la.errors import lookup
        from robustbench_la.output.figures.kinds import FIGURES
        from robustbench_la.store.store import Stored

        figure = lookup({name: entry for name, entry in FIGURES.items() if entry.drawn_from == "cells"}, kind, kind="figure")
        stored = [Stored(id=index, setting=self.setting, cell=cell) for index, cell in enumerate(self.cells)]
        shown = cells_of_one(stored, number=group, allow_missing=False, across=figure.across)
        return figure.draw(shown, **{"metric": metric} if "metric" in figure.options else {})


@errors_in_python
def evaluate(
    model: Models,
    data: Data | None = None,
    *,
    noise: Words | None = None,
    severity: Severities | None = None,
    noise_seeds: int = 1,
    **settings: Unpack[MeasuringSettings],
) -> EvaluationResult:
    """Measure accuracy on clean and on corrupted images; what ``larobust eval`` does.

    Every network sees the same images with the same noise. Networks in memory are measured in eval mode without gradients, and
    are left as they were: mode, device, weights.

    Args:
        model: A ``torch.nn.Module``, the path of a checkpoint, a pattern of paths (``"runs/*.pt"``, or
            ``"runs/{activation}_seed{seed}.pt"``, whose fields are read from the names), a table of checkpoints (``"nets.csv"``),
            or several of them: a list, or a dictionary by name. A name that is an activation's (``"relu"``, ``"la_silu"``) also
            becomes the network's activation label; otherwise the activation is detected in its forward pass.
        data: The name of a dataset as on the command line (``"cifar10:data"``, ``"folder:photos"``), ``(images, labels)`` with
            8-bit images (N, C, H, W) or (N, H, W, C), or a torch Dataset of (PIL image or uint8 tensor, label). Checkpoints that
            record what they were trained on need none.
        noise: Corruptions: names, aliases, groups (``"paper"``, ``"all"``), or custom levels (``"gaussian=0.05,0.1"``);
            ``"clean"`` for clean images alone. If not given: the paper's, and of a published set all that it holds.
        severity: 1 to 5, several of them, or a range such as ``"1-3"``; all five if not given.
        noise_seeds: Number of noise seeds to measure with, counted from ``noise_seed``.
        settings: Any of ``MeasuringSettings``, by keyword: ``normalize``, ``limit``, ``device``, ``store`` ...

    Returns:
        The result, displayed as a table.

    Raises:
        UserError: For the first thing that does not fit, in one line; also a ValueError if an argument is wrong.
        KeyboardInterrupt: After Ctrl-C. With ``store``, everything finished by then is kept there, and the same call resumes.

    >>> import torch, robustbench_la as la
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.SiLU(), torch.nn.Linear(32, 10))
    >>> result = la.evaluate(model, "digits", noise="gaussian", severity=3, limit=100)
    >>> [(cell.network.activation, str(cell.condition), cell.total) for cell in result.cells]
    [('silu', 'clean', 100), ('silu', 'gaussian_noise 3', 100)]
    """
    check_keywords(evaluate, settings, MeasuringSettings)
    given = sources(
        model,
        data,
        layout=settings.get("layout"),
        data_name=settings.get("data_name"),
        download=settings.get("download", False),
    )
    plan = plan_of(given, {**settings, "noise": noise, "severity": severity, "noise_seeds": noise_seeds})
    return _measured(given, plan, settings)


def _measured(given: Sources, plan: EvaluationPlan, settings: MeasuringSettings) -> EvaluationResult:
    from robustbench_la.measuring import provenance
    from robustbench_la.measuring.label_order import order_remarks
    from robustbench_la.measuring.quantities import Accuracy
    from robustbench_la.measuring.resume import measure_missing
    from robustbench_la.records.packing import pack_classes

    meter, store = meter_of(settings.get("progress")), store_of(settings)
    with prepared(given, plan, meter) as evaluation:
        results = measure_missing(
            evaluation, Accuracy(predictions=True), store=store, fresh=settings.get("fresh", False), meter=meter
        )
        return EvaluationResult(
            cells=results.records,
            about=provenance.about(evaluation),
            notes=(*notes_of(evaluation), *map(in_python, order_remarks(evaluation.images, results.records))),
            setting=results.setting,
            provenance=provenance.collect(evaluation, results.setting, wall_time_s=results.seconds),
            labels=pack_classes(evaluation.images.labels),
        )
