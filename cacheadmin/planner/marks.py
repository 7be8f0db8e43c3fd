"""What is alive, as values: marks by entry. Pure; ``liveness`` makes them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import archive_in, archive_path
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Set

    from cacheadmin.inventory.entries import Archive, ArchiveId
    from cacheadmin.planner.reasons import Reason, Why
    from cacheadmin.planner.users import User

# So many marks of one entry are compared one by one before a set is worth its memory.
_FEW = 16


@frozen
class Use:
    """Why something is alive."""

    reason: Reason
    """What sort of reason it is."""
    user: User
    """Who or what uses it."""
    detail: str = ""
    """What else was found in this case; ``reason.found`` is the sentence it belongs to."""


@dataclass(slots=True)
class Liveness:
    """What is marked as used, by which users, and why."""

    archives: dict[ArchiveId, list[Use]] = field(default_factory=lambda: defaultdict(list))
    """Marks of each archive."""
    entries: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    """Marks of each entry that is neither an archive nor a bucket, by its path."""
    buckets: dict[str, list[Use]] = field(default_factory=lambda: defaultdict(list))
    """Marks of each bucket, by its name; a bucket without any is not needed."""
    hidden_uses: list[Use] = field(default_factory=list)
    """What could hide a use of any archive; while there is one, no archive is removed."""
    unused: tuple[Archive, ...] = ()
    """Wheels without any user, where that can be concluded."""
    evicted: dict[ArchiveId, Why] = field(default_factory=dict)
    """Archives that are removed with their pointers, each with why."""
    unused_sources: frozenset[str] = frozenset()
    """Paths of revisions and git sources without a user, where that can be concluded."""
    evicted_sources: dict[str, Why] = field(default_factory=dict)
    """Revisions, parts of them and git sources that are given up, by path, each with why."""

    occupied: frozenset[str] = frozenset()
    """Every marked path of ``entries``, and every folder above one."""
    _many: dict[str, set[Use]] = field(default_factory=dict)
    _of_many: set[Use] = field(default_factory=set)

    def within(self, path: str) -> list[Use]:
        """Return the marks of an entry and of whatever is in it."""
        if path not in self.occupied:
            return []
        below = path + "/"
        return [
            use
            for entry, uses in self.entries.items()
            if entry == path or entry.startswith(below)
            for use in uses
        ]

    def of(self, entry: str) -> list[Use]:
        """Return the marks of an entry by its path; buckets have their own."""
        archive = archive_in(entry)
        return self.entries.get(entry, []) if archive is None else self.archives.get(archive, [])

    def mark(self, entry: str, use: Use) -> None:
        """Mark an entry by its path, not twice for one use."""
        archive = archive_in(entry)
        key = entry if archive is None else archive
        marks = self.entries[entry] if archive is None else self.archives[archive]
        if len(marks) < _FEW:
            known = use in marks
        else:
            # Thousands of environments may share an archive: never search a list for each.
            seen = self._many.get(key)
            if seen is None:
                seen = self._many[key] = set(marks)
            known = use in seen
            seen.add(use)
        if not known:
            marks.append(use)

    def mark_archives(self, archives: Set[ArchiveId], use: Use) -> None:
        """Mark many archives for one use; faster than one by one, where it is their first."""
        if use in self._of_many:
            for archive in archives:
                self.mark(archive_path(archive), use)
            return
        self._of_many.add(use)
        for marks in map(self.archives.__getitem__, archives):
            marks.append(use)
        for shared in self._many.keys() & archives if self._many else ():
            self._many[shared].add(use)
