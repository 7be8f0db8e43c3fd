"""What people were told of a cache, and when: at most one message a cause and day.

Losing it sends a message once more, never one less. It is kept under the path
of the cache alone, because a cache that can't be opened is told of too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field

from cacheadmin.inventory.entries import CacheIdentity
from cacheadmin.state.location import default_url
from cacheadmin.state.store import State
from cacheadmin.state.tables import NOTIFICATION
from cacheadmin.text.damage import DAMAGE
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

_DAY_NS = 24 * 3600 * NANOSECONDS


@frozen
class Told:
    """The last message about one cause."""

    told_ns: int
    """When it was sent (ns since the epoch)."""

    until_ns: int = 0
    """Events up to this moment (ns since the epoch) were told; 0 for a cause without events."""

    also: frozenset[str] = field(default_factory=frozenset)
    """Later events that were told too, each by a text of its own."""

    def is_of_the_day_of(self, now_ns: int) -> bool:
        """Whether it was sent on the day (UTC) of ``now_ns``.

        A clock that was set back makes it another day: one message more.
        """
        return self.told_ns // _DAY_NS == now_ns // _DAY_NS


class Notifications(State):
    """What was told of one cache, in the same state as everything else."""

    def read(self) -> Mapping[str, Told]:
        """Return the last message of each cause. Raises StateUnusable, NotPermitted."""
        rows = self._read(NOTIFICATION, ("cause", "record"), cache=self._key)
        told = {cause: _parsed(record) for cause, record in rows}
        return {cause: one for cause, one in told.items() if one is not None}

    def note(self, told: Mapping[str, Told]) -> None:
        """Remember messages that were sent, by cause. Raises StateUnusable, NotPermitted."""
        rows = [
            (self._key, cause, json.dumps([one.told_ns, one.until_ns, sorted(one.also)]))
            for cause, one in told.items()
        ]
        if rows:
            self._put(NOTIFICATION, rows)


def open_notifications(url: str | None, cache_path: str) -> Notifications:
    """Return what was told of the cache at a path; nothing is created or connected to yet."""
    return Notifications(url or default_url(), CacheIdentity(cache_path, 0, 0))


def _parsed(record: str) -> Told | None:
    """Return what a record says; None for a damaged one: one message more."""
    try:
        told_ns, until_ns, also = json.loads(record)
        return Told(int(told_ns), int(until_ns), frozenset(map(str, also)))
    except DAMAGE:
        return None
