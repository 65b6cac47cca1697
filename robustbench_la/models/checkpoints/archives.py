"""Zip archives whose sizes are checked before anything in them is unpacked."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from robustbench_la.errors import UserError

FACTOR = 8
"""How many times the bytes of a file what it declares may be: weights hardly compress, and few of them are named twice."""
_MOST = 20_000
"""Files in an archive: more than a large network, its averages and its optimizer take."""
_LARGEST_DIRECTORY = 4 * 2**20
_LOCAL_HEADER = struct.Struct("<26xHH")


class _Directory(io.BytesIO):
    """Bytes of which zipfile reads the directory, unless that is too large."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _LARGEST_DIRECTORY:
            raise UserError(f"a zip archive whose directory takes {size:,} bytes; a checkpoint has at most {_MOST:,} parts")
        return super().read(size)


class Archive:
    """A zip archive.

    Args:
        raw: Its content.

    Raises:
        UserError: If it is damaged, or holds more than its size can account for.
    """

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        try:
            with zipfile.ZipFile(_Directory(raw)) as archive:
                entries = archive.infolist()
        except UserError:
            raise
        except Exception as error:  # zipfile raises its own, those of struct, of encodings, NotImplementedError and others
            fault = f"a damaged or incomplete zip archive: {type(error).__name__}; copy or download it again"
            raise UserError(f"not a checkpoint that torch can read ({fault})") from None
        if len(entries) > _MOST:
            raise UserError(f"a zip archive of {len(entries):,} parts; a checkpoint has at most {_MOST:,}")
        declared = sum(entry.file_size for entry in entries)
        if declared > FACTOR * len(raw):
            raise UserError(f"a zip archive of {len(raw):,} bytes that declares {declared:,} bytes of content")
        self._entries = {entry.filename: entry for entry in entries}

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    @property
    def names(self) -> list[str]:
        """Of its files, in order."""
        return list(self._entries)

    def read(self, name: str) -> bytes | memoryview:
        """The content of a file in it. Its check sum is not checked: torch can write files without.

        Args:
            name: One of ``names``.

        Raises:
            UserError: If it is encrypted, or its content is not there.
        """
        entry = self._entries[name]
        header = self._raw[entry.header_offset : entry.header_offset + _LOCAL_HEADER.size]
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError("a zip archive that is encrypted, or compressed as torch cannot read it")
        if len(header) == _LOCAL_HEADER.size and entry.header_offset >= 0:
            start = entry.header_offset + _LOCAL_HEADER.size + sum(_LOCAL_HEADER.unpack(header))
            content = memoryview(self._raw)[start : start + entry.compress_size]
            if entry.compress_type == zipfile.ZIP_STORED and len(content) == entry.file_size:
                return content
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                unpacked = zlib.decompressobj(-15).decompress(content, entry.file_size or 1)
                if len(unpacked) == entry.file_size:
                    return unpacked
        raise UserError("not a checkpoint that torch can read (a zip archive whose content is cut off)")
