"""For how long no user has used an archive, whatever the clocks say. Pure.

uv notes no last use, access times tell of every backup and of our own scans,
and a clock may be set. So use is what our own runs have seen, and time is what
the kernel has counted since boot. A record holds one counter a host: how long
that host has seen the archive unused, of time that certainly passed:

- within one boot, the difference of the kernel's own count;
- after a reboot, the time since that boot: the run before lies further back;
- under another name in the same boot, as a job in a container has it, the same kernel
  counts on.

Seen in use by any host, all counters go. The longest counter is a lower bound
of the time since the last use; hosts are never added up, for they count the
same hours. A lost or damaged record begins at nothing: more is kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field

from cacheadmin.text.damage import DAMAGE
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

# More hosts than this share no cache; a longer record was made by hand.
_MAX_HOSTS = 1000
_MAX_LENGTH = 256 * 1024


@frozen
class HostTime:
    """Here and now: a host and the time that its kernel counts."""

    host: str
    """The host's name and machine id; nodes that boot from one image have one id."""
    boot: str
    """The kernel's random id of this boot."""
    uptime_ns: int
    """Nanoseconds since that boot, suspended time included."""
    running_ns: int = 0
    """Those of them in which the machine was not suspended; 0 in a record that does not say."""


@frozen
class Counter:
    """What one host has counted of one entry, or pin."""

    boot: str
    """The boot (`HostTime.boot`) in which it counted last."""
    uptime_ns: int
    """Nanoseconds from that boot to the last count."""
    idle_ns: int
    """For how many ns the host had seen the entry unused at that count."""


@frozen
class UseRecord:
    """What all hosts have counted of one entry, or pin."""

    counters: Mapping[str, Counter] = field(default_factory=dict)
    """Counters by host (`HostTime.host`); none when the entry was in use at the last look."""

    @property
    def idle_ns(self) -> int:
        """How long no user has used it, at least."""
        return max((counter.idle_ns for counter in self.counters.values()), default=0)


def observed(record: UseRecord | None, now: HostTime, *, used: bool) -> UseRecord:
    """Return the record after a look; None before the first one."""
    if used:
        return UseRecord()
    counters = dict(record.counters) if record is not None else {}
    before = counters.get(now.host)
    if before is None:
        # A job in a container has another name each night; its kernel counts on.
        same = [host for host, counter in counters.items() if counter.boot == now.boot]
        before = counters.pop(same[0]) if same else None
    passed = 0
    if before is not None:
        passed = before.idle_ns + now.uptime_ns
        if before.boot == now.boot:
            passed = before.idle_ns + max(0, now.uptime_ns - before.uptime_ns)
    counters[now.host] = Counter(now.boot, now.uptime_ns, passed)
    return UseRecord(counters)


def dumps(record: UseRecord) -> str:
    """Return a record as text; times in whole seconds, idleness rounded down."""
    rows = {
        host: [c.boot, -(-c.uptime_ns // NANOSECONDS), c.idle_ns // NANOSECONDS]
        for host, c in sorted(record.counters.items())
    }
    return json.dumps(rows, separators=(",", ":"))


def loads(text: str) -> UseRecord | None:
    """Return a record that was written; None for anything else."""
    if len(text) > _MAX_LENGTH:
        return None
    try:
        rows = json.loads(text)
        if not isinstance(rows, dict) or len(rows) > _MAX_HOSTS:
            return None
        return UseRecord({str(host): _counter(*row) for host, row in rows.items()})
    except DAMAGE:
        return None


def _counter(boot: str, uptime: int, idle: int) -> Counter:
    if not (type(uptime) is int and type(idle) is int and uptime >= 0 and 0 <= idle <= 10**11):
        raise ValueError("no counter")
    return Counter(str(boot), uptime * NANOSECONDS, idle * NANOSECONDS)
