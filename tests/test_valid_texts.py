"""Tables, labels and settings that others write, and that are meant to be read."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

from robustbench_la.errors import UserError
from robustbench_la.images.labels import names_of_outputs
from robustbench_la.models.checkpoints.configs import check_counts
from robustbench_la.models.checkpoints.keys import check_keys
from robustbench_la.untrusted.csv_text import read_csv
from robustbench_la.untrusted.yaml_text import read_yaml


def test_a_table_of_500_rows_and_12_columns_is_read(tmp_path: Path) -> None:
    rows = [{f"column{place}": f"value {row}" for place in range(12)} for row in range(500)]
    path = tmp_path / "table.yaml"
    path.write_text(yaml.dump({"checkpoints": rows}), encoding="utf-8")

    assert read_yaml(path) == {"checkpoints": rows}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_as_on_any_system(tmp_path: Path, end: str) -> None:
    path = tmp_path / "lines.csv"
    path.write_bytes(end.join(["path,name", "a.pt,a", "b.pt,b", ""]).encode())

    assert list(read_csv(path)) == [(2, {"path": "a.pt", "name": "a"}), (3, {"path": "b.pt", "name": "b"})]
    assert names_of_outputs(str(path), None) == ("path,name", "a.pt,a", "b.pt,b")


def test_settings_of_widths_are_no_counts_of_layers() -> None:
    widths = {"stage_out_channels": [128, 2048], "block_configs": [[[3, 16, 512, 1, False]]], "layer_dims": 768}
    check_counts(widths, 100)
    with pytest.raises(UserError, match="asks for 2,048 under 'depths'"):
        check_counts({"depths": [2, 2048]}, 100)


def test_indices_that_were_averaged_with_the_weights_are_taken() -> None:
    network = nn.Module()
    network.register_buffer("relative_position_index", torch.arange(4))

    check_keys(network, {"relative_position_index": torch.arange(4.0)}, "swin")
    with pytest.raises(UserError, match="has whole numbers there"):
        check_keys(network, {"relative_position_index": torch.arange(4) + 0.5}, "swin")
