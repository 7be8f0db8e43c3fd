"""Compiled files that no RECORD lists: would Python believe them? Pure.

uv never compiles into an archive; Python does when it runs from one (cached
environments of ``uvx``), and so does ``python -m compileall``. A ``.pyc``
cannot be checked against RECORD, and it is run in the place of its source: an
old way to smuggle code. What can be told from its first 16 bytes:

- Without a source, ``name.pyc`` beside the modules is imported as it is; in
  ``__pycache__`` it is never looked at.
- By time stamp: Python uses it if the source's mtime and size are those in
  it, else it compiles again. One that does not match is rubbish.
- By hash, checked: as above with the source's hash.
- By hash, unchecked: Python uses it whatever the source says.

SourceFile: PEP 552, PEP 3147, importlib.
"""

from __future__ import annotations

import importlib.util
from enum import Enum

from cacheadmin.values import frozen

HEADER_BYTES = 16
_CACHE = "__pycache__"


class Bytecode(Enum):
    """What a compiled file is to Python."""

    FITS = "fits its source"
    OTHER_PYTHON = "its source's hash is that of another Python's making"
    STALE = "it does not fit its source: Python compiles again"
    UNCHECKED = "it tells Python never to compare it with its source"
    WITHOUT_SOURCE = "no source: Python imports it as it is"
    ORPHAN = "its source is gone: Python never looks at it"
    BROKEN = "it is no compiled file"


@frozen
class SourceFile:
    """What is known of the source beside a compiled file."""

    mtime_ns: int
    """Its modification time (ns since the epoch)."""
    size_bytes: int
    """Its length in bytes."""
    content: bytes | None = None
    """Its content, where a hash of it has to be compared; None where it was not read."""


def is_cached(path: str) -> bool:
    """Whether a compiled file lies in a ``__pycache__``."""
    return f"/{path}".rpartition("/")[0].endswith(f"/{_CACHE}")


def needs_content(header: bytes) -> bool:
    """Whether the source's content is needed to judge a compiled file."""
    return _flags(header) == 0b11 and header[:4] == importlib.util.MAGIC_NUMBER


def judge(header: bytes, path: str, source: SourceFile | None) -> Bytecode:
    """Return what a compiled file's first 16 bytes make it to Python.

    The source's hash depends on the Python that made it: it is compared where
    that is the one we run on.
    """
    if source is None:
        return Bytecode.ORPHAN if is_cached(path) else Bytecode.WITHOUT_SOURCE
    # The last two of the four bytes of magic are these in every Python.
    if len(header) < HEADER_BYTES or header[2:4] != b"\r\n":
        return Bytecode.BROKEN
    flags = _flags(header)
    if flags == 0:
        stamp = (source.mtime_ns // 1_000_000_000) & 0xFFFFFFFF
        same = header[8:12] == stamp.to_bytes(4, "little")
        same = same and header[12:16] == (source.size_bytes & 0xFFFFFFFF).to_bytes(4, "little")
        return Bytecode.FITS if same else Bytecode.STALE
    if flags != 0b11:
        return Bytecode.UNCHECKED if flags == 0b01 else Bytecode.BROKEN
    return _judge_hash(header, source)


def _judge_hash(header: bytes, source: SourceFile) -> Bytecode:
    if not needs_content(header) or source.content is None:
        return Bytecode.OTHER_PYTHON
    same = header[8:16] == importlib.util.source_hash(source.content)
    return Bytecode.FITS if same else Bytecode.STALE


def _flags(header: bytes) -> int:
    return int.from_bytes(header[4:8], "little")
