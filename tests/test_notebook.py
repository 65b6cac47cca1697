"""The tutorial's notebook runs from beginning to end, in a kernel of its own."""

from __future__ import annotations

import time
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).parent.parent / "docs" / "tutorial" / "paper-in-five-minutes.ipynb"


@pytest.mark.filterwarnings("ignore")  # of the kernel's client, which are not ours
def test_the_paper_in_five_minutes(tmp_path: Path) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not committed"

    began = time.monotonic()
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()

    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    shown = [output["data"] for output in outputs if "data" in output]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in data for data in shown) == 3
    assert sum('class="larobust"' in data.get("text/html", "") for data in shown) == 2
    assert (tmp_path / "results.sqlite").is_file()
    assert time.monotonic() - began < 60
