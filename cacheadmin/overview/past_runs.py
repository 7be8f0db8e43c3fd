"""Past prunes in a report: what each moved, and until when it can be undone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError
from cacheadmin.overview.facts import PastPrunes, PastRun
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.prune.quarantine import existing_quarantine
from cacheadmin.prune.runs import list_runs
from cacheadmin.text.timestamps import nanoseconds, parse_rfc3339

if TYPE_CHECKING:
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.policy.model import Policy
    from cacheadmin.prune.runs import Run


def quarantine_of(policy: Policy, cache: OpenCache) -> PastPrunes:
    """Return the past prunes of a cache, or why they can't be read (it is often root's)."""
    path = choose_quarantine(policy, cache).path
    keep_ns = nanoseconds(policy.quarantine.keep)
    try:
        with existing_quarantine(policy, cache) as quarantine:
            runs = [] if quarantine is None else list(list_runs(quarantine, cache.identity))
    except CacheadminError as error:
        return PastPrunes(path, (), unread=error.message)
    except OSError as error:
        return PastPrunes(path, (), unread=error.strerror or "unreadable")
    return PastPrunes(path, tuple(_past(run, keep_ns) for run in reversed(runs)))


def _past(run: Run, keep_ns: int) -> PastRun:
    begun_ns = parse_rfc3339(run.begun_at)
    return PastRun(
        run_id=run.run_id,
        state=run.state.value,
        begun_at=run.begun_at,
        host=run.host,
        entries=len(run.entries),
        size_bytes=run.bytes,
        until_ns=begun_ns + keep_ns if run.restorable and begun_ns is not None else None,
    )
