"""The shape of the house: arrows go one way, and the reading wing needs no torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Each module may import only those to the left of it: a layer knows nothing of what uses it.
LAYERS = [
    {"errors", "memory", "progress"},
    {"activations", "layeract", "files", "packing", "calibration", "records", "layer_records", "preprocessing"},
    {"networks", "models", "datasets", "devices", "unpack", "schema", "fluctuation", "style", "untrusted"},
    {"statistics", "seed_statistics", "aggregates"},
    {"stored_rows", "recognise", "plan", "compare", "data", "database", "probe", "inject", "layer_totals", "panels"},
    {"checkpoints", "plots", "render", "store", "compare_layers", "layer_rows", "rules"},
    {"snapshot", "stored_snapshot", "groups", "latex", "webpage"},
    {"baseline", "gate", "metrics", "published", "formats"},
    {"report", "measures"},
    {"contrasts"},
    {"comparison", "subject"},
    {"figures"},
    {"jobs", "train", "evaluate", "augment"},
    {"provenance", "fluctuate"},
    {"remeasure"},
    {"cli"},
    {"pytest_plugin"},
]
TORCH_FREE = ["errors", "progress", "activations", "files", "preprocessing", "models", "datasets", "data"]
TORCH_FREE += ["packing", "calibration", "records", "layer_records"]
TORCH_FREE += ["statistics", "seed_statistics", "aggregates", "plan", "compare", "compare_layers", "layer_rows", "render"]
TORCH_FREE += ["schema", "database", "stored_rows", "store", "style", "panels", "plots", "cli"]
TORCH_FREE += ["groups", "metrics", "measures", "contrasts", "comparison", "published", "formats", "latex", "webpage"]
TORCH_FREE += ["untrusted", "rules", "snapshot", "stored_snapshot", "baseline", "gate", "report", "pytest_plugin"]
TORCH_FREE += ["subject", "figures"]


def imports(path: Path, *, top_level_only: bool = False) -> set[str]:
    """Dotted names that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level_only else ast.walk(tree)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found


def files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def test_corruptions_never_imports_larobust() -> None:
    for path in files("corruptions"):
        assert not any(name.startswith("robustbench_la") for name in imports(path)), path


def test_every_module_stands_in_one_layer() -> None:
    modules = {path.relative_to(ROOT / "robustbench_la").parts[0].removesuffix(".py") for path in files("robustbench_la")}

    assert modules - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize("height", range(len(LAYERS)))
def test_a_module_imports_lower_layers_or_its_own(height: int) -> None:
    allowed = set().union(*LAYERS[: height + 1])
    for path in files("robustbench_la"):
        own = path.relative_to(ROOT / "robustbench_la").parts[0].removesuffix(".py")
        if own not in LAYERS[height]:
            continue
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "robustbench_la" and len(parts) > 1 and parts[1] in set().union(*LAYERS):
                assert parts[1] in allowed, f"{path.name} imports {name}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_reading_needs_no_torch(module: str) -> None:
    block = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
    done = subprocess.run(
        [sys.executable, "-c", f"{block}import robustbench_la.{module}"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"]]
    + [[command, "--help"] for command in ("eval", "fluctuation", "train", "results", "compare", "merge", "forget", "plot")]
    + [[command, "--help"] for command in ("baseline", "check")]
    + [["results", *more, "--store", str(ROOT / "tests" / "stores" / "v1.sqlite")] for more in ([], ["--json"], ["--csv"])]
    + [["compare", "--format", form, "--store", str(ROOT / "tests" / "stores" / "v1.sqlite")] for form in ("text", "html", "csv")]
    + [["list", what] for what in ("corruptions", "activations", "architectures", "datasets")],
)
def test_help_lists_and_results_need_no_torch(arguments: list[str]) -> None:
    block = "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None; "
    code = f"{block}sys.argv = ['larobust', *{arguments!r}]; from robustbench_la.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_what_needs_torch_can_be_had_beside_the_tables() -> None:
    import corruptions
    from corruptions.apply import corrupt
    from robustbench_la import activations, layeract

    assert corruptions.corrupt is corrupt
    assert activations.LASiLU is layeract.LASiLU
    with pytest.raises(AttributeError):
        corruptions.corrupted  # noqa: B018
    with pytest.raises(AttributeError):
        activations.nothing  # noqa: B018


def test_no_file_holds_more_than_one_screenful_of_subjects() -> None:
    for package in ("corruptions", "robustbench_la"):
        for path in files(package):
            assert len(path.read_text(encoding="utf-8").splitlines()) <= 400, path
