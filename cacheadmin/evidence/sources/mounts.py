"""Mounts, of this host and its containers, that show an entry of the cache by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.mounted_entries import MOUNTED_ENTRIES, mount_tables
from cacheadmin.readers import Unreadable

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import NamedEntry


class Mounts:
    """What goes on being used behind a mount, by no name in the cache."""

    id = "mount"

    def collect(self, look: Look) -> Facts:
        """Return the entries that mounts of any namespace show."""
        tables = tuple(mount_tables(look.inventory.cache.path))
        answers = look.readers.ask_all(MOUNTED_ENTRIES, tables)
        named: list[NamedEntry] = []
        unseen: list[Unseen] = []
        for table, answer in zip(tables, answers, strict=True):
            if isinstance(answer, Unreadable):
                path = f"/proc/{table.process}/mountinfo"
                unseen.append(Unseen("process", path, answer.reason, True, answer.uid))
            else:
                named += answer
        return Facts(named=tuple(named), unseen=tuple(unseen))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what is mounted since; nothing under the lock: accounts make namespaces."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)
