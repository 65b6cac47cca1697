"""Wrong inputs through the command line: one line that says what to mend, exit code 2, and nothing written."""

import os
import pickle
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from robustbench_la import cli
from robustbench_la.images.decoding import ImageChoice
from robustbench_la.images.normalization import NORMALIZATIONS
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.file import save_checkpoint


class _Malicious:
    """Makes a folder ``executed`` where it is unpickled with code allowed."""

    def __reduce__(self):
        return os.mkdir, ("executed",)


def _network(path, *, classes=10, channels=1, break_weights=False, plain=False):
    spec = NetworkSpec(architecture="mlp", classes=classes, channels=channels, height=8, width=8, hidden=4)
    model = build(spec, "relu")
    if break_weights:
        torch.nn.init.constant_(model.output.bias, float("nan"))
    if plain:
        torch.save(model.state_dict(), path)
        return
    save_checkpoint(
        path,
        model,
        spec=spec,
        activation="relu",
        alpha=1e-5,
        normalization=NORMALIZATIONS["half"],
        data=ImageChoice("digits"),
        training={"seed": 11},
    )


@pytest.fixture(scope="session")
def faulty_inputs(tmp_path_factory):
    """A folder with everything that the commands of the table name."""
    folder = tmp_path_factory.mktemp("inputs")
    _network(folder / "good.pt")
    _network(folder / "three.pt", classes=3)
    _network(folder / "colour.pt", channels=3)
    _network(folder / "nan.pt", break_weights=True)
    _network(folder / "plain.pt", plain=True)
    (folder / "empty.pt").touch()
    (folder / "truncated.pt").write_bytes((folder / "good.pt").read_bytes()[:-300])
    torch.save({"state_dict": _Malicious()}, folder / "malicious.pt")
    (folder / "pickled.pt").write_bytes(pickle.dumps({"state_dict": _Malicious()}))
    (folder / "folder.pt").mkdir()
    pixels = PIL.Image.fromarray(np.zeros((8, 8), dtype=np.uint8))
    pixels.save(folder / "picture.png")
    (folder / "picture.png").rename(folder / "picture.pt")
    (folder / "nothing").mkdir()
    (folder / "single" / "a").mkdir(parents=True)
    pixels.save(folder / "single" / "a" / "fine.png")
    for label in "abc":
        (folder / "damaged" / label).mkdir(parents=True)
        pixels.save(folder / "damaged" / label / "fine.png")
    (folder / "damaged" / "b" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not the rest of a JPEG")
    for label in "ab":
        for above in (folder / "above" / "val", folder / "far" / "above" / "val"):
            (above / label).mkdir(parents=True)
            pixels.save(above / label / "fine.png")
    (folder / "networks.py").write_text("import os\nfrom torch import nn\n\nclass Net(nn.Module): ...\n\ndef make_net(): ...\n")
    (folder / "empty.py").touch()
    (folder / "broken.py").write_text("def make_net(:\n")
    (folder / "blocker").touch()
    (folder / "unreadable.yaml").write_text("data: digits\nnoise: [paper\nseverity: 1\n")
    (folder / "unknown_key.yaml").write_text("data: digits\nseverty: 1\n")
    (folder / "former_key.yaml").write_text("data: digits\nseed: 1\n")
    (folder / "wrong_type.yaml").write_text("data: digits\nlimit: many\n")
    return folder


def _listing(folder):
    """Every entry below ``folder`` with its time of change and its content."""
    return {
        path.relative_to(folder): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.rglob("*")
    }


WRONG = {
    "a missing file": ("eval --ckpt gone.pt", "no such file: gone.pt"),
    "a misspelt file": ("eval --ckpt god.pt", "no such file: god.pt", "did you mean good.pt"),
    "a pattern that matches nothing": ("eval --ckpt gone*.pt", "no checkpoint matches 'gone*.pt'"),
    "a pattern without a match": ("eval --ckpt 'gone/*.pt'", "no checkpoint", "gone/*.pt"),
    "an empty file": ("eval --ckpt empty.pt", "empty.pt", "empty"),
    "a truncated zip": ("eval --ckpt truncated.pt", "truncated.pt", "not a checkpoint that torch can read"),
    "a picture named .pt": ("eval --ckpt picture.pt", "picture.pt", "not a checkpoint that torch can read"),
    "a malicious checkpoint": ("eval --ckpt malicious.pt", "malicious.pt", "run code"),
    "a malicious pickle": ("eval --ckpt pickled.pt", "pickled.pt", "run code"),
    "a folder": ("eval --ckpt folder.pt", "folder.pt", "a folder"),
    "no checkpoint": ("eval", "no checkpoint given", "--ckpt"),
    "other classes": ("eval --ckpt three.pt", "three.pt", "3 classes", "10"),
    "other channels": ("eval --ckpt colour.pt", "colour.pt", "3 channels", "have 1", "--channels 3 converts them"),
    "NaN weights": ("eval --ckpt nan.pt", "nan.pt", "NaN", "output.bias"),
    "an activation left out": ("eval --ckpt plain.pt", "plain.pt", "--activation"),
    "an activation that the file denies": ("eval --ckpt good.pt --activation silu", "good.pt", "--activation", "relu"),
    "an unknown noise": ("eval --ckpt good.pt --noise gausian", "unknown corruption 'gausian'", "gaussian_noise"),
    "an unknown activation": ("eval --ckpt plain.pt --activation rleu", "unknown activation 'rleu'", "relu"),
    "an unknown architecture": ("eval --ckpt plain.pt --arch resnet21", "unknown architecture 'resnet21'", "resnet20"),
    "a torchvision network without its prefix": ("eval --ckpt plain.pt --arch resnet18", "'resnet18'", "torchvision:resnet18"),
    "a network file without its function": (
        "eval --ckpt plain.pt --activation relu --arch networks.py",
        "networks.py offers: make_net, Net (class)",
        "--arch networks.py:make_net",
    ),
    "a network file that offers nothing": ("eval --ckpt plain.pt --arch empty.py", "empty.py names no function"),
    "a network file that is not Python": ("eval --ckpt plain.pt --arch broken.py", "broken.py cannot be read as Python"),
    "a function that a network file does not hold": (
        "eval --ckpt plain.pt --activation relu --arch networks.py:nett",
        "no function 'nett'",
        "Net",
    ),
    "a folder above the classes": ("eval --ckpt good.pt --data folder:above", "a single class, 'val'", "folder:above/val"),
    "a folder far above the classes": ("eval --ckpt good.pt --data folder:far", "did you mean folder:far/above/val"),
    "an unknown torchvision network": (
        "eval --ckpt plain.pt --activation relu --arch torchvision:resnet19",
        "plain.pt",
        "'resnet19'",
        "resnet18",
    ),
    "a network file that is missing": ("eval --ckpt plain.pt --activation relu --arch gone.py:make", "gone.py"),
    "an unknown dataset": ("eval --ckpt good.pt --data cifar1O:data", "unknown dataset 'cifar1O'", "cifar10"),
    "a dataset without its folder": ("eval --ckpt good.pt --data mnist", "--data mnist:DIR"),
    "a dataset that is not there": ("eval --ckpt good.pt --data mnist:nothing", "MNIST", "nothing", "--download"),
    "an unknown profile": ("eval --ckpt good.pt --profile cifar", "unknown profile 'cifar'", "cifar-c"),
    "an unknown normalization": ("eval --ckpt good.pt --normalize imagnet", "unknown normalization 'imagnet'", "imagenet"),
    "a normalization that divides by 0": ("eval --ckpt good.pt --normalize 0.5/0", "0.5/0", "above 0"),
    "a normalization of other channels": ("eval --ckpt plain.pt --activation relu --normalize cifar10", "3 channels", "1"),
    "a normalization other than the file's": ("eval --ckpt good.pt --normalize cifar10", "--normalize is cifar10", "half"),
    "an output over the checkpoint": ("eval --ckpt good.pt -o good.pt", "would overwrite what is measured"),
    "an unknown device": ("eval --ckpt good.pt --device gpu", "unknown device 'gpu'; did you mean cuda?"),
    "a device that cannot compute": ("eval --ckpt good.pt --device meta", "unknown device 'meta'", "cpu"),
    "an unknown figure": ("plot activation -o new.png", "unknown figure 'activation'", "activations"),
    "a figure in an unknown format": ("plot activations -o new.jpg", "new.jpg", ".png, .svg, .pdf"),
    "a figure without a suffix": ("plot activations -o new", "new", ".png, .svg, .pdf"),
    "a figure below a file": ("plot activations -o blocker/new.png", "blocker", "not a folder"),
    "a figure of no results": ("plot severity -o new.png", "no results at runs/results.sqlite", "larobust eval"),
    "a figure of a network that is drawn from no store": ("plot activations --arch mlp -o new.png", "nothing to select"),
    "a figure of three columns": ("plot activations -o new.png --columns 3", "--columns"),
    "a figure without a file": ("plot activations", "--output"),
    "an unknown list": ("list corruption", "unknown list 'corruption'", "corruptions"),
    "severity 0": ("eval --ckpt good.pt --severity 0", "severity", "from 1 to 5", "'0'"),
    "severity 6": ("eval --ckpt good.pt --severity 6", "severity", "from 1 to 5", "'6'"),
    "a negative sigma": ("eval --ckpt good.pt --noise gaussian_noise=-0.1", "gaussian_noise", "above 0", "-0.1"),
    "a sigma that is not a number": ("eval --ckpt good.pt --noise gaussian_noise=nan", "gaussian_noise", "above 0", "nan"),
    "a sigma of 0": ("eval --ckpt good.pt --noise gaussian_noise=0", "gaussian_noise", "above 0"),
    "an empty folder": ("eval --ckpt good.pt --data folder:nothing", "nothing", "no class sub-folders"),
    "a missing folder": ("eval --ckpt good.pt --data folder:gone", "no folder", "gone"),
    "a corrupt JPEG": ("eval --ckpt three.pt --data folder:damaged", "cannot decode", "broken.jpg"),
    "a plan that is not YAML": ("eval --config unreadable.yaml", "unreadable.yaml", "line 3", "YAML"),
    "an unknown key": ("eval --config unknown_key.yaml", "unknown_key.yaml", "'severty'", "severity"),
    "a wrong type": ("eval --config wrong_type.yaml", "wrong_type.yaml", "limit", "'many'"),
    "a missing plan": ("eval --config paper-mist", "'paper-mist'", "paper-mnist"),
    "an output below a file": ("eval --ckpt good.pt -o blocker/report.json", "blocker", "not a folder"),
    "an output that is a folder": ("eval --ckpt good.pt -o nothing", "nothing", "folder"),
    "limit 0": ("eval --ckpt good.pt --limit 0", "limit", "greater than 0"),
    "batch size 0": ("eval --ckpt good.pt --batch-size 0", "batch", "greater than 0"),
    "a negative noise seed": ("eval --ckpt good.pt --noise-seed -1", "noise_seed: must be at least 0, not -1"),
    "a severity after a colon": (
        "eval --ckpt good.pt --noise gaussian:3",
        "'gaussian:3'; did you mean --noise gaussian --severity 3?",
    ),
    "no noise at all": ("eval --ckpt good.pt --noise ''", "an empty corruption name; give one such as gaussian"),
    "a folder of one class": ("eval --ckpt good.pt --data folder:single", "folder:single has a single class", "two classes"),
    "training on one class": (
        "train --arch mlp --activation relu --data folder:single -o new.pt",
        "folder:single has a single class",
    ),
    "a normalization on 0 to 255": (
        "eval --ckpt plain.pt --activation relu --normalize 127.5/51",
        "for pixels on [0, 1], so divide by 255: 0.5/0.2",
    ),
    "no noise seeds": ("eval --ckpt good.pt --noise-seeds 0", "noise_seeds", "greater than 0"),
    "a seed beyond what can be stored": ("eval --ckpt good.pt --noise-seed 99999999999999999999", "seed", "at most"),
    "a store that is a checkpoint": ("eval --ckpt good.pt --store good.pt", "good.pt", "not a store of results"),
    "a store that is a folder": ("eval --ckpt good.pt --store nothing", "nothing", "folder"),
    "a store below a file": ("eval --ckpt good.pt --store blocker/x.sqlite", "blocker", "not a folder"),
    "a store named and denied": ("eval --ckpt good.pt --store x.sqlite --no-store", "--no-store", "--store"),
    "a fresh start without a store": ("eval --ckpt good.pt --fresh --no-store", "--no-store", "--fresh"),
    "an output over the store": ("eval --ckpt good.pt --store x.sqlite -o x.sqlite", "would overwrite the store"),
    "results that are not there": ("results", "no results at runs/results.sqlite", "larobust eval", "--store"),
    "results of no store": ("results --store plain.pt", "plain.pt", "not a store of results"),
    "two formats at once": ("results --json --csv", "--json", "--csv"),
    "an unknown noise in a filter": ("results --noise gausian", "unknown corruption 'gausian'", "gaussian_noise"),
    "forgetting everything": ("forget", "nothing to forget", "--ckpt"),
    "forgetting where nothing is": ("forget --noise blur", "no results at runs/results.sqlite"),
    "merging what is not there": ("merge gone.sqlite -o new.sqlite", "gone.sqlite does not exist", "give stores"),
    "merging what is no store": ("merge good.pt -o new.sqlite", "good.pt", "not a store of results"),
    "merging into what is no store": ("merge good.pt -o plain.pt", "plain.pt", "not a store of results"),
    "merging without an output": ("merge good.pt", "--output"),
    "alpha 0": ("train --arch mlp --activation la_silu --layeract-alpha 0 -o new.pt", "alpha", "greater than 0"),
    "alpha that is not a number": ("train --arch mlp --activation la_silu --layeract-alpha nan -o new.pt", "alpha", "nan"),
    "0 epochs": ("train --arch mlp --activation relu --epochs 0 -o new.pt", "epochs", "greater than 0"),
    "training over a checkpoint": ("train --arch mlp --activation relu -o good.pt", "good.pt already exists", "--force"),
    "two networks for one file": ("train --arch mlp --activation relu --activation silu -o new.pt", "{activation}"),
    "training without an architecture": ("train --activation relu -o new.pt", "--arch"),
    "training without an activation": ("train --arch mlp -o new.pt", "--activation"),
    "training without an output": ("train --arch mlp --activation relu", "--output"),
    **{
        f"the former {old} of {command.split()[0]}": (f"{command} {old} 1", f"{old} is now {new}")
        for command, old, new in (
            ("eval --ckpt good.pt", "--seed", "--noise-seed"),
            ("eval --ckpt good.pt", "--alpha", "--layeract-alpha"),
            ("fluctuation --ckpt good.pt", "--seed", "--noise-seed"),
            ("fluctuation --ckpt good.pt", "--alpha", "--layeract-alpha"),
            ("baseline --ckpt good.pt", "--seed", "--noise-seed"),
            ("baseline --ckpt good.pt", "--alpha", "--layeract-alpha"),
            ("train --arch mlp", "--seed", "--training-seed"),
            ("train --arch mlp", "--alpha", "--layeract-alpha"),
            ("results", "--seed", "--noise-seed"),
            ("compare", "--seed", "--noise-seed"),
            ("plot severity -o new.png", "--seed", "--noise-seed"),
            ("forget", "--seed", "--noise-seed"),
        )
    },
    "a former key of a plan": ("eval --config former_key.yaml", "former_key.yaml", "'seed' is now 'noise_seed'"),
    "an unknown option": ("eval --ckpt good.pt --noize blur", "--noize", "--noise"),
    "an option without its value": ("eval --ckpt", "--ckpt"),
    "a number that is a word": ("eval --ckpt good.pt --limit many", "--limit", "integer"),
    "an unknown command": ("evaluate", "evaluate", "eval"),
    "a command without its argument": ("list", "missing WHAT", "corruptions, activations, architectures or datasets"),
    "an argument too many": ("list corruptions datasets", "datasets"),
}


@pytest.mark.parametrize(("command", "words"), [(row[0], row[1:]) for row in WRONG.values()], ids=WRONG)
def test_a_wrong_input_is_told_in_one_line(faulty_inputs, tmp_path, monkeypatch, capsys, command, words):
    folder = tmp_path / "here"
    shutil.copytree(faulty_inputs, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command)])
    before = _listing(folder)

    code = cli._run()

    said = capsys.readouterr()
    assert code == 2
    assert len(said.err.strip().splitlines()) == 1, said.err
    assert [word for word in words if word not in said.err] == [], said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert _listing(folder) == before


def test_the_right_input_beside_the_wrong_ones_is_accepted(faulty_inputs, tmp_path, monkeypatch, capsys):
    """Without it every case above could fail for a reason of its own making."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(faulty_inputs / "good.pt", tmp_path)
    command = "eval --ckpt good.pt --noise gaussian_noise=0.1 --limit 8 --device cpu --json -o new/report.json"
    monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command)])

    code = cli._run()

    said = capsys.readouterr()
    assert code == 0
    assert '"cells"' in said.out
    assert Path("new/report.json").is_file()


def test_the_malicious_files_do_run_code_where_code_is_allowed(faulty_inputs, tmp_path, monkeypatch):
    """Otherwise the folder that is not made proves nothing."""
    monkeypatch.chdir(tmp_path)

    torch.load(faulty_inputs / "malicious.pt", weights_only=False)

    assert Path("executed").is_dir()


def test_no_command_at_all_shows_the_help_as_it_is_laid_out(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["larobust"])

    cli._run()

    said = capsys.readouterr()
    assert len((said.out + said.err).strip().splitlines()) > 5


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (
            "eval runs/a.pt",
            "unexpected argument runs/a.pt; give checkpoints with --ckpt, and quote a pattern: --ckpt 'runs/*.pt'",
        ),
        ("eval --model a.pt", "unknown option --model; did you mean --ckpt?"),
        ("eval --severities 3", "unknown option --severities; did you mean --severity?"),
        ("eval --zzz", "unknown option --zzz; --help lists the options"),
        ("eval --seed 3", "--seed is now --noise-seed"),
        ("plot", "missing KIND: severity, groups, scatter, layers or activations"),
        ("train", "missing --output / -o: checkpoint to write"),
        ("compar", "unknown command 'compar'; did you mean compare?"),
        ("list corruptions fog", "unexpected argument fog"),
    ],
)
def test_what_the_parser_refuses_says_what_to_give_instead(command, words, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command)])

    assert cli._run() == 2
    assert words in capsys.readouterr().err
