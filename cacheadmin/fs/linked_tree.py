"""Every link of a folder and of what lies behind its links, within bounds.

People move ``lib`` or ``site-packages`` to a larger disk and leave a link, so
a tree does not end where its folder does. But the user who owns the tree may also
link it to itself, to ``/``, or to another user's data. So each folder is known by
device and inode and visited once, and depth, links followed and entries looked
at are limited. What is beyond a limit is said, never passed over.

The caller decides which link is followed: this module reads no link.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache

from cacheadmin.fs.held_folder import is_gone_from
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.small_files import failure, open_directory

MAX_DEPTH = 64

# Of one tree. A large environment has 300,000 entries, and no links to folders.
MAX_ENTRIES = 2_000_000
MAX_FOLLOWED = 1_000

# Of all trees of one account together: what it links from one tree to the next is many times there.
MAX_ENTRIES_OF_ONE = 20_000_000

# Filesystems that the kernel makes up: endless, and no user's packages.
_MADE_UP = frozenset(
    {
        *("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "configfs", "securityfs"),
        *("devpts", "devtmpfs", "mqueue", "binfmt_misc", "bpf", "pstore", "efivarfs"),
    }
)

Identity = tuple[int, int]


class Allowance:
    """How many entries of trees are looked at for each account, in one run."""

    def __init__(self) -> None:
        self._left: dict[int | None, int] = {}

    def left(self, uid: int | None) -> int:
        """Return how many entries an account may still have looked at."""
        return self._left.get(uid, MAX_ENTRIES_OF_ONE)

    def spend(self, uid: int | None, entries: int) -> None:
        """Count entries that were looked at for an account."""
        self._left[uid] = self.left(uid) - entries


class LinkedTree:
    """One tree, visited once; see the module.

    ``seen`` are folders (device, inode) that need no visit, and receives those
    visited: hand the same set to several trees and nothing is visited twice.
    ``problems`` says in words what was not looked at, and why. ``allowance`` and
    ``uid``: for which account it is looked at, and how much in all.
    """

    def __init__(
        self,
        top: str,
        seen: set[Identity] | None = None,
        allowance: Allowance | None = None,
        uid: int | None = None,
    ) -> None:
        self.problems: list[str] = []
        self._seen: set[Identity] = set() if seen is None else seen
        # Each with its depth, and the folder that its visit began with.
        self._waiting = [(top, 0, top)]
        self._followed = 0
        self._entries = 0
        self._allowance = allowance
        self._uid = uid
        self.vanished = False
        """Whether a folder that was listed is gone, as while its user removes or installs: what
        comes in its place is for a later look."""
        self.is_too_much = False
        """Whether it ended because more is looked at for no account."""

    def folders(self) -> Iterator[tuple[str, int, list[str]]]:
        """Yield each folder that holds links: its path, its descriptor, their names.

        The descriptor is closed when the next one is asked for.
        """
        while self._waiting:
            if self._allowance is not None and self._allowance.left(self._uid) <= 0:
                self.is_too_much = True
                return
            folder, depth, first = self._waiting.pop()
            try:
                fd = open_directory(folder, follow=folder == first)
            except OSError as error:
                self._note(folder, first, error)
                continue
            try:
                names = self._links_in(folder, fd, depth, first)
                if names:
                    yield folder, fd, names
            except OSError as error:
                self._note(folder, first, error)
            finally:
                os.close(fd)
            if self._entries > MAX_ENTRIES:
                self.problems.append(f"it has more than {MAX_ENTRIES} entries; not all were seen")
                return

    def follow(self, path: str) -> None:
        """Visit the folder that a link leads to, too; ``path`` is the link, or where it leads."""
        self._followed += 1
        if self._followed == MAX_FOLLOWED + 1:
            self.problems.append(f"it has more than {MAX_FOLLOWED} links to folders")
        if self._followed <= MAX_FOLLOWED:
            self._waiting.append((path, 0, path))

    def _links_in(self, folder: str, fd: int, depth: int, first: str) -> list[str]:
        status = os.fstat(fd)
        identity = (status.st_dev, status.st_ino)
        if identity in self._seen or status.st_dev in made_up_devices():
            return []
        self._seen.add(identity)
        links = []
        before = self._entries
        with os.scandir(fd) as entries:
            for entry in entries:
                self._entries += 1
                if entry.is_symlink():
                    links.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH:
                        self._waiting.append((f"{folder}/{entry.name}", depth + 1, first))
                    else:
                        where = f"{folder}/{entry.name} is deeper than {MAX_DEPTH} folders"
                        self.problems.append(f"{where} and was not looked into")
        if self._allowance is not None:
            self._allowance.spend(self._uid, self._entries - before)
        return links

    def _note(self, folder: str, first: str, error: OSError) -> None:
        """Note what could not be listed; not what is gone while all that it lay in is there."""
        problem = failure(folder, error)
        if problem.missing and is_gone_from(first, folder):
            self.vanished = True
        else:
            self.problems.append(f"{folder} can't be read: {problem.reason}")


@cache
def made_up_devices() -> frozenset[int]:
    """Return the devices of filesystems like ``/proc``, which hold no user's files."""
    try:
        return frozenset(mount.device for mount in read_mounts() if mount.kind in _MADE_UP)
    except (OSError, ValueError, IndexError):
        return frozenset()
