"""What a cache took over time: at most a record an hour, and fewer the older they are.

Records are thinned by whole hours, days and weeks of the calendar in UTC, and
the last of each stays. So a record that is kept once is the one that would be
kept later too, however often and in whatever steps the record is thinned.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from cacheadmin.state.store import State
from cacheadmin.state.tables import SIZE_HISTORY
from cacheadmin.text.damage import DAMAGE
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

_HOUR_NS = 3600 * NANOSECONDS
_DAY_NS = 24 * _HOUR_NS
_WEEK_NS = 7 * _DAY_NS

# One for each so long, in the last so many of these. Whole days, then whole
# weeks, grow old at once: thinning twice comes to the same as thinning once.
_STEPS = ((_HOUR_NS, 2, _DAY_NS), (_DAY_NS, 52, _WEEK_NS), (_WEEK_NS, 520, _WEEK_NS))


@frozen
class SizeRecord:
    """What a cache took at one moment.

    What ``allocated_bytes`` is larger than a sum of parts belongs to none of these parts.
    """

    taken_ns: int
    """That moment, in ns since the epoch."""
    allocated_bytes: int
    """Bytes on the disk of the whole cache."""
    files: int
    """How many inodes the cache had."""
    buckets: Mapping[str, int]
    """Allocated bytes of each bucket, by its name."""
    teams: Mapping[str, int]
    """Allocated bytes of each team, by its name; without what belongs to no team."""
    packages: Mapping[str, int]
    """Allocated bytes of the largest packages, by their names."""


class SizeHistory(State):
    """The sizes of one cache over time, in the same state as everything else."""

    def read(self) -> tuple[SizeRecord, ...]:
        """Return what is remembered, oldest first. Raises StateUnusable, NotPermitted."""
        rows = self._read(SIZE_HISTORY, ("taken_ns", "record"), cache=self._key)
        records = (_parsed(taken_ns, text) for taken_ns, text in rows)
        return tuple(record for record in records if record is not None)

    def note(self, record: SizeRecord) -> bool:
        """Remember a record and thin out older ones; False within an hour of the last.

        Raises StateUnusable, NotPermitted.
        """
        known = [one.taken_ns for one in self.read()]
        if any(0 <= record.taken_ns - taken_ns < _HOUR_NS for taken_ns in known):
            return False
        times_ns = [*known, record.taken_ns]
        stays = worth_keeping(times_ns, record.taken_ns)
        for taken_ns in known:
            if taken_ns not in stays:
                self._delete(SIZE_HISTORY, cache=self._key, taken_ns=taken_ns)
        self._put(SIZE_HISTORY, [(self._key, record.taken_ns, _text(record))])
        return True


def open_size_history(state: State) -> SizeHistory:
    """Return the history that belongs to a cache's state."""
    return SizeHistory(state.url, state.cache)


def worth_keeping(times_ns: Iterable[int], now_ns: int) -> frozenset[int]:
    """Return the times that stay: one an hour for 2 days, a day for a year, then a week.

    After ten years none. What seems to lie in the future (a clock was wrong) stays.
    """
    last: dict[tuple[int, int], int] = {}
    for taken_ns in times_ns:
        for each_ns, number, unit_ns in _STEPS:
            if now_ns // unit_ns - taken_ns // unit_ns <= number:
                period = (each_ns, taken_ns // each_ns)
                last[period] = max(last.get(period, taken_ns), taken_ns)
                break
    return frozenset(last.values())


def _text(record: SizeRecord) -> str:
    return json.dumps(
        {
            "bytes": record.allocated_bytes,
            "files": record.files,
            "buckets": dict(record.buckets),
            "teams": dict(record.teams),
            "packages": dict(record.packages),
        }
    )


def _parsed(taken_ns: int, text: str) -> SizeRecord | None:
    """Return a record; None for a damaged one: a chart can do without a point."""
    try:
        record = json.loads(text)
        return SizeRecord(
            taken_ns,
            int(record["bytes"]),
            int(record["files"]),
            *(_sizes(record[part]) for part in ("buckets", "teams", "packages")),
        )
    except DAMAGE:
        return None


def _sizes(part: Mapping[str, object]) -> dict[str, int]:
    return {name: int(str(size)) for name, size in part.items()}
