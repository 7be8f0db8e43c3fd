"""Take the search path of its builder out of a compiled module.

A module that pip compiled for a Python of its own names that Python's library
folder (``RUNPATH``), say below a user's home: root would load libraries from
there. PyPI's wheels name none, or one beside the module (``$ORIGIN``), which
stays.

Source: ELF-64, "Dynamic Section"; it is what ``chrpath --delete`` does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NULL, _DT_STRTAB = 0, 5
_SEARCH_PATHS = frozenset({15, 29})  # DT_RPATH, DT_RUNPATH


def without_search_path(module: bytes) -> bytes:
    """Return a 64-bit little-endian ELF file whose dynamic section names no foreign folder.

    Everything else comes back as it is. Raises ValueError for a module of
    another sort, of which nothing can be said.
    """
    if module[:6] != b"\x7fELF\x02\x01":
        raise ValueError("no 64-bit little-endian ELF file")
    changed = bytearray(module)
    segments = list(_segments(module))
    for kind, offset, _, length in segments:
        if kind != _PT_DYNAMIC:
            continue
        entries = list(struct.iter_unpack("<QQ", module[offset : offset + length]))
        strings = _offset(dict(entries)[_DT_STRTAB], segments)
        kept = [
            (tag, value)
            for tag, value in entries
            if tag not in _SEARCH_PATHS or _text(module, strings + value).startswith(b"$ORIGIN")
        ]
        kept += [(_DT_NULL, 0)] * (len(entries) - len(kept))
        changed[offset : offset + length] = b"".join(struct.pack("<QQ", *entry) for entry in kept)
    return bytes(changed)


def _segments(module: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (kind, offset, address, length in the file) of each segment."""
    (table,) = struct.unpack_from("<Q", module, 32)
    size, number = struct.unpack_from("<HH", module, 54)
    for index in range(number):
        kind, _, offset, address, _, length = struct.unpack_from(
            "<IIQQQQ", module, table + index * size
        )
        yield kind, offset, address, length


def _offset(address: int, segments: list[tuple[int, int, int, int]]) -> int:
    for kind, offset, start, length in segments:
        if kind == _PT_LOAD and start <= address < start + length:
            return offset + address - start
    raise ValueError("the names of an ELF file lie in no segment of it")


def _text(module: bytes, offset: int) -> bytes:
    return module[offset : module.index(b"\0", offset)]
