"""The file of a baseline: small, readable, the same after reading; and nothing that is put in its place does harm."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from robustbench_la.errors import NotComparableError, UserError
from robustbench_la.gate import baseline
from robustbench_la.records.cells import CLEAN, Condition, Pass
from robustbench_la.records.image_digests import DIGEST, ImageDigests
from robustbench_la.records.networks import NetworkRecord
from robustbench_la.records.packing import pack_classes
from robustbench_la.records.snapshot import Answers, Fluctuation, Snapshot, differences, quantise, unquantise

MNIST = Path(__file__).parent / "baselines" / "mnist-silu-11.json"


def made(*, images: int = 40, classes: int = 10, conditions: int = 3, right: float = 0.8, fluctuation: bool = True) -> Snapshot:
    """A snapshot of made-up answers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, images).astype(np.uint16)

    def answers() -> np.ndarray:
        return np.where(rng.random(images) < right, labels, rng.integers(0, classes, images)).astype(np.uint16)

    noises = [
        Condition(corruption="gaussian_noise", severity=None, parameters=(0.1 * (place + 1),), profile=None)
        for place in range(conditions - 1)
    ]
    moved = tuple(
        Fluctuation(
            pass_=Pass(noise, 3),
            absolute=(1.5, 2.25),
            relative=(0.5, None),
            per_image=quantise(rng.gamma(2, 0.1, images)),
        )
        for noise in noises
    )
    return Snapshot(
        network=NetworkRecord(
            checkpoint="runs/model.pt",
            sha256="0" * 64,
            architecture="cnn",
            activation="silu",
            alpha=None,
            normalization="half",
            activation_level="element",
            training_seed=None,
        ),
        data="mnist:data",
        fingerprint="f" * 64,
        dataset_images=5 * images,
        resize=None,
        crop=None,
        profile="cifar-c",
        precision="float32",
        seed=3,
        noise_seeds=1,
        ids=np.sort(rng.permutation(5 * images)[:images]),
        labels=labels,
        answers=(
            Answers(pass_=Pass(CLEAN, None), predictions=answers()),
            *(Answers(pass_=Pass(noise, 3), predictions=answers()) for noise in noises),
        ),
        layers=("act1", "act2") if fluctuation else (),
        fluctuations=moved if fluctuation else (),
        given={"activation": "silu"},
        provenance={"started": "2026-01-01T00:00:00+00:00", "commit": None, "dirty": False},
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    snapshot = made()
    baseline.write_baseline(tmp_path / "b.json", snapshot)

    back = baseline.read_baseline(tmp_path / "b.json")
    assert baseline.encode(back) == (tmp_path / "b.json").read_bytes()
    for field in dataclasses.fields(Snapshot):
        if field.name not in ("ids", "labels", "answers", "fluctuations"):
            assert getattr(back, field.name) == getattr(snapshot, field.name), field.name
    assert np.array_equal(back.ids, snapshot.ids)
    assert np.array_equal(back.labels, snapshot.labels)
    for one, other in zip(back.answers, snapshot.answers, strict=True):
        assert one.pass_ == other.pass_
        assert np.array_equal(one.predictions, other.predictions)
    for moved, before in zip(back.fluctuations, snapshot.fluctuations, strict=True):
        assert (moved.pass_, moved.absolute, moved.relative) == (before.pass_, before.absolute, before.relative)
        assert np.array_equal(moved.per_image, before.per_image)


def test_a_network_of_any_name_is_written_so_that_it_can_be_read(tmp_path: Path) -> None:
    snapshot = made()
    name = "runs/\udcff\n\x1b[31m.pt"
    strange = dataclasses.replace(snapshot, network=dataclasses.replace(snapshot.network, checkpoint=name), data="folder:\udcff")
    baseline.write_baseline(tmp_path / "b.json", strange)
    read = baseline.read_baseline(tmp_path / "b.json")

    assert (read.network.checkpoint, read.data) == (r"runs/\udcff\n\x1b[31m.pt", r"folder:\udcff")


def with_content(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the content of each image."""
    digests = np.arange(snapshot.images, dtype=DIGEST) * 77
    names = tuple(f"{label}/{place}.png" for place, label in enumerate(snapshot.labels))
    return dataclasses.replace(snapshot, content=ImageDigests(digests=digests, names=names))


def test_the_content_of_each_image_is_read_again_and_older_files_do_without(tmp_path: Path) -> None:
    baseline.write_baseline(tmp_path / "b.json", with_content(made()))
    read = baseline.read_baseline(tmp_path / "b.json").content
    expected = with_content(made()).content

    assert read is not None
    assert expected is not None
    assert np.array_equal(read.digests, expected.digests)
    assert read.names == expected.names
    assert baseline.read_baseline(MNIST).content is None


def test_the_content_of_two_thousand_images_takes_less_than_twenty_kilobytes() -> None:
    plain = made(images=2000)

    assert len(baseline.encode(with_content(plain))) - len(baseline.encode(plain)) < 20_000


def test_a_wrong_image_is_named() -> None:
    was = with_content(made())
    assert was.content is not None
    digests = was.content.digests.copy()
    digests[[3, 20, 21, 30]] += np.uint32(1)
    other = dataclasses.replace(was, fingerprint="e" * 64, content=dataclasses.replace(was.content, digests=digests))
    names = [was.content.names[place] for place in (3, 20, 21)]

    assert differences(was, other)[1] == f"4 of 40 images differ ({', '.join(names)}, ...)"
    assert len(differences(was, dataclasses.replace(other, content=None))) == 1


def test_an_image_that_is_missing_is_named_from_the_baseline_and_one_that_is_new_from_here() -> None:
    was = with_content(dataclasses.replace(made(), dataset_images=40, ids=np.arange(40)))
    assert was.content is not None
    kept = np.r_[0:7, 8:40]
    content = ImageDigests(digests=was.content.digests[kept], names=tuple(was.content.names[place] for place in kept))
    fewer = dataclasses.replace(
        was, fingerprint="e" * 64, dataset_images=39, ids=np.arange(39), labels=was.labels[kept], content=content
    )

    assert differences(was, fewer)[2] == f"1 of the 40 images is not here ({was.content.names[7]})"
    assert differences(fewer, was)[2] == f"1 image here is new ({was.content.names[7]})"


def test_a_file_that_was_replaced_under_another_name_moves_others_and_only_it_is_named() -> None:
    was = with_content(dataclasses.replace(made(), labels=np.zeros(40, dtype=np.uint16)))
    assert was.content is not None
    names, digests = was.content.names, was.content.digests
    content = ImageDigests(digests=np.r_[digests[1:], np.uint32(5)].astype(DIGEST), names=(*names[1:], "0/z.png"))
    moved = ImageDigests(digests=digests[::-1], names=names[::-1])

    assert differences(was, dataclasses.replace(was, fingerprint="e" * 64, content=content))[1] == (
        f"1 of the 40 images is not here ({names[0]}), 1 image here is new (0/z.png)"
    )
    assert (
        "the same in another order: 40 of 40 moved"
        in differences(was, dataclasses.replace(was, fingerprint="e" * 64, content=moved))[1]
    )


def test_another_part_of_a_dataset_that_grew_is_told_as_such() -> None:
    was = with_content(made())

    grown = dataclasses.replace(was, fingerprint="e" * 64, dataset_images=201)
    assert differences(was, grown)[1] == "images in the dataset: 200 in the baseline, 201 in this measurement"


def test_sixteen_conditions_of_two_thousand_images_take_seven_kilobytes() -> None:
    snapshot = baseline.read_baseline(MNIST)

    assert (len(snapshot.answers), snapshot.images) == (16, 2000)
    assert MNIST.stat().st_size < 8_000


def test_answers_without_any_order_in_a_thousand_classes_stay_below_a_hundred_kilobytes() -> None:
    assert len(baseline.encode(made(images=2000, classes=1000, conditions=16, right=0.3, fluctuation=False))) < 100_000


def test_fluctuation_of_every_image_stays_below_a_hundred_kilobytes() -> None:
    assert len(baseline.encode(made(images=2000, conditions=16))) < 100_000


def test_a_condition_is_a_line_and_tells_its_counts() -> None:
    lines = MNIST.read_text().splitlines()

    assert sum('"corruption": ' in line for line in lines) == 16
    assert max(map(len, lines)) < 2_500
    assert '"correct": 1963' in next(line for line in lines if '"corruption": "clean"' in line)


@given(st.lists(st.floats(min_value=1e-6, max_value=1e6), min_size=1))
def test_quantised_values_are_within_one_and_a_tenth_percent(values: list[float]) -> None:
    array = np.array(values)

    assert np.all(np.abs(unquantise(quantise(array)) / array - 1) < 0.011)


def test_the_mean_of_quantised_values_is_that_of_the_values() -> None:
    values = np.random.default_rng(0).gamma(2, 0.1, 2000)

    assert unquantise(quantise(values)).mean() == pytest.approx(values.mean(), rel=5e-4)


def _edit(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(baseline.encode(made()))
    change(document)
    return json.dumps(document).encode()


def _packed(count: int) -> str:
    return base64.b64encode(pack_classes(np.zeros(count))).decode()


def _digests(count: int) -> str:
    return base64.b64encode(bytes(4 * count)).decode()


def _names(text: str) -> str:
    return base64.b64encode(zlib.compress(text.encode())).decode()


def _bomb(document: dict[str, Any]) -> None:
    document["labels"] = base64.b64encode(b"\x01" + zlib.compress(bytes(300_000_000), 9)).decode()


def _swap(document: dict[str, Any]) -> None:
    clean = document["conditions"].pop(0)
    document["conditions"] = [
        {**row, "predictions": clean["predictions"], "correct": clean["correct"]} for row in document["conditions"]
    ]
    document["conditions"].append(clean)


def _twice(document: dict[str, Any]) -> None:
    document["conditions"].append(document["conditions"][-1])


GOOD = baseline.encode(made())
HOSTILE: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "line 1, column 1: not readable as JSON"),
    "a truncated file": (GOOD[: len(GOOD) // 2], "not readable as JSON"),
    "a merge conflict": (GOOD.replace(b"{\n", b"{\n<<<<<<< HEAD\n", 1), "line 2, column 1: not readable as JSON"),
    "bytes": (bytes(range(256)), "UTF-8"),
    "a number": (b"17", "not a baseline"),
    "another document": (b'{"schema": 1}', "not a baseline"),
    "a list of nothing": (b"[" * 200_000, "more values"),
    "a list in lists": (b"[" * 1000, "nested more than"),
    "half a million values": (b"[" + b"0," * 500_000 + b"0]", "more values"),
    "a count that was edited": (GOOD.replace(b'"correct": ', b'"correct": 1', 1), "condition clean: correct is 1"),
    "a count below zero": (_edit(lambda d: d["conditions"][0].update(correct=-1)), "correct is -1, but its predictions"),
    "a count that is a word": (_edit(lambda d: d["conditions"][0].update(correct="34")), "correct is '34'"),
    "a count that is true": (_edit(lambda d: d["conditions"][0].update(correct=True)), "correct is True"),
    "a huge count": (GOOD.replace(b'"correct": ', b'"correct": ' + b"9" * 30, 1), "too large"),
    "a severity below one": (_edit(lambda d: d["conditions"][1].update(severity=-1, profile="cifar-c")), "does not fit the plan"),
    "a level that cannot be": (_edit(lambda d: d["conditions"][1].update(parameters=[500.0])), "up to"),
    "a sample of another size": (_edit(lambda d: d["fluctuations"][0].update(sample=3)), "a sample of 3 images"),
    "a huge number of images": (_edit(lambda d: d["data"].update(images=10**9, dataset_images=10**9)), "are impossible"),
    "more images than there are": (_edit(lambda d: d["data"].update(images=10**4)), "are impossible"),
    "no images": (_edit(lambda d: d["data"].update(images=0)), "are impossible"),
    "a million digits": (b'{"larobust_baseline": ' + b"7" * 1_000_000 + b"}", "too large"),
    "a million decimals": (b'{"larobust_baseline": 1.' + b"7" * 1_000_000 + b"}", "too long"),
    "infinity": (b'{"larobust_baseline": 1e999}', "not finite"),
    "a level that is no number": (GOOD.replace(b'"parameters": [0.1', b'"parameters": [NaN', 1), "not finite"),
    "no data": (_edit(lambda d: d.pop("data")), "data: a table is needed, not None"),
    "no network's digest": (_edit(lambda d: d["network"].pop("sha256")), "network: sha256 is missing"),
    "a digest that is none": (_edit(lambda d: d["data"].update(fingerprint="../x")), "SHA-256"),
    "conditions that are a table": (_edit(lambda d: d.update(conditions={})), "conditions is a list"),
    "a condition that is a word": (_edit(lambda d: d["conditions"].insert(0, "clean")), "a table is needed, not 'clean'"),
    "predictions that are no text": (_edit(lambda d: d["conditions"][0].update(predictions=5)), "not base64"),
    "predictions that are no base64": (_edit(lambda d: d["conditions"][0].update(predictions="€")), "not base64"),
    "predictions that are cut": (_edit(lambda d: d["conditions"][0].update(predictions="AXic")), "cannot be read"),
    "predictions of other images": (_edit(lambda d: d["conditions"][1].update(predictions=_packed(39))), "cannot be read"),
    "labels that fill the memory": (_edit(_bomb), "labels: classes cannot be read"),
    "ids out of order": (_edit(lambda d: d.update(ids=base64.b64encode(zlib.compress(bytes(160))).decode())), "ids"),
    "a condition twice": (_edit(_twice), "is there twice"),
    "clean images last": (_edit(_swap), "clean comes first"),
    "noise without a level": (_edit(lambda d: d["conditions"][1].update(parameters=[])), "does not fit the plan"),
    "noise of another seed": (_edit(lambda d: d["conditions"][1].update(noise_seed=4)), "noise seed 4 does not fit"),
    "a name that clears the screen": (_edit(lambda d: d["network"].update(checkpoint="\x1b[2J")), "holds control characters"),
    "a name with a second line": (
        _edit(lambda d: d["conditions"][1].update(corruption="a\n::error::b")),
        "holds control characters",
    ),
    "layers that are numbers": (_edit(lambda d: d.update(layers=[1, 2])), "layers is a list of names"),
    "a layer too few": (_edit(lambda d: d["fluctuations"][0].update(relative=[0.5])), "each of 2 layers"),
    "a fluctuation below zero": (_edit(lambda d: d["fluctuations"][0].update(absolute=[1, -1])), "each of 2 layers"),
    "digests of other images": (_edit(lambda d: d.update(digests="AAAA")), "digests are not those of 40 images"),
    "names of other images": (_edit(lambda d: d.update(digests=_digests(40), files=_names("a.png"))), "the names of 40 images"),
    "a name that colours": (
        _edit(lambda d: d.update(digests=_digests(40), files=_names("\x1b[1m\n" * 39))),
        "holds control characters",
    ),
    "names that fill the memory": (_edit(lambda d: d.update(digests=_digests(40), files=_names("a" * 2**28))), "the names of 40"),
    "provenance that is a list": (_edit(lambda d: d.update(provenance=[])), "provenance: a table"),
}


@pytest.mark.parametrize(("content", "words"), HOSTILE.values(), ids=HOSTILE)
def test_a_baseline_that_does_not_add_up_is_told_in_one_line(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(content)

    with pytest.raises(UserError) as caught:
        baseline.read_baseline(path)
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 250 + len(str(path))
    assert caught.value.exit_code == 2


def test_a_baseline_of_the_first_version_is_read_and_written_in_the_present_one(tmp_path: Path) -> None:
    """Levels were single numbers then, and less was known of the network."""
    path = MNIST.parent / "quickstart-v1.json"
    old = baseline.read_baseline(path)
    baseline.write_baseline(tmp_path / "b.json", old)
    new = baseline.read_baseline(tmp_path / "b.json")

    assert json.loads(path.read_text(encoding="utf-8"))["larobust_baseline"] == 1
    assert json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))["larobust_baseline"] == 2
    assert [one.condition.parameters for one in old.answers][:2] == [(), (0.08,)]
    assert (old.network.activation_level, old.network.code, old.network.training_seed) == ("layer", None, None)
    assert new.network == old.network
    assert [one.pass_ for one in new.answers] == [one.pass_ for one in old.answers]
    assert all((a.predictions == b.predictions).all() for a, b in zip(new.answers, old.answers, strict=True))


@pytest.mark.parametrize("version", [0, 3, "1", None, 1.5, True, [], 10**18])
def test_an_unknown_version_is_not_comparable(tmp_path: Path, version: object) -> None:
    (tmp_path / "b.json").write_bytes(_edit(lambda d: d.update(larobust_baseline=version)))

    with pytest.raises(NotComparableError, match=r"this larobust reads versions up to 2"):
        baseline.read_baseline(tmp_path / "b.json")


def test_a_corruption_that_there_is_not_is_not_comparable(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_bytes(_edit(lambda d: d["conditions"][1].update(corruption="gausian_noise")))

    with pytest.raises(NotComparableError, match=r"gausian_noise=0\.1, a corruption that this larobust does not know"):
        baseline.read_baseline(tmp_path / "b.json")


def test_no_baseline_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(NotComparableError, match=r"there is no baseline; make one with: larobust baseline -o x"):
        baseline.read_baseline(tmp_path / "b.json", remedy="larobust baseline -o x")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(place=st.integers(0, len(GOOD) - 1), cut=st.integers(0, 40), put=st.binary(max_size=40))
def test_whatever_is_changed_is_read_or_refused(tmp_path: Path, place: int, cut: int, put: bytes) -> None:
    (tmp_path / "b.json").write_bytes(GOOD[:place] + put + GOOD[place + cut :])

    with contextlib.suppress(UserError):  # any other error fails
        baseline.read_baseline(tmp_path / "b.json")


def _digits(path: Path) -> None:
    path.write_bytes(b"7" * 100_000_000)


def _wide(path: Path) -> None:
    """As much as is read at all: values that take forty times as much memory as text."""
    path.write_bytes(b'{"larobust_baseline": 1, "x": [' + b"{}," * 140_000 + b'"' + b"x" * 16_000_000 + b'"]}')


def _many(path: Path, images: int = 1_000_000, conditions: int = 20, fluctuations: int = 0) -> None:
    """Twenty million answers, out of a hundred kilobytes."""
    document = json.loads(GOOD)
    zeros = _packed(images)
    document["data"].update(images=images, dataset_images=images)
    document["ids"] = base64.b64encode(zlib.compress(np.ones(images, dtype="<u4").tobytes(), 9)).decode()
    places = range(1, max(conditions, fluctuations) + 1)
    rows = [
        {"corruption": "gaussian_noise", "severity": None, "parameters": [place], "profile": None, "noise_seed": 3}
        for place in places
    ]
    document["conditions"] = [{**row, "correct": images, "predictions": zeros} for row in rows[:conditions]]
    means = {"absolute": [1], "relative": [1], "sample": min(images, 10_000), "per_image": _packed(min(images, 10_000))}
    document |= {"labels": zeros, "layers": ["act"], "fluctuations": [{**row, **means} for row in rows[:fluctuations]]}
    path.write_text(json.dumps(document))


def _of_many_images(path: Path) -> None:
    _many(path, images=2_000_000, conditions=10)


def _fluctuating(path: Path) -> None:
    _many(path, images=10_000, conditions=50, fluctuations=100)
    document = json.loads(path.read_bytes())
    document["fluctuations"] *= 19
    path.write_text(json.dumps(document))


def _endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _bombed(path: Path) -> None:
    path.write_bytes(HOSTILE["labels that fill the memory"][0])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of the memory is read from there")
@pytest.mark.parametrize("make", [_digits, _wide, _many, _of_many_images, _fluctuating, _endless, _pipe, _bombed])
def test_a_hostile_baseline_is_refused_within_two_seconds_and_200_megabytes(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "b.json")
    code = (
        "import sys, pathlib, time; began = time.process_time(); sys.modules['torch'] = None\n"
        f"sys.argv = ['larobust', 'check', '--baseline', {str(tmp_path / 'b.json')!r}, '--results', 'none.sqlite']\n"
        "from robustbench_la import cli\n"
        "code = cli._run()\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "print(code, time.process_time() - began, int(status.split('VmHWM:')[1].split()[0]) / 1000)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    status, seconds, megabytes = map(float, done.stdout.split())
    assert status in (2, 4)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert seconds < 2
    assert megabytes < 200


def test_the_alpha_that_an_older_baseline_gives_is_layeracts(tmp_path: Path) -> None:
    path = tmp_path / "older.json"
    path.write_bytes(GOOD.replace(b'"given": {"activation": "silu"}', b'"given": {"activation": "la_silu", "alpha": 0.1}'))

    assert baseline.read_baseline(path).given == {"activation": "la_silu", "layeract_alpha": 0.1}
