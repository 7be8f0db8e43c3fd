"""Time that no user can set: the kernel's count since boot, and a clock held against it."""

from __future__ import annotations

import os
import time

from cacheadmin.evidence.idleness import HostTime

# NTP moves a clock by seconds; more than this is a clock that was set.
TOLERANCE_NS = 15 * 60 * 1_000_000_000


def host_time() -> HostTime:
    """Return this host, its boot, and the ns since then."""
    return HostTime(
        _host(),
        boot_id(),
        time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        time.clock_gettime_ns(time.CLOCK_MONOTONIC),
    )


def boot_id() -> str:
    """Return what tells this boot of the machine from every other."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def steady_moment(wall_ns: int, anchor: tuple[HostTime, int] | None, now: HostTime) -> int:
    """Return the wall clock (ns), less by how far it was set forward since ``anchor``.

    ``anchor`` is (host time, wall clock then). A clock that was set back makes
    everything look younger, which only keeps more; after a reboot nothing can
    be compared.
    """
    if anchor is None or (anchor[0].host, anchor[0].boot) != (now.host, now.boot):
        return wall_ns
    steady_ns = anchor[1] + now.uptime_ns - anchor[0].uptime_ns
    return steady_ns if wall_ns > steady_ns + TOLERANCE_NS else wall_ns


def _host() -> str:
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            return file.read(64).strip() or os.uname().nodename
    except (OSError, UnicodeDecodeError):
        return os.uname().nodename
