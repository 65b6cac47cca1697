"""Training: the same weights for the same seed, also after an interruption."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzzing import larobust

from robustbench_la.cli import quickstart
from robustbench_la.cli.app import app
from robustbench_la.errors import RunError, UserError
from robustbench_la.images.decoding import Shape
from robustbench_la.models.checkpoints.assemble import assemble_network
from robustbench_la.models.checkpoints.file import read_checkpoint
from robustbench_la.models.checkpoints.network import LoadOverrides
from robustbench_la.progress import Meter, silent
from robustbench_la.records.plan import Augment
from robustbench_la.records.plan_file import read_plan
from robustbench_la.training import batches, train
from robustbench_la.training.augment import augmented
from robustbench_la.training.jobs import Job, prepare_jobs

QUICK = {"arch": "cnn", "activation": ["la_silu"], "limit": 300}


def _network(path):
    """The network of a checkpoint that records all about itself."""
    return assemble_network(read_checkpoint(path), LoadOverrides(), Shape(classes=10, channels=1, height=8, width=8))


def prepared(path: Path, *, force: bool = False, **flags: object) -> Job:
    recipe = {"epochs": 3, "lr": 0.05, "batch_size": 64, **flags.pop("train", {})}  # type: ignore[dict-item]
    (job,) = prepare_jobs(read_plan(None, {**QUICK, **flags, "train": recipe}, purpose="train"), str(path), force=force)
    return job


def weights(path: Path) -> dict[str, torch.Tensor]:
    return dict(_network(path).model.state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def stopping(after: int) -> Meter:
    """A meter that stops a training after so many steps."""

    @contextlib.contextmanager
    def meter(what: str, total: int) -> Iterator[Callable[[int], None]]:
        steps = iter(range(100))

        def advance(items: int) -> None:
            if items and next(steps) == after:
                raise KeyboardInterrupt

        yield advance

    return meter


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 11), ("b", 11), ("c", 22)):
        train.train(prepared(tmp_path / f"{name}.pt", training_seeds=[seed]))

    assert same(weights(tmp_path / "a.pt"), weights(tmp_path / "b.pt"))
    assert not same(weights(tmp_path / "a.pt"), weights(tmp_path / "c.pt"))


@pytest.mark.parametrize("after", [1, 7, 13])  # steps: within the first, the second and the third epoch
def test_an_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, after: int) -> None:
    settings = {"train": {"augment": {"pad": 1, "flip": True}, "holdout": 0.1, "milestones": [2]}}
    train.train(prepared(tmp_path / "whole.pt", **settings))

    with pytest.raises(KeyboardInterrupt):
        train.train(prepared(tmp_path / "cut.pt", **settings), meter=stopping(after))

    assert not (tmp_path / "cut.pt").exists()
    trained = train.train(prepared(tmp_path / "cut.pt", **settings))
    assert trained.resumed == after // 5
    assert same(weights(tmp_path / "whole.pt"), weights(tmp_path / "cut.pt"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.pt", "whole.pt"]


def test_an_unfinished_training_with_other_settings_is_not_continued(tmp_path: Path) -> None:
    job = prepared(tmp_path / "a.pt")
    job.unfinished.write_bytes(b"rubbish")
    with pytest.raises(UserError, match="cannot be read"):
        train.train(job)
    train.train(job, force=True)
    kept = {"identity": "another", "epoch": 1, "history": [], "model": {}, "optimizer": {}}
    torch.save(kept, job.unfinished)

    with pytest.raises(UserError, match="with other settings or data; --force starts again"):
        train.train(job)


def test_quickstart_goes_on_with_an_unfinished_training_of_its_own_and_drops_others(tmp_path: Path, capsys) -> None:
    job = prepared(tmp_path / "a.pt")
    with pytest.raises(KeyboardInterrupt):
        quickstart._trained(job, stopping(7))

    assert ", resumed after epoch 1" in quickstart._trained(job, silent)
    job.unfinished.write_bytes(b"of another version")
    assert "resumed" not in quickstart._trained(job, silent)
    assert "is trained from the start" in capsys.readouterr().err


def test_a_checkpoint_that_exists_is_not_overwritten_without_force(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"precious")

    with pytest.raises(UserError, match="exists; --force"):
        prepared(tmp_path / "a.pt")
    assert (tmp_path / "a.pt").read_bytes() == b"precious"
    prepared(tmp_path / "a.pt", force=True)


def test_a_command_that_was_killed_between_networks_goes_on_with_those_that_lack(tmp_path: Path) -> None:
    command = ["train", "--arch", "cnn", "--activation", "silu", "--activation", "la_silu", "--epochs", "1", "--limit", "200"]
    words = [*command, "-o", str(tmp_path / "{activation}.pt")]
    assert larobust(*words).code == 0
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "la_silu.pt").unlink()
    again = larobust(*words)

    assert again.code == 0
    assert "[1/2] " in again.stderr + again.stdout
    assert "silu.pt is finished already" in again.stderr + again.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole

    (tmp_path / "la_silu.pt").unlink()
    other = larobust(*words, "--lr", "0.01")
    assert other.code == 2
    assert "already exists, with other settings or data" in other.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["silu.pt"]
    assert (tmp_path / "silu.pt").read_bytes() == whole["silu.pt"]


def test_several_networks_need_names_of_their_own(tmp_path: Path) -> None:
    plan = read_plan(None, {**QUICK, "activation": ["silu", "la_silu"], "training_seeds": [1, 2]})

    with pytest.raises(UserError, match="4 networks would share the file"):
        prepare_jobs(plan, str(tmp_path / "a.pt"))
    with pytest.raises(UserError, match="may contain"):
        prepare_jobs(plan, str(tmp_path / "{epoch}.pt"))
    jobs = prepare_jobs(plan, str(tmp_path / "{activation}-{seed}.pt"))
    assert [job.path.name for job in jobs] == ["silu-1.pt", "silu-2.pt", "la_silu-1.pt", "la_silu-2.pt"]


def test_training_follows_sgd_by_the_book(tmp_path: Path) -> None:
    """Full batch, three steps, against a loop written with the update rule of SGD with momentum and weight decay."""
    flags = {"activation": ["silu"], "arch": "mlp", "train": {"batch_size": "full", "milestones": [2], "epochs": 3}}
    job = prepared(tmp_path / "a.pt", **flags)
    train.train(job)

    torch.manual_seed(job.seed)
    from robustbench_la.models.build import build

    model = build(job.spec, "silu").double()
    inputs = (torch.from_numpy(job.images.images).double() / 255 - 0.5) / 0.5
    labels = torch.from_numpy(job.images.labels)
    velocity = [torch.zeros_like(p) for p in model.parameters()]
    for step in range(3):
        loss = torch.nn.functional.cross_entropy(model(inputs), labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        rate = 0.05 if step < 2 else 0.005
        with torch.no_grad():
            for p, g, v in zip(model.parameters(), gradients, velocity, strict=True):
                v.mul_(0.9).add_(g + 1e-4 * p)
                p.sub_(rate * v)
    for key, value in weights(tmp_path / "a.pt").items():
        torch.testing.assert_close(value.double(), model.state_dict()[key], rtol=1e-4, atol=1e-6)


def test_the_held_out_part_is_stratified_and_never_trained_on(tmp_path: Path) -> None:
    job = prepared(tmp_path / "a.pt", limit=1000, train={"holdout": 0.1})
    kept, held_out = batches.split(job)

    assert len(held_out) == 100
    assert not set(kept) & set(held_out)
    share = np.bincount(job.images.labels, minlength=10) / 10
    assert (abs(np.bincount(job.images.labels[held_out], minlength=10) - share) <= 1).all()
    seen = [label for _, labels in batches.batches(job, kept, epoch=0) for label in labels.tolist()]
    assert sorted(seen) == sorted(job.images.labels[kept].tolist())
    trained = train.train(job)
    assert trained.validation is not None


def test_augmentation_is_a_crop_of_the_padded_image_or_of_its_mirror() -> None:
    images = torch.randint(1, 256, (200, 2, 5, 6), dtype=torch.uint8)
    ids = torch.arange(200)
    augment = Augment(pad=2, flip=True)
    result = augmented(images, augment, ids, seed=1, epoch=4)
    padded = torch.nn.functional.pad(images, [2] * 4)
    found = set()
    for image, whole in zip(result, padded, strict=True):
        places = [
            (top, left, flip)
            for flip in (False, True)
            for top in range(5)
            for left in range(5)
            if torch.equal(image, (lambda piece: piece.flip(2) if flip else piece)(whole[:, top : top + 5, left : left + 6]))
        ]
        assert places
        found.update(places)

    assert len(found) > 40  # of 50
    part = augmented(images[50:60], augment, ids[50:60], seed=1, epoch=4)
    assert torch.equal(part, result[50:60])
    assert not torch.equal(augmented(images, augment, ids, seed=1, epoch=5), result)
    with pytest.raises(UserError, match="a random crop of 20 px"):
        augmented(images, Augment(crop=20), ids, seed=1, epoch=0)


def test_a_training_that_diverges_is_said_and_leaves_no_checkpoint(tmp_path: Path) -> None:
    job = prepared(tmp_path / "a.pt", arch="mlp", activation=["relu"], train={"lr": 1e30})

    with pytest.raises(RunError, match="training diverged; lower --lr"):
        train.train(job)
    assert list(tmp_path.iterdir()) == []


def test_training_leaves_the_callers_random_state_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train.train(prepared(tmp_path / "a.pt"))

    assert torch.equal(torch.rand(3), expected)


def test_a_recipe_in_iterations_drops_the_rate_and_ends_at_its_iteration(tmp_path: Path, monkeypatch) -> None:
    """Seven steps of four and a half batches an epoch; the rate of every step is written down."""
    rates = []
    real = torch.optim.SGD.step

    def step(self, *arguments):
        rates.append(self.param_groups[0]["lr"])
        return real(self, *arguments)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    recipe = {"iterations": 7, "batch_size": 64, "lr": 1.0, "milestones": [3, 5]}
    (job,) = prepare_jobs(read_plan(None, {**QUICK, "train": recipe}, purpose="train"), str(tmp_path / "a.pt"))
    trained = train.train(job)

    assert rates == pytest.approx([1, 1, 1, 0.1, 0.1, 0.01, 0.01])
    assert trained.epochs == 2


def test_a_last_image_by_itself_joins_the_batch_before_it(tmp_path: Path) -> None:
    job = prepared(tmp_path / "a.pt", limit=129)

    assert [part.stop - part.start for part in batches.bounds(job, 129)] == [64, 65]
    assert [part.stop - part.start for part in batches.bounds(job, 128)] == [64, 64]
    assert [part.stop - part.start for part in batches.bounds(job, 1)] == [1]
    train.train(job)


def test_the_same_training_gives_the_same_file(tmp_path: Path) -> None:
    for name in "ab":
        train.train(prepared(tmp_path / f"{name}.pt"))

    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_network_is_trained_on_images_as_the_flags_prepare_them(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    images = ["--resize", "12", "--crop", "10", "--channels", "3", "--interpolation", "bicubic"]
    words = ["train", "-o", str(path), "--arch", "cnn", "--activation", "relu", "--epochs", "1", "--limit", "100", *images]
    app(words, standalone_mode=False)

    recorded = read_checkpoint(path).images
    assert recorded is not None
    assert (recorded.resize, recorded.crop, recorded.channels, recorded.interpolation) == (12, 10, 3, "bicubic")
    assert _network(path).spec.channels == 3
