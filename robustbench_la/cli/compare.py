"""``larobust compare``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from robustbench_la.cli import filters, options
from robustbench_la.cli.streams import say

if TYPE_CHECKING:
    from pathlib import Path

    from robustbench_la.analysis.tables.table import Table

Word = TypeVar("Word", bound=str)
HELP = """Compare activations over training seeds, or checkpoints.

Layer-level activations are compared with their element-level counterparts. There is one table for each architecture, dataset and
level table, with means, standard deviations, differences and their significance. Groups with missing cells are refused, not
averaged."""
EXAMPLE = "Example: larobust compare --data 'mnist:*' --against counterpart -o mnist.md"

TABLE, TESTS = "Table", "Differences and tests"
What = Annotated[
    str, typer.Option("--by", metavar="WHAT", help="What a row is: activation or checkpoint.", rich_help_panel=TABLE)
]
MetricName = Annotated[
    str,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="top1, top5, nll, ece, mean-15, mean-19, robustbench, mce, relative-mce, unnormalised-mce, effective, relative or "
        "area.",
        rich_help_panel=TABLE,
    ),
]
DetailName = Annotated[
    str | None,
    typer.Option(
        "--detail",
        metavar="WHAT",
        help="What a column is: group, corruption or severity (default corruption; group with --published).",
        rich_help_panel=TABLE,
    ),
]
Columns = Annotated[
    str | None, typer.Option("--columns", metavar="A,B,C", help="Only these columns, in this order.", rich_help_panel=TABLE)
]
Sort = Annotated[
    str | None, typer.Option("--sort", metavar="COLUMN", help="Sort by this column, best first.", rich_help_panel=TABLE)
]
PublishedFile = Annotated[
    str | None,
    typer.Option(
        "--published",
        metavar="FILE",
        help="Show published numbers next to the measured ones: a file, or published (the paper's).",
        rich_help_panel=TABLE,
    ),
]
SourceNames = Annotated[
    str | None,
    typer.Option(
        "--source",
        metavar="WORDS",
        help="Only prebuilt (published) or generated images; prebuilt,generated: published ones beside ours, image by image.",
        rich_help_panel=TABLE,
    ),
]
AgainstName = Annotated[
    str,
    typer.Option(
        "--against",
        metavar="WHAT",
        help="What layer-level activations are compared with: counterpart, best, both or none. By checkpoint also first, or a "
        "checkpoint that all others are compared with.",
        rich_help_panel=TESTS,
    ),
]
Reference = Annotated[
    str | None,
    typer.Option(
        "--reference",
        metavar="CKPT",
        help="What mCE is relative to: a checkpoint, or alexnet (default alexnet).",
        rich_help_panel=TESTS,
    ),
]
Interval = Annotated[bool, options.switch("--interval", help="Show 95 % intervals.", panel=TESTS)]
Tests = Annotated[bool, options.switch("--tests", help="Add a table of every difference, its test and p-value.", panel=TESTS)]
Layers = Annotated[
    bool,
    options.switch(
        "--layers", help="Compare the fluctuation inside networks, as `larobust fluctuation` measured it.", panel=TABLE
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="text, markdown, latex, csv, json or html (default: by the suffix of -o).",
        rich_help_panel=options.OUTPUT,
    ),
]

ShowPaths = Annotated[
    bool, options.switch("--show-paths", help="latex: show the paths of files and folders.", panel=options.OUTPUT)
]


def command(
    by: What = "activation",
    layers: Layers = False,
    metric: MetricName = "top1",
    detail: DetailName = None,
    against: AgainstName = "both",
    reference: Reference = None,
    published: PublishedFile = None,
    source: SourceNames = None,
    columns: Columns = None,
    sort: Sort = None,
    interval: Interval = False,
    tests: Tests = False,
    allow_missing: options.AllowMissing = False,
    format_: Format = None,
    show_paths: ShowPaths = False,
    output: options.OutputInstead = None,
    ckpt: filters.Checkpoint = None,
    activation: filters.Activation = None,
    arch: filters.Arch = None,
    data: filters.Data = None,
    noise: filters.Noise = None,
    severity: filters.Severity = None,
    noise_seed: filters.NoiseSeed = None,
    store: options.Store = None,
) -> None:
    """Read arguments, read the store, print or write."""
    from robustbench_la.analysis.comparison.of_store import compare_store
    from robustbench_la.analysis.comparison.request import BYS, DETAILS, Request, against_of, without_effect
    from robustbench_la.analysis.comparison.source_comparison import sources_of
    from robustbench_la.analysis.metrics.metrics import METRICS
    from robustbench_la.errors import UserError
    from robustbench_la.store.filters import select

    row = _one_of("--by", by, BYS)
    rivals, opponent = against_of(against, row)
    request = Request(
        by=row,
        metric=_one_of("--metric", metric, tuple(METRICS)),
        detail=_one_of("--detail", detail or ("corruption" if published is None else "group"), DETAILS),
        against=rivals,
        opponent=opponent,
        reference=reference,
        columns=tuple(word for word in (columns or "").split(",") if word.strip()),
        sort=sort,
        intervals=interval,
        tests=tests or (by == "checkpoint" and not layers),
        layers=layers,
        sources=sources_of(source) if source is not None else (),
        allow_missing=allow_missing,
    )
    unused = without_effect(metric=metric, detail=detail, reference=reference, published=published)
    if layers and unused:
        raise UserError(f"--layers compares means over layers and conditions, so --{unused} would do nothing")
    if reference is not None and not METRICS[metric].needs_reference:
        raise UserError(f"--metric {metric} is relative to nothing, so --reference would do nothing")
    path = options.store_path(store)
    publish = _publisher(format_, output, path, show_paths=show_paths)
    publish(compare_store(path, select(ckpt, activation, arch, data, noise, severity, noise_seed, of=path), request, published))


def _publisher(format_: str | None, output: str | None, store: Path, *, show_paths: bool) -> Callable[[Sequence[Table]], None]:
    """What prints or writes tables. Raises UserError for a file that cannot be written, before anything is read."""
    from functools import partial
    from pathlib import Path

    from robustbench_la.errors import UserError
    from robustbench_la.files import check_writable, is_same, write_whole
    from robustbench_la.output import terminal
    from robustbench_la.output.formats import FORMATS, format_for
    from robustbench_la.output.latex import latex

    form = _one_of("--format", format_, tuple(FORMATS)) if format_ else format_for(output) if output else None
    formats = dict(FORMATS)
    if show_paths:
        if form != "latex":
            raise UserError("--show-paths is for LaTeX: all other formats show paths anyway")
        formats["latex"] = partial(latex, show_paths=True)
    if output is not None:
        check_writable(Path(output))
        if is_same(Path(output), store):
            raise UserError(f"-o {output} would overwrite the store")

    def publish(tables: Sequence[Table]) -> None:
        if output is not None:
            write_whole(Path(output), formats[form or "text"](tables))
            say(f"{output} written")
        elif form is None:
            terminal.show(tables)
        else:
            print(formats[form](tables), end="")

    return publish


def _one_of(flag: str, word: str, known: tuple[Word, ...]) -> Word:
    from robustbench_la.errors import UserError, did_you_mean

    for name in known:
        if name == word:
            return name
    raise UserError(f"{flag} {word!r} is unknown{did_you_mean(word, known)}")
