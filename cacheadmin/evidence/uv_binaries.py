"""Whether a running executable is uv, by its bytes: people rename programs.

Wrappers of distributions call it ``.uv-wrapped``, and a user may call it
anything. Each executable is read once, by device, inode, size and time. A
user could start a thousand programs of a gigabyte, so what is read for one
account is bounded; beyond that only the name tells, and that is said.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable

from cacheadmin.uv.executables import version_in
from cacheadmin.values import frozen

# No uv is smaller: 0.0.5 has 20 MB. Most programs are, and cost one stat.
_SMALLEST = 6 * 1024 * 1024

# What is read of one account's executables in one look.
_BYTES_OF_ONE = 2 * 1024 * 1024 * 1024

_Identity = tuple[int, int, int, int]


@frozen
class ReadBinary:
    """What was read of one executable."""

    identity: tuple[int, int, int, int]
    """Device, inode, size and modification time (ns)."""
    version: str | None
    """The uv release that it is; None for what is no uv."""
    uid: int
    """The account of the process that ran it."""


class UvBinaries:
    """Answers for running executables; remembers them."""

    def __init__(self) -> None:
        self._versions: dict[_Identity, str | None] = {}
        self._read: Counter[int] = Counter()
        self.passed_over: Counter[int] = Counter()
        """How many executables of each uid were not read, being too many."""
        self._new: list[ReadBinary] = []

    def take_new(self) -> tuple[ReadBinary, ...]:
        """Return what was read since this was asked last: a reader tells it to who asked."""
        new, self._new = tuple(self._new), []
        return new

    def learn(self, binaries: Iterable[ReadBinary]) -> None:
        """Remember what a reader read."""
        for one in binaries:
            if one.identity not in self._versions:
                self._versions[one.identity] = one.version
                self._read[one.uid] += one.identity[2]

    def version_of(self, pid: int, uid: int) -> str | None:
        """Return the uv release that a process's executable is; None for what is no uv.

        ``/proc/PID/exe`` is the very file that runs, also when it was replaced or
        lies behind other mounts; it is read, never started.
        """
        try:
            fd = os.open(f"/proc/{pid}/exe", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size < _SMALLEST:
                return None
            key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
            if key not in self._versions:
                # Root's own programs are the site's; theirs are not counted.
                if uid and self._read[uid] + status.st_size > _BYTES_OF_ONE:
                    self.passed_over[uid] += 1
                    return None
                self._read[uid] += status.st_size
                self._versions[key] = version_in(fd)
                self._new.append(ReadBinary(key, self._versions[key], uid))
            return self._versions[key]
        finally:
            os.close(fd)
