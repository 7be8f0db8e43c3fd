"""Folders of this host that other hosts reach: NFS exports and Samba shares.

On the server itself the filesystem is a local one, and flock does not meet the
locks of NFS clients (facts, NFS): only the tables of the servers tell.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.values import frozen

_MAX_BYTES = 4 * 1024 * 1024
_ESCAPE = re.compile(r"\\([0-7]{3})")
_SAMBA_PATH = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.IGNORECASE)


@frozen
class Export:
    """One folder that is exported."""

    folder: str
    """Its absolute path on this host."""
    said_by: str
    """Absolute path of the file that says so."""


def exports_of(path: str) -> tuple[Export, ...]:
    """Return the exports through which a folder, or part of it, can be reached."""
    found = [export for export in (*_nfs(), *_samba()) if _overlap(path, export.folder)]
    return tuple({export.folder: export for export in found}.values())


def _overlap(path: str, folder: str) -> bool:
    mine, other = f"{path.rstrip('/')}/", f"{folder.rstrip('/')}/"
    return mine.startswith(other) or other.startswith(mine)


def _nfs() -> Iterator[Export]:
    for file in ("/proc/fs/nfsd/exports", "/etc/exports", *_in_folder("/etc/exports.d")):
        for line in _lines(file):
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            # `"/srv/with space" host(...)`, or `/srv/with\040space host(...)`.
            folder = text[1:].partition('"')[0] if text[0] == '"' else text.split()[0]
            folder = _ESCAPE.sub(lambda found: chr(int(found[1], 8)), folder)
            if folder.startswith("/"):
                yield Export(folder, file)


def _samba() -> Iterator[Export]:
    for file in ("/etc/samba/smb.conf",):
        for line in _lines(file):
            found = _SAMBA_PATH.match(line)
            # `%u` and the like stand for any name: what comes before them counts.
            folder = found[1].partition("%")[0] if found else ""
            if folder.startswith("/"):
                yield Export(folder, file)


def _in_folder(folder: str) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in sorted(os.listdir(folder))]
    except OSError:
        return []


def _lines(file: str) -> list[str]:
    content = read_file(file, _MAX_BYTES)
    return [] if isinstance(content, ReadFailure) else os.fsdecode(content).splitlines()
