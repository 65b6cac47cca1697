"""Files that run code when they are loaded: refused in one line, and loaded only where the user says so."""

import os
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from robustbench_la import cli
from robustbench_la.errors import UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides

SHAPE = Shape(classes=10, channels=1, height=8, width=8)
SCRIPT = """
import sys, torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return torch.relu(self.linear(x.flatten(1)))
"""


class _Malicious:
    """Makes a folder ``executed`` where it is unpickled with code allowed."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


class _Program(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10]


def _pickle(path):
    torch.save(_Malicious(), path)


def _torchscript(path):
    torch.jit.trace(_Program(), torch.zeros(1, 1, 8, 8)).save(path)


def _exported(path):
    torch.export.save(torch.export.export(_Program(), (torch.zeros(2, 1, 8, 8),)), path)


def _huge(path):
    torch.save({"hidden.weight": torch.ones(1).expand(10**6, 10**6), "output.weight": torch.ones(10, 1)}, path)


@pytest.mark.filterwarnings("ignore")  # torch advises against TorchScript; such files are still met
@pytest.mark.parametrize(("write", "name", "words"), [
    (_pickle, "net.pth", ("run code from the file", "posix.mkdir", "save model.state_dict()", "--trust-file")),
    (_torchscript, "net.pt", ("a TorchScript program", "save model.state_dict()", "--trust-file")),
    (_exported, "net.pt2", ("torch.export (.pt2)", "loading it would run code", "export the network to ONNX")),
    (_huge, "net.pt", ("hidden.weight declares 1,000,000,000,000 values, but the file stores 4 bytes",)),
], ids=["pickle", "TorchScript", "torch.export", "huge"])  # fmt: skip
def test_a_hostile_file_is_refused_in_one_line_and_nothing_runs(tmp_path, monkeypatch, capsys, write, name, words):
    monkeypatch.chdir(tmp_path)
    write(Path(name))
    monkeypatch.setattr(sys, "argv", ["larobust", "eval", "--ckpt", name, "--activation", "relu", "--no-store"])

    code = cli._run()

    said = capsys.readouterr().err
    assert code == 2
    assert len(said.strip().splitlines()) == 1
    assert [word for word in (name, *words) if word not in said] == []
    assert not Path("executed").exists()


@pytest.mark.filterwarnings("ignore")
def test_torchscript_that_is_trusted_is_evaluated(tmp_path):
    _torchscript(tmp_path / "net.pt")

    network = assemble_network(read_checkpoint(tmp_path / "net.pt", trusted=True), LoadOverrides(), SHAPE)
    images = torch.rand(3, 1, 8, 8)

    assert torch.equal(network.model(images), images.flatten(1)[:, :10])
    assert "loaded with --trust-file: code in the file was run" in network.remarks
    assert network.spec.architecture == "torchscript"


@pytest.fixture(name="whole")
def _whole(tmp_path, monkeypatch):
    """A network that a script saved as a whole: its class is ``__main__.Net``."""
    monkeypatch.chdir(tmp_path)
    Path("train.py").write_text(SCRIPT)
    main = sys.modules["__main__"]
    namespace = {"__name__": "__main__"}
    exec(SCRIPT, namespace)
    monkeypatch.setattr(main, "Net", namespace["Net"], raising=False)
    model = namespace["Net"]()
    torch.save(model, "whole.pth")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    return model


def test_a_whole_network_that_is_trusted_is_loaded_with_the_users_class(whole):
    with pytest.raises(UserError, match=r"whole\.pth: needs Python code that is not here .*--arch FILE\.py:CLASS"):
        read_checkpoint(Path("whole.pth"), trusted=True)

    file = read_checkpoint(Path("whole.pth"), trusted=True, source="train.py:Net")
    network = assemble_network(file, LoadOverrides(architecture="train.py:Net"), SHAPE)
    images = torch.rand(3, 1, 8, 8)

    assert torch.equal(network.model(images), whole(images))
    assert network.spec.architecture == "pickled:Net"
    assert network.code is not None
    assert "loaded with --trust-file: code in the file was run" in network.remarks


def test_a_file_that_cannot_be_loaded_though_trusted_is_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.pth").write_bytes(b"\x80\x02nonsense")

    with pytest.raises(UserError, match=r"net\.pth: cannot be loaded") as raised:
        read_checkpoint(Path("net.pth"), trusted=True)

    assert "\n" not in str(raised.value)
