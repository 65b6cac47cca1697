"""Which class folder each output of a network stands for, where that is not simply the sorted order of the folders."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from robustbench_la.errors import UnfitError, UserError, did_you_mean, lookup
from robustbench_la.files import at_home, similar_files
from robustbench_la.images.decoding import UndecodedImages
from robustbench_la.images.label_sets import WORDNET_IDS
from robustbench_la.untrusted.content import CONTROL, named, place, read_text

LABEL_MAPS: Mapping[str, str] = MappingProxyType({"imagenet-subset": WORDNET_IDS})
"""Names of maps, with the files in this folder that hold them, one name of a folder per output."""
_WORDNET = re.compile(r"n\d{8}")
_SHOWN = 6
_SHOWN_NAMES = 5
_MOST_CLASSES = 65_536
_LARGEST = 2**21
"""The largest file of labels, in bytes; 21,000 classes of ImageNet take 250,000."""


def names_of_outputs(labels: str | None, label_map: str | None) -> tuple[str, ...] | None:
    """The folder that each output stands for.

    Args:
        labels: A text file whose line i is the name of the folder of output i.
        label_map: A key of LABEL_MAPS.

    Returns:
        One name per output; None if neither is given.

    Raises:
        UserError: If both are given, or the file cannot be read or names a folder twice.
    """
    if labels is not None and label_map is not None:
        raise UserError("give either --labels or --label-map, not both")
    if label_map is not None:
        name = lookup(LABEL_MAPS, label_map, kind="label map")
        return tuple(Path(__file__).with_name(name).read_text(encoding="ascii").split())
    if labels is None:
        return None
    lines = _lines(labels)
    names = tuple(line.strip() for line in lines)
    while names and not names[-1]:
        names = names[:-1]
    if (fault := _fault(names)) is not None:
        raise UserError(f"--labels {labels} {fault}; line i is the name of the folder of output i, starting with output 0")
    return names


def _fault(names: Sequence[str]) -> str | None:
    """What is wrong with the names in the lines of a file; None if nothing is."""
    first: dict[str, int] = {}
    for line, name in enumerate(names, 1):
        if not name:
            return f"has nothing in line {line}"
        if first.setdefault(name, line) != line:
            return f"names {name[:40]!r} more than once, in lines {first[name]} and {line}"
    return None if names else "is empty"


def _lines(labels: str) -> list[str]:
    """The lines of a text file."""
    try:
        text = read_text(at_home(labels), largest=_LARGEST).replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise UserError(f"--labels {labels}: no such file{similar_files(Path(labels))}") from None
    except UserError as error:
        raise UserError(f"--labels {labels}: {error}") from None
    if (wrong := CONTROL.search(text)) is not None:
        raise UserError(f"--labels {labels}: {place(text, wrong.start())} holds {named(wrong[0])}")
    lines = text.splitlines()
    if len(lines) > _MOST_CLASSES:
        raise UserError(f"--labels {labels}: it names more than {_MOST_CLASSES:,} folders, one per line; no network has so many")
    return lines


def relabelled(images: UndecodedImages, names: Sequence[str]) -> UndecodedImages:
    """A dataset whose labels are numbers of outputs instead of positions among its sorted folders.

    Args:
        images: The dataset.
        names: Of the folder of each output; folders of some outputs may be missing.

    Returns:
        The dataset with all outputs as its classes, and a remark on those that are measured.

    Raises:
        UserError: If a folder stands for no output.
    """
    numbers = {name: number for number, name in enumerate(names)}
    folders = images.source.classes
    for folder in folders:
        if folder not in numbers:
            raise UserError(
                f"class {folder!r} of {images.choice.name} is not among the {len(names)} labels, of which line i is the folder "
                f"of output i and nothing else{did_you_mean(folder, names, shown=_SHOWN_NAMES)}"
            )
    source = replace(images.source, labels=[numbers[folders[label]] for label in images.source.labels], classes=tuple(names))
    remarks = images.remarks
    if len(folders) < len(names):
        measured = sorted(numbers[folder] for folder in folders)
        shown = ", ".join(map(str, measured[:_SHOWN])) + (", ..." if len(measured) > _SHOWN else "")
        remarks = (*remarks, f"images for {len(folders)} of {len(names)} outputs ({shown}); the others are never right")
    return replace(images, source=source, remarks=remarks, labels_given=True)


def check_class_names(trained: Sequence[str], images: UndecodedImages, *, network: str) -> None:
    """Check that labels mean for the data what they meant in training, unless the user said what they mean.

    Args:
        trained: The names of the classes that a checkpoint was trained on; empty if unknown.
        images: The data.
        network: Name of the checkpoint, for the error.

    Raises:
        UserError: If the names differ; those of one dataset in two forms (``0 - zero``, ``0``) count as equal.
    """

    def first_words(classes: Sequence[str]) -> list[str]:
        return [(name.split() or [name])[0].casefold() for name in classes]

    names = images.source.classes
    if not trained or images.labels_given or len(trained) != len(names) or first_words(trained) == first_words(names):
        return
    if all(map(_WORDNET.fullmatch, names)) and not any(map(_WORDNET.fullmatch, trained)):
        return  # numbers of WordNet for ImageNet's classes, and their names: nothing that could be compared
    number = next(number for number, (one, other) in enumerate(zip(trained, names, strict=True)) if one != other)
    what = "the same classes in another order" if set(trained) == set(names) else "other classes"
    raise UnfitError(
        f"{network} was trained on {what} than {images.choice.name} has: output {number} is {trained[number]!r}, and class "
        f"{number} here is {names[number]!r}",
        "if outputs and folders do belong together, say how with --labels FILE",
    )
