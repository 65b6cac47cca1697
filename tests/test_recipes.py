"""What is known of a network apart from its file: how it was trained, its training seed, and its weights under any name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import torch

import robustbench_la as la
from robustbench_la.models.architectures import NetworkSpec
from robustbench_la.models.build import build
from robustbench_la.models.checkpoints.recipes import recipe_of, seed_of
from robustbench_la.records.plan_file import read_plan
from robustbench_la.store.store import Store
from robustbench_la.training import train
from robustbench_la.training.jobs import prepare_jobs

SPEC = NetworkSpec(architecture="mlp", classes=10, channels=1, height=8, width=8, hidden=8)


def state(seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return dict(build(SPEC, "silu").state_dict())


def evaluated(*paths: Path, store: Path | None = None) -> dict[str, object]:
    result = la.evaluate([str(path) for path in paths], "digits", noise="clean", activation="silu", limit=8, store=store)
    return {Path(cell.network.checkpoint).stem: cell.network for cell in result.cells}


def test_the_same_weights_are_recognised_in_any_file_and_under_any_prefix(tmp_path: Path) -> None:
    changed = state()
    changed["output.bias"] = changed["output.bias"] + 1
    torch.save(state(), tmp_path / "plain.pt")
    torch.save({"state_dict": {f"module.{key}": value for key, value in state().items()}, "epoch": 3}, tmp_path / "wrapped.pt")
    torch.save(changed, tmp_path / "changed.pt")
    networks = evaluated(*sorted(tmp_path.glob("*.pt")))

    assert networks["plain"].weights == networks["wrapped"].weights != networks["changed"].weights
    assert networks["plain"].sha256 != networks["wrapped"].sha256


def test_networks_that_differ_only_in_the_seed_share_a_recipe(tmp_path: Path) -> None:
    def trained(name: str, **recipe: object) -> list[str]:
        flags = {"arch": "mlp", "activation": ["silu"], "training_seeds": [1, 2], "limit": 60, "data": "digits"}
        plan = read_plan(None, {**flags, "train": {"epochs": 1, **recipe}}, purpose="train")
        jobs = prepare_jobs(plan, str(tmp_path / f"{name}-{{seed}}.pt"))
        networks = evaluated(*[train.train(job).path for job in jobs])
        return [network.recipe for network in networks.values()]

    short, longer, slower = trained("short"), trained("longer", epochs=2), trained("slower", lr=0.01)

    assert all(one == other != "" for one, other in (short, longer, slower))
    assert len({short[0], longer[0], slower[0]}) == 3


def test_the_recipe_of_a_foreign_file_is_its_plain_settings() -> None:
    def recipe(epoch: int = 3, **settings: object) -> str:
        return recipe_of({"state_dict": {}, "epoch": epoch, "args": argparse.Namespace(**{"lr": 0.1, "epochs": 200, **settings})})

    assert recipe() == recipe(seed=7, save_dir="runs/7", workers=3) == recipe(epoch=197) != ""
    assert recipe(dataset="/home/a/cifar10") == recipe(dataset="/data/cifar10") != recipe(dataset="cifar100")
    assert len({recipe(), recipe(lr=0.2), recipe(epochs=1), recipe(batch_size=64)}) == 4
    assert recipe_of({"hyper_parameters": {"optim": {"lr": 0.1}}}) != recipe_of({"hyper_parameters": {"optim": {"lr": 0.2}}})
    assert recipe(data="data/cifar10") != recipe(data="data/cifar100")
    assert recipe_of({"state_dict": {}, "epoch": 3}) == ""


@pytest.mark.parametrize(
    ("content", "seed"),
    [
        ({"seed": 7}, 7),
        ({"args": argparse.Namespace(seed=7, lr=0.1)}, 7),
        ({"hyper_parameters": {"trainer": {"seed": 7}}}, 7),
        ({"hyper_parameters": {"seed": 7}, "seed": 7}, 7),
        ({"seed": 7, "args": {"seed": 8}}, None),
        ({"seed": True}, None),
        ({"seed": 2**70}, None),
        ({"seed": "7"}, None),
    ],
)
def test_the_training_seed_of_a_foreign_file_is_read_where_it_is_plain(content: dict[str, object], seed: int | None) -> None:
    assert seed_of(content) == seed


def test_what_becomes_known_of_a_network_later_is_added_to_the_store(tmp_path: Path) -> None:
    store = tmp_path / "results.sqlite"
    torch.save(state(), tmp_path / "net.pt")
    evaluated(tmp_path / "net.pt", store=store)
    with Store(store) as opened:
        (stored,) = opened.cells()
        opened._connection.execute("UPDATE networks SET training_seed = 5, weights = ''")  # as an older version left it
    (network,) = evaluated(tmp_path / "net.pt", store=store).values()

    assert (network.training_seed, network.weights) == (5, stored.cell.network.weights)
    assert [cell.network for cell in la.open_store(store).cells] == [network]
