"""The JPEG step of the published sets: Pillow's bytes, a condition of its own everywhere."""

from __future__ import annotations

import io
import json
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from corruptions import corrupt, level_of
from corruptions.compression import libjpeg_version, through_jpeg
from robustbench_la import cli
from robustbench_la.analysis.groups.groups import group
from robustbench_la.images.jpeg import as_jpeg
from robustbench_la.measuring.forward import corrupted
from robustbench_la.measuring.session import prepare_evaluation
from robustbench_la.records.plan_file import read_plan
from robustbench_la.store.store import Store

Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def larobust(digits_pair: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    shutil.copy(digits_pair[0], "net.pt")

    def run(command: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["larobust", *shlex.split(command), "--device", "cpu"])
        code = cli._run()
        done = capsys.readouterr()
        return code, done.out, done.err

    return run


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_those_that_pillow_writes_and_reads(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, channels, 20, 30), dtype=np.uint8)
    result = as_jpeg(images, 85)

    for before, after in zip(images, result, strict=True):
        file = io.BytesIO()
        PIL.Image.fromarray(before[0] if channels == 1 else before.transpose(1, 2, 0)).save(
            file, "JPEG", quality=85, optimize=True
        )
        assert np.array_equal(np.asarray(PIL.Image.open(file)), after[0] if channels == 1 else after.transpose(1, 2, 0))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 3), (5, 4), (4, 5), (16, 9), (33, 47), (31, 260)])
def test_the_bytes_of_libjpeg_follow_without_a_file(channels: int, height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    rough = rng.integers(0, 256, (2, channels, height, width), dtype=np.uint8)
    images = np.concatenate([rough, rough // 8 + np.arange(width, dtype=np.uint8) % 200])
    result = np.empty_like(images)
    for quality in (1, 5, 7, 15, 25, 49, 50, 65, 80, 85, 95, 100):
        through_jpeg(images, quality, result)
        for after, before in zip(result, images, strict=True):
            file = io.BytesIO()
            PIL.Image.fromarray(before[0] if channels == 1 else before.transpose(1, 2, 0)).save(file, "JPEG", quality=quality)
            read = np.asarray(PIL.Image.open(file))

            assert np.array_equal(after if channels == 3 else after[0], read.transpose(2, 0, 1) if channels == 3 else read), (
                f"not the bytes of {libjpeg_version()}; on other machines they are those of libjpeg-turbo 3.2.0"
            )


def test_the_step_comes_after_the_corruption_and_leaves_clean_images_alone(larobust: Run) -> None:
    plan = read_plan(None, {"checkpoints": ["net.pt"], "noise": ["gaussian"], "severity": [5], "jpeg": 85, "limit": 20})
    evaluation = prepare_evaluation(plan)
    clean, noisy = evaluation.conditions
    images = torch.from_numpy(evaluation.images.images)
    level = level_of("gaussian_noise", severity=5, profile="cifar-c")
    expected = corrupt(images, "gaussian_noise", level, ids=torch.from_numpy(evaluation.images.ids))

    assert torch.equal(corrupted(evaluation, clean, slice(20)), images)
    assert np.array_equal(corrupted(evaluation, noisy, slice(20)).numpy(), as_jpeg(expected.numpy(), 85))
    assert str(noisy) == "gaussian_noise 5, JPEG 85"


def test_it_is_a_condition_of_its_own_in_store_tables_and_baseline(larobust: Run) -> None:
    command = "eval --ckpt net.pt --noise gaussian --severity 5 --limit 60 --store x.sqlite --json"
    plain = json.loads(larobust(command)[1])
    stored = json.loads(larobust(f"{command} --jpeg 85")[1])
    assert (plain["from_store"], stored["from_store"]) == (0, 1)  # clean images are the same
    assert [cell["jpeg"] for cell in stored["cells"]] == [None, 85]
    assert json.loads(larobust(f"{command} --jpeg 85")[1])["from_store"] == 2
    with Store(Path("x.sqlite"), reading=True) as store:
        groups = group(store.cells())
    assert [each.jpeg for each in groups] == [None, 85]
    assert "corrupted images stored as JPEG 85" in groups[1].title

    assert larobust("baseline --ckpt net.pt --noise gaussian --severity 5 --limit 60 --jpeg 85 -o b.json")[0] == 0
    code, output, _ = larobust("check --ckpt net.pt --baseline b.json")
    assert code == 0
    assert "JPEG 85" in output


@pytest.mark.parametrize("quality", ["0", "96", "high"])
def test_a_quality_that_pillow_advises_against_is_refused(larobust: Run, quality: str) -> None:
    code, _, error = larobust(f"eval --ckpt net.pt --jpeg {quality}")

    assert code == 2
    assert "jpeg" in error
