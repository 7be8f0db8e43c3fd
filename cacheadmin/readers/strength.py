"""How many readers work at once: what ``scan.executor`` and ``scan.workers`` ask for.

On a local disk a third reader waits for the same disk, and each has to learn again
where links lead: more of them took 1.06 to 1.77 times the CPU time. On a network
filesystem each operation waits for a server, and sixteen readers wait together. So
with `auto` it is measured, in readers that are at work: time in which they neither
run nor wait for a processor is time in which they wait for storage. No operation is
made for it, and a busy machine is not taken for slow storage.
"""

from __future__ import annotations

import os
import time

from cacheadmin.values import frozen

# Readers on a local disk.
_USUAL = 2

# Readers where they wait for storage, unless the policy names another number.
_WHERE_THEY_WAIT = 16

# The least time over which waiting is measured, and the share of it that makes more of them pay.
_MEASURED_SECONDS = 0.05
_WAITING_SHARE = 0.5


@frozen
class Strength:
    """How many readers a pool may have."""

    usual: int
    """So many where they are found busy."""

    most: int
    """So many where they wait for storage."""


def usual_strength() -> Strength:
    """Return what a pool has that no policy speaks of."""
    usual = min(_USUAL, os.cpu_count() or 1)
    return Strength(usual, usual)


def strength_of(executor: str, workers: int | None) -> Strength:
    """Return how many readers a policy asks for by ``scan.executor`` and ``scan.workers``."""
    if executor == "processes":
        number = workers or os.cpu_count() or 1
        return Strength(number, number)
    most = workers or _WHERE_THEY_WAIT
    return Strength(min(usual_strength().usual, most), most)


class Waiting:
    """How much of its time a reader waits for storage."""

    def __init__(self, pid: int) -> None:
        self._path = f"/proc/{pid}/schedstat"
        self._since: tuple[float, float, float] | None = None

    def begin(self) -> None:
        """Measure from the next question on."""
        self._since = None

    def is_most(self) -> bool | None:
        """Whether that is most of its time; None as long as it can't be told."""
        busy = _busy_seconds(self._path)
        ours = _busy_seconds("/proc/self/schedstat")
        now = time.monotonic()
        if busy is None or ours is None:
            return None
        if self._since is None:
            self._since = now, busy, ours
            return None
        # While this process runs, or waits for a processor, a reader may wait for it.
        passed = now - self._since[0] - (ours - self._since[2])
        if passed < _MEASURED_SECONDS:
            return None
        return 1 - (busy - self._since[1]) / passed > _WAITING_SHARE


def _busy_seconds(path: str) -> float | None:
    """Return for how long a process has run or could have; None where the kernel does not tell."""
    try:
        with open(path, "rb", buffering=0) as file:
            ran, queued = file.read(100).split()[:2]
        return (int(ran) + int(queued)) / 1e9
    except (OSError, ValueError):
        return None
