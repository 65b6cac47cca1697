"""The tutorial's notebook runs from beginning to end, in a kernel of its own."""

from __future__ import annotations

import resource
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial" / "paper-in-five-minutes.ipynb"


@pytest.mark.filterwarnings("ignore")  # of the kernel's client, which are not ours
def test_the_paper_in_five_minutes(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"

    before = _seconds_of_children()
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in data for data in shown) == 3
    assert sum('class="larobust"' in data.get("text/html", "") for data in shown) == 2
    assert (tmp_path / "results.sqlite").is_file()
    assert _seconds_of_children() - before < 60
    for data in (data for data in shown if 'class="larobust"' in data.get("text/html", "")):
        assert "la_silu" in data["text/plain"]
    assert not [data for data in shown if "<pre" in data.get("text/html", "")], "nothing is shown twice"


def _seconds_of_children() -> float:
    """Processor time, which other programs do not lengthen."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
