"""Environments named in uv's interpreter buckets. Pure, over hostile bytes.

uv remembers each interpreter it asked: one msgpack file, ``[[secs, nanos],
info]``, whose ``info`` changed with nearly every release. The environment's
prefix is found by shape instead of position: the scheme is the one array of
exactly five absolute paths ``[purelib, platlib, scripts, data, include]`` with
``scripts == data + "/bin"``, and ``data`` is the prefix. Bucket v0 has no such
scheme; its last string is ``sys_executable``.

Source: uv-cache-facts section 6 (run 0.1.5 to 0.13.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from cacheadmin.uv.untrusted_msgpack import first_object

# Real entries are 2 to 10 KiB.
MAX_BYTES = 256 * 1024
_MAX_DEPTH = 12
_PATH_LIMIT = 4096

# Real entries have some ten lists. A file of 100 KiB can have a hundred thousand.
_MAX_LISTS = 1_000


def environment_prefix(entry: bytes, bucket_version: int) -> str | None:
    """Return the prefix (``sys.prefix``) an entry speaks of; None where it can't be told."""
    info = _info(entry)
    if info is None:
        return None
    if bucket_version == 0:
        executable = info[-1] if isinstance(info, list) and info else None
        if not _is_path(executable):
            return None
        return str(executable).rpartition("/")[0].rpartition("/")[0] or None
    for scheme in islice(_lists(info, _MAX_DEPTH), _MAX_LISTS):
        if len(scheme) == 5 and all(_is_path(path) for path in scheme):
            data = str(scheme[3]).rstrip("/")
            if scheme[2] == f"{data}/bin" and data:
                return data
    return None


def _info(entry: bytes) -> Any:
    content = first_object(entry, MAX_BYTES, unicode_errors="surrogateescape")
    if isinstance(content, list) and len(content) == 2:
        return content[1]
    if isinstance(content, dict):
        return content.get("data")
    return None


def _lists(value: Any, depth: int) -> Iterator[list[Any]]:
    if depth == 0:
        return
    if isinstance(value, list):
        yield value
        for item in value:
            yield from _lists(item, depth - 1)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _lists(item, depth - 1)


def _is_path(value: Any) -> bool:
    return (
        isinstance(value, str)
        and value.startswith("/")
        and len(value) <= _PATH_LIMIT
        and "\0" not in value
    )
