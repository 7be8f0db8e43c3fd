"""Time that no user can set: the kernel's count since boot, and a clock held against it."""

from __future__ import annotations

import os
import time

from cacheadmin.evidence.idleness import HostTime

# NTP moves a clock by seconds; more than this is a clock that was set.
TOLERANCE_NS = 15 * 60 * 1_000_000_000

# What passed between the last run and this boot no kernel counted: the machine was off, or its
# clock came up wrong. So much of it is believed, as sites prune at least once a week.
_MOST_UNCOUNTED_NS = 7 * 86_400 * 1_000_000_000

# 2026-01-01: no run of a release that notes times was before. A clock that says so was not set yet.
_EARLIEST_NS = 1_767_225_600 * 1_000_000_000

# After its boot a machine without a battery for its clock asks for the time.
_SETTLED_NS = 3600 * 1_000_000_000


def host_time() -> HostTime:
    """Return this host, its boot, and the ns since then."""
    return HostTime(
        host_key(),
        boot_id(),
        time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    )


def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def steady_moment(wall_ns: int, anchor: tuple[HostTime, int] | None, now: HostTime) -> int:
    """Return the time (ns) by which ages are judged: what the wall clock says, if that has passed.

    ``anchor`` is (host time, this moment then) of this host's last run. A clock that was set
    forward, and weeks in which the machine was off and no user could use anything, make
    no environment and no user older: what is told beyond the time that the kernel has counted
    passes at double speed until it is caught up with. A clock that was set back makes
    everything look younger, which only keeps more.
    """
    if anchor is None or anchor[1] < _EARLIEST_NS:
        return wall_ns
    ran_ns, steady_ns = _counted(wall_ns, anchor, now)
    return wall_ns if wall_ns <= steady_ns + TOLERANCE_NS else min(wall_ns, steady_ns + ran_ns)


def recorded_moment(wall_ns: int, anchor: tuple[HostTime, int] | None, now: HostTime) -> int:
    """Return the time (ns) to write down for what is seen, or begins, now.

    ``anchor`` as for ``steady_moment``. What is written down under a clock that is behind would
    be old as soon as the clock is right again: the time is no earlier than this host has counted.
    Nothing is judged by it now, as a clock that was ahead before would make all else older.
    """
    if anchor is None or anchor[1] < _EARLIEST_NS:
        return wall_ns
    return max(wall_ns, _counted(wall_ns, anchor, now)[1])


def is_to_be_noted(wall_ns: int, anchor: tuple[HostTime, int] | None, now: HostTime) -> bool:
    """Whether a run's time is to be the next anchor.

    Not a clock that has gone back right after a boot: it will be set soon, and what it says then
    would look like a leap forward.
    """
    if anchor is None or now.uptime_ns >= _SETTLED_NS:
        return True
    return wall_ns >= _counted(wall_ns, anchor, now)[1] - TOLERANCE_NS


def _counted(wall_ns: int, anchor: tuple[HostTime, int], now: HostTime) -> tuple[int, int]:
    """Return how long the host ran since (ns, as far as known), and what time it is by that."""
    then, moment_ns = anchor
    if then.boot == now.boot:
        ran_ns = now.uptime_ns - then.uptime_ns
        return ran_ns, moment_ns + ran_ns
    before_boot_ns = wall_ns - now.uptime_ns - moment_ns
    between_ns = min(max(before_boot_ns, 0), _MOST_UNCOUNTED_NS)
    return now.uptime_ns, moment_ns + between_ns + now.uptime_ns


def host_key() -> str:
    """Return what tells this host from others in records: its name and its machine id.

    Each alone may be that of several hosts.
    """
    return f"{os.uname().nodename} {machine_id()}".strip()


def machine_id() -> str:
    """Return the machine id; empty where there is none. Nodes that boot from one image share it."""
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read(64).strip()
    except (OSError, UnicodeDecodeError):
        return ""
