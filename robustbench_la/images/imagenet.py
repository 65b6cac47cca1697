"""ImageNet: its folders of images, and the names of its classes, which torchvision unpacks from the published archives."""

from __future__ import annotations

import io
import pickletools
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from robustbench_la.errors import UserError, first_line
from robustbench_la.images.folders import class_folders, from_files, image_files
from robustbench_la.images.label_sets import label_set_of
from robustbench_la.images.source import Source, Split

_NAMES = "meta.bin"
"""What torchvision writes: a pair of {WordNet id: names of the class} and the ids of the validation images, by torch.save."""
_MOST_BYTES = 16 * 2**20
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple}


def open_imagenet(root: Path, split: Split, download: bool) -> Source:
    """The folder ``train`` or ``val`` of ImageNet, with one sub-folder per WordNet id, and ``meta.bin`` beside it."""
    part = "train" if split == "train" else "val"
    if not (root / _NAMES).is_file() or not (root / part).is_dir():
        _unpack(root, part)
    names = _class_names(root / _NAMES)
    folders = class_folders(root / part)
    for folder in folders:
        if folder.name not in names:
            raise _unreadable(root, f"{root / _NAMES} does not name the class {folder.name!r}")
    samples = [(path, label) for label, folder in enumerate(folders) for path in image_files(folder)]
    if not samples:
        raise _unreadable(root, f"{root / part} holds no class sub-folders")
    source = from_files(root / part, samples, tuple(names[folder.name] for folder in folders), resize=256, crop=224)
    return replace(source, label_set=label_set_of([folder.name for folder in folders], source.labels))


def _unreadable(root: Path, reason: str) -> UserError:
    return UserError(
        f"cannot read ImageNet in {root}: {reason}; for class folders alone, use folder:DIR with --resize 256 --crop 224"
    )


def _unpack(root: Path, part: str) -> None:
    """Let torchvision unpack the archives, which it does only if they have the published MD5 sums."""
    import torchvision

    try:
        torchvision.datasets.ImageNet(root, split=part)
    except (RuntimeError, OSError, ValueError, EOFError, TypeError, KeyError, IndexError) as error:
        # What it says, without its advice to Python programmers.
        raise _unreadable(root, first_line(error).partition(". ")[0].rstrip(".")) from None


def _class_names(path: Path) -> dict[str, str]:
    """The first name of each class by its WordNet id."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        names, _ = _plain(_pickle_in(path.read_bytes()))
        first = {wordnet: synonyms[0] for wordnet, synonyms in names.items()}
        if not all(isinstance(name, str) for name in first.values()):
            raise ValueError("a class has a name that is no text")
        return first
    except Exception as error:  # zip files, pickles and what is in them fail in any way
        raise UserError(f"cannot read {path}: {first_line(error)}; delete it, and give the published archives") from None


def _pickle_in(content: bytes) -> bytes:
    """The pickle within a file of torch.save."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(member) as file:
            data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ValueError("it is too large")
    return data


def _plain(data: bytes) -> Any:
    """What a pickle of texts, tuples, lists and dictionaries by text holds. There is no instruction to call anything.

    torch.load(weights_only=True) calls nothing harmful either, but a few bytes can make it build tensors of any size, and hash
    tuples that hold each other for years.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[object, Any] = {}
    for opcode, argument, _ in pickletools.genops(data):
        match opcode.name:
            case "MARK":
                marks.append(len(stack))
            case "EMPTY_DICT" | "EMPTY_LIST" | "EMPTY_TUPLE":
                stack.append(_EMPTY[opcode.name]())
            case "BINUNICODE" | "SHORT_BINUNICODE":
                stack.append(argument)
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(_taken(stack, marks.pop() if opcode.name == "TUPLE" else -int(opcode.name[-1]))))
            case "SETITEM" | "SETITEMS":
                pairs = _taken(stack, marks.pop() if opcode.name == "SETITEMS" else -2)
                if not all(isinstance(key, str) for key in pairs[::2]):
                    raise ValueError("a dictionary has a key that is no text")
                stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
            case "APPEND" | "APPENDS":
                items = _taken(stack, marks.pop() if opcode.name == "APPENDS" else -1)
                stack[-1].extend(items)
            case other if other not in ("PROTO", "FRAME", "STOP"):
                raise ValueError(f"it holds more than texts (pickle's {other})")
    return stack.pop()


def _taken(stack: list[Any], start: int) -> list[Any]:
    """Takes from the stack all from ``start`` on."""
    items = stack[start:]
    del stack[start:]
    return items
