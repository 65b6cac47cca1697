"""Files that torch.save wrote, in both of its formats, as plain values and tensors. Nothing in them is executed."""

from __future__ import annotations

import io
import struct
import sys
from collections.abc import Callable

import numpy as np
import torch

from robustbench_la.models.checkpoints.archives import Archive
from robustbench_la.models.checkpoints.pickled_values import NAMED, StorageType, Stored, set_state
from robustbench_la.models.checkpoints.plain_values import DamagedError
from robustbench_la.models.checkpoints.unpickle import Unpickler

_MAGIC = 0x1950A86A20F9469CFC6C
"""The number that files from before torch 1.6 start with."""
_PROTOCOL = 1001


def read_torch(raw: bytes) -> object:
    """What a file holds.

    Args:
        raw: Its content.

    Returns:
        Dictionaries, lists, tensors and plain values.

    Raises:
        DamagedError: If torch cannot have written it, or it declares more than it holds.
        NotAllowedError: If it holds other objects.
        UserError: If the archive around it is damaged.
    """
    if raw.startswith(b"PK"):
        return _of_archive(Archive(raw))
    if not raw.startswith(b"\x80"):
        raise DamagedError("damaged, or of an unknown format")
    return _of_older(raw)


def _of_archive(archive: Archive) -> object:
    """The content of an archive: a pickle, and a file for each storage."""
    pickled = next((name for name in archive.names if name == "data.pkl" or name.endswith("/data.pkl")), None)
    if pickled is None:
        raise DamagedError("no weights of torch")
    root = pickled.removesuffix("data.pkl")
    order = bytes(archive.read(f"{root}byteorder")) if f"{root}byteorder" in archive else b"little"
    storages: dict[str, torch.UntypedStorage] = {}

    def stored(key: str, declared: int, dtype: torch.dtype) -> torch.UntypedStorage:
        name = f"{root}data/{key}"
        if name not in archive:
            raise DamagedError("numbers that are not in the archive")
        if key not in storages:
            content = archive.read(name)
            if declared != len(content):
                raise DamagedError(f"{declared:,} bytes of numbers declared, but {len(content):,} stored")
            storages[key] = _storage(content, dtype, swapped=order.decode("ascii") != sys.byteorder)
        return storages[key]

    return Unpickler(NAMED, _reference(stored), set_state).load(io.BytesIO(archive.read(pickled)))


def _storage(content: bytes | memoryview, dtype: torch.dtype, *, swapped: bool) -> torch.UntypedStorage:
    if not content:
        return torch.UntypedStorage(0)  # type: ignore[no-untyped-call]  # torch does not type it
    numbers = bytearray(content)
    if swapped and dtype.itemsize > 1:
        size = dtype.itemsize // 2 if dtype.is_complex else dtype.itemsize
        numbers = bytearray(np.frombuffer(numbers, f"u{size}").byteswap().tobytes())
    return torch.frombuffer(numbers, dtype=torch.uint8).untyped_storage()


def _of_older(raw: bytes) -> object:
    """The content of a file from before torch 1.6: pickles, then the storages one after the other."""
    file = io.BytesIO(raw)
    storages: dict[str, torch.UntypedStorage] = {}
    sizes: dict[str, int] = {}
    left = len(raw)

    def stored(key: str, declared: int, dtype: torch.dtype) -> torch.UntypedStorage:
        nonlocal left
        if key not in storages:
            left -= declared
            if left < 0:
                raise DamagedError(f"numbers of more than the {len(raw):,} bytes of the file declared")
            storages[key] = torch.UntypedStorage(declared)  # type: ignore[no-untyped-call]  # torch does not type it
            sizes[key] = dtype.itemsize
        if storages[key].nbytes() != declared:
            raise DamagedError("numbers declared twice, with different sizes")
        return storages[key]

    unpickler = Unpickler(NAMED, _reference(stored), set_state)
    if unpickler.load(file) != _MAGIC or unpickler.load(file) != _PROTOCOL:
        raise DamagedError("damaged, or of an unknown format")
    system = unpickler.load(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise DamagedError("written on a machine with another order of bytes")
    content, keys = unpickler.load(file), unpickler.load(file)
    if not isinstance(keys, list) or len(keys) != len(storages) or {*map(str, keys)} != storages.keys():
        raise DamagedError("other numbers than those declared")
    for key in keys:
        size = storages[key].nbytes()
        counted = file.read(8)
        numbers = file.read(size)
        if len(counted) < 8 or struct.unpack("<q", counted)[0] * sizes[key] != size or len(numbers) != size:
            raise DamagedError("the file is cut off")
        if size:
            target = torch.empty(0, dtype=torch.uint8).set_(storages[key])
            target.copy_(torch.frombuffer(bytearray(numbers), dtype=torch.uint8))
    return content


def _reference(stored: Callable[[str, int, torch.dtype], torch.UntypedStorage]) -> Callable[[object], Stored]:
    """From what a pickle says about stored numbers, to them."""

    def reference(said: object) -> Stored:
        if not isinstance(said, tuple) or len(said) not in (5, 6) or said[0] != "storage" or not isinstance(said[1], StorageType):
            raise DamagedError("a reference to what are no numbers")
        _, kind, key, _, count, *view = said
        if type(key) is not str or type(count) is not int or not 0 <= count < 2**48 or view not in ([], [None]):
            raise DamagedError("a reference to what are no numbers")
        return Stored(stored(key, count * kind.dtype.itemsize, kind.dtype), kind.dtype)

    return reference
