"""What a prune remembers in the state, once, in ``remember_run``.

Environments that it saw, the clock, ages of pins, and uses. Every look remembers
environments (``state.seen_environments``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.last_use import observed_entries, observes_use, record_uses
from cacheadmin.evidence.pin_ages import age_records
from cacheadmin.evidence.steady_time import is_to_be_noted
from cacheadmin.planner.planner import unused_entries
from cacheadmin.state.store import StateFull
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import NANOSECONDS

if TYPE_CHECKING:
    from collections.abc import Collection

    from cacheadmin.evidence.facts import Pin
    from cacheadmin.evidence.idleness import HostTime
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.state.store import State


def remember_run(snapshot: Snapshot) -> list[str]:
    """Remember what a prune saw; return what people should know.

    On a full disk a run goes on without: what is only in the cache's own
    records stays there (``bucket_needs``), and the next look writes it down.
    """
    state, evidence, here = snapshot.state, snapshot.evidence, snapshot.host_time
    try:
        state.remember(evidence.environments, snapshot.recorded_ns)
        _record_clock(state, here, snapshot.now_ns, evidence.clock_ahead_ns)
        _record_pin_ages(state, evidence.pins, here)
        warning = _record_uses(snapshot)
    except StateFull as error:
        return [f"{error.message}: what this run saw is not remembered"]
    return [warning] if warning else []


def _record_clock(state: State, here: HostTime, now_ns: int, ahead_ns: int) -> None:
    """Remember what this host's clock says, once an hour: later runs are held against it."""
    anchor = state.clock(here.host)
    if anchor is not None and anchor[0].boot == here.boot:
        passed_ns = here.uptime_ns - anchor[0].uptime_ns
        if 0 <= passed_ns < 3600 * NANOSECONDS:
            return
    wall_ns = now_ns + ahead_ns
    if is_to_be_noted(wall_ns, anchor, here):
        state.note_clock(here, wall_ns, now_ns)


def _record_uses(snapshot: Snapshot) -> str:
    """Remember what is used now, where the policy asks; return a warning or "".

    Where absence of use can't be concluded, everything counts as used.
    """
    if not observes_use(snapshot.policy):
        return ""
    unused = unused_entries(snapshot.case)
    rows, failures = record_uses(
        snapshot.cache,
        snapshot.inventory,
        snapshot.state.archive_uses(),
        {name for name, _ in observed_entries(snapshot.inventory)} - unused,
        snapshot.host_time,
        snapshot.collected.look.readers,
        attributes=snapshot.evidence.filesystem.keeps_user_xattrs is True,
    )
    snapshot.state.note_archive_uses(rows)
    if not failures:
        return ""
    words = format_count(failures, "entry", "entries")
    return f"{words} can't be given an attribute: never counted as unused"


def _record_pin_ages(state: State, pins: Collection[Pin], here: HostTime) -> None:
    """Remember for how long pins that can expire have been there."""
    before = {}
    if any(pin.expires_ns is not None for pin in pins):
        before = state.pin_ages()
    after = age_records(pins, before, here)
    if after:
        state.note_pin_ages(after)
