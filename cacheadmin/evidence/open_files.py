"""Which processes of this host keep deleted files alive that their filesystem can't let go.

On NFS and FUSE a file that is deleted while a process of the same host has it
open, or mapped, gets another name in its folder (``.nfs…``, ``.fuse_hidden…``)
and stays until that process ends (facts, NFS). The kernel knows who it is: such
a file is looked for by its identity, among what processes have open and mapped.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from cacheadmin.evidence.proc_files import DELETED, own_mount_namespace, process_ids, read_process
from cacheadmin.fs.removal import LEFT_OPEN, FileIdentity
from cacheadmin.fs.small_files import ReadFailure, read_file
from cacheadmin.values import frozen

_MAX_MAPS = 64 * 1024 * 1024


@frozen
class OpenedBy:
    """One process that has some of the files open."""

    pid: int
    """Its process id on this host."""
    uid: int
    """The account it runs as."""
    command: str
    """Its command line, cut after 120 characters."""

    files: frozenset[FileIdentity]
    """Which of the files."""


def opened_by(files: Collection[FileIdentity]) -> tuple[OpenedBy, ...]:
    """Return the processes of this host that have any of these files open or mapped.

    Those that the caller may not look into are not among them.
    """
    wanted = frozenset(files)
    found: list[OpenedBy] = []
    for pid in process_ids():
        mine = wanted.intersection((*_open(pid), *_mapped(pid)))
        process = read_process(pid, own_mount_namespace()) if mine else None
        if process is not None:
            found.append(OpenedBy(pid, process.uid, process.command, mine))
    return tuple(found)


def _open(pid: int) -> Iterator[FileIdentity]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        path = f"/proc/{pid}/fd/{name}"
        try:
            # Asked of files with such names only: another filesystem may not answer at all.
            if _may_be_left(os.readlink(path)):
                status = os.stat(path)
                yield FileIdentity(status.st_dev, status.st_ino)
        except OSError:
            continue


def _mapped(pid: int) -> Iterator[FileIdentity]:
    content = read_file(f"/proc/{pid}/maps", _MAX_MAPS)
    if isinstance(content, ReadFailure):
        return
    for line in content.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and _may_be_left(os.fsdecode(fields[5])):
            major, minor = (int(number, 16) for number in fields[3].split(b":"))
            yield FileIdentity(os.makedev(major, minor), int(fields[4]))


def _may_be_left(path: str) -> bool:
    return path.endswith(DELETED) or os.path.basename(path).startswith(LEFT_OPEN)
