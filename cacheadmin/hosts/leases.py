"""One run a cache among all hosts: whose turn it is, told by files in a folder they share.

The problem. ``flock`` may end at this host (facts, NFS), and where it reaches the
others a server that restarts may forget it. Two runs at once would move each
other's entries.

The model. A lease is a file ``run.lease.N``. Who makes the file of the next
number has the lease: of two that try, one fails (``link`` never replaces).
Numbers only grow, since the highest file stays; an empty one is a lease that
was given back. So the number is the fence: a holder has lost its turn as soon
as a higher file is there, or its own is gone.

- A lease that no host renews ends (``LASTS_SECONDS``), by the clock of the
  filesystem: its modification time against that of a file made just now. A
  host's own clock says nothing to others.
- A holder renews in the background, and trusts a renewal for less than that
  (``TRUSTED_SECONDS``), counted by its own kernel with time asleep: a machine
  that was suspended finds its lease over before it finds a rival.
- Who has made a file looks for a higher one: it may have read the folder long ago.
- A client of NFS may believe what is a minute old: a lease lasts longer than that
  and what its holder trusts together, so what seems over to any host is over.
- Where the run lock of this very kernel is held, a lease of the same boot has
  no holder any more: its process is dead.

``tests/property/hosts/test_turns_interleavings.py`` goes through every order of steps of two
hosts, with pauses, crashes and old news; it fails where one of these rules is left out.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict
from typing import Protocol

from cacheadmin.errors import CacheBusy
from cacheadmin.fs.small_files import ReadFailure, read_file_and_status
from cacheadmin.text.accounts import account_name
from cacheadmin.text.damage import DAMAGE
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

LASTS_SECONDS = 120.0
RENEW_SECONDS = 15.0
TRUSTED_SECONDS = 50.0

_NAME = "run.lease."
_NUMBERED = re.compile(rf"{re.escape(_NAME)}(\d{{1,18}})", re.ASCII)
_UNLINKED = re.compile(r"\.lease\.[0-9a-f]{16}", re.ASCII)
_MOST_BYTES = 4096


class LeaseLost(CacheBusy):
    """The turn of this host is over: nothing more may be moved, nor put back."""


@frozen
class LeaseHolder:
    """Who works on a cache."""

    host: str
    """The host's name."""
    boot: str
    """The id of its kernel's boot."""
    pid: int
    """The process on that host."""
    uid: int
    """The account on that host."""

    def words(self) -> str:
        """Return it for people."""
        return f"process {self.pid} of {account_name(self.uid)} on host {self.host}"


def lost(why: str) -> LeaseLost:
    """Return what is said of a turn that is over."""
    return LeaseLost(
        f"this host does not have the turn on the cache any more: {why}",
        details=("nothing more was moved",),
        hint="run it again: what this run did not finish is put back first",
    )


class Lease(Protocol):
    """A turn among hosts that can be taken, and lost."""

    lasts_seconds: float
    """For how many seconds a renewal can be trusted without asking again."""

    def try_take(self) -> LeaseHolder | None:
        """Take it; else return who has it. ``Unknown`` where that can't be told."""

    def number(self) -> int:
        """Return the number of the lease that was taken last; numbers grow with every turn."""

    def renew(self) -> None:
        """Renew it. Raises LeaseLost."""

    def check(self) -> None:
        """Make sure that it is held still. Raises LeaseLost."""

    def give_back(self) -> None:
        """Give it back; harmless where it was lost."""


UNKNOWN = LeaseHolder("", "", 0, 0)


class FileLease:
    """A lease by files in an open folder that only root and the owner of the cache write to."""

    lasts_seconds = TRUSTED_SECONDS

    def __init__(self, folder_fd: int, path: str, me: LeaseHolder) -> None:
        self._folder_fd = folder_fd
        self._path = path
        self._me = me
        self._number = 0
        self._fd: int | None = None

    def number(self) -> int:
        """Return the number of the lease that was taken last."""
        return self._number

    def try_take(self) -> LeaseHolder | None:
        """Take the lease; else return who has it. Raises OSError where nothing can be written."""
        mine, own_fd = self._write()
        try:
            found = self._highest()
            before = self._read(found) if found else None
            now_ns = os.fstat(own_fd).st_mtime_ns
            if before is not None and not self._is_over(before, now_ns):
                return before.holder
            number = found + 1
            try:
                os.link(
                    mine,
                    f"{_NAME}{number}",
                    src_dir_fd=self._folder_fd,
                    dst_dir_fd=self._folder_fd,
                    follow_symlinks=False,
                )
            except FileExistsError:
                # NFS may say so of the second try of a link whose first answer was lost.
                if not self._is_mine(number, own_fd):
                    return self._holder_of(number)
            except FileNotFoundError:
                # We stood still for so long that ours was taken for a dead host's.
                return self._holder_of(self._highest())
            highest = self._highest()
            if highest != number:
                # We read the folder long ago: its files were taken, given back and cleared since.
                self._discard(number)
                return self._holder_of(highest)
            self._number, self._fd = number, os.dup(own_fd)
        finally:
            os.close(own_fd)
            self._unlink(mine)
        self._clear_below(number)
        self._clear_unlinked(now_ns)
        return None

    def renew(self) -> None:
        """Set the lease's time to the filesystem's own. Raises LeaseLost."""
        fd = self._held()
        try:
            os.utime(fd)
        except OSError as error:
            raise self._lost(f"it can't be renewed: {error.strerror}") from None

    def check(self) -> None:
        """Make sure that the file is there, and none above it. Raises LeaseLost.

        Three system calls. Opening the folder makes a client of NFS ask its
        server for what is new in it.
        """
        held = os.fstat(self._held())
        try:
            folder_fd = self._fresh()
            try:
                there = os.stat(f"{_NAME}{self._number}", dir_fd=folder_fd, follow_symlinks=False)
                above = _exists(f"{_NAME}{self._number + 1}", folder_fd)
            finally:
                os.close(folder_fd)
        except FileNotFoundError:
            raise self._lost("its file is gone") from None
        except OSError as error:
            raise self._lost(f"it can't be looked at: {error.strerror}") from None
        if above:
            raise self._lost(f"{self._holder_of(self._number + 1).words()} took over")
        if (held.st_dev, held.st_ino) != (there.st_dev, there.st_ino):
            raise self._lost("its file was replaced")

    def give_back(self) -> None:
        """Empty the file: who comes next need not wait."""
        if self._fd is None:
            return
        fd, self._fd = self._fd, None
        try:
            os.ftruncate(fd, 0)
        except OSError:
            # It ends by itself.
            pass
        finally:
            os.close(fd)

    # What these are made of

    def _held(self) -> int:
        if self._fd is None:
            raise self._lost("it was given back")
        return self._fd

    def _lost(self, why: str) -> LeaseLost:
        return lost(f"{why} ({self._path}/{_NAME}{self._number})")

    def _is_mine(self, number: int, own_fd: int) -> bool:
        own = os.fstat(own_fd)
        try:
            there = os.stat(f"{_NAME}{number}", dir_fd=self._folder_fd, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)

    def _is_over(self, record: _Record, now_ns: int) -> bool:
        if record.holder is None:
            return True
        if record.holder.boot == self._me.boot:
            # We hold the run lock of this kernel, which its process held.
            return True
        return now_ns - record.modified_ns > LASTS_SECONDS * NANOSECONDS

    def _write(self) -> tuple[str, int]:
        """Write a file that says who we are; return its name and descriptor."""
        name = f".lease.{os.urandom(8).hex()}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=self._folder_fd)
        try:
            os.write(fd, json.dumps(asdict(self._me)).encode())
            # By the clock of the server, where there is one.
            os.utime(fd)
        except BaseException:
            os.close(fd)
            os.unlink(name, dir_fd=self._folder_fd)
            raise
        return name, fd

    def _fresh(self) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return os.open(".", flags, dir_fd=self._folder_fd)

    def _numbers(self) -> list[int]:
        fd = self._fresh()
        try:
            names = os.listdir(fd)
        finally:
            os.close(fd)
        return [int(found[1]) for found in map(_NUMBERED.fullmatch, names) if found]

    def _highest(self) -> int:
        return max(self._numbers(), default=0)

    def _read(self, number: int) -> _Record | None:
        """Return what the file of a number says; None where it is gone."""
        found = read_file_and_status(f"{_NAME}{number}", _MOST_BYTES, self._folder_fd)
        if isinstance(found, ReadFailure):
            return None if not _exists(f"{_NAME}{number}", self._folder_fd) else _UNREADABLE
        content, status = found
        return _Record(_holder(content), status.st_mtime_ns)

    def _holder_of(self, number: int) -> LeaseHolder:
        record = self._read(number)
        return UNKNOWN if record is None or record.holder is None else record.holder

    def _clear_below(self, number: int) -> None:
        for one in self._numbers():
            if one < number:
                self._discard(one)

    def _clear_unlinked(self, now_ns: int) -> None:
        """Remove what processes left that were killed while they took a lease."""
        fd = self._fresh()
        try:
            for name in filter(_UNLINKED.fullmatch, os.listdir(fd)):
                try:
                    status = os.stat(name, dir_fd=fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if now_ns - status.st_mtime_ns > LASTS_SECONDS * NANOSECONDS:
                    self._unlink(name)
        finally:
            os.close(fd)

    def _discard(self, number: int) -> None:
        self._unlink(f"{_NAME}{number}")

    def _unlink(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._folder_fd)
        except FileNotFoundError:
            # Who has a higher lease was quicker.
            pass


@frozen
class _Record:
    """What the file of a lease says."""

    holder: LeaseHolder | None
    """Who has it; None: it was given back."""
    modified_ns: int
    """When it was renewed (ns), by the filesystem's clock."""


# Kept for held, as everything that can't be read: it has no time to be over by.
_UNREADABLE = _Record(UNKNOWN, 2**63)


def _holder(content: bytes) -> LeaseHolder | None:
    if not content:
        return None
    try:
        row = json.loads(content)
        return LeaseHolder(str(row["host"]), str(row["boot"]), int(row["pid"]), int(row["uid"]))
    except DAMAGE:
        return UNKNOWN


def _exists(name: str, folder_fd: int) -> bool:
    try:
        os.stat(name, dir_fd=folder_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
