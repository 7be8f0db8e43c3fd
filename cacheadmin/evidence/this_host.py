"""Which observations are this host's own, and by what name it tells of itself.

Two hosts may call themselves alike (``localhost``, ``web1`` of two domains), and nodes
that boot from one image have one machine id. One's observation must not take the place
of the other's, nor be passed over there as its own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable

from cacheadmin.evidence.observations import Observation, host_name
from cacheadmin.evidence.steady_time import boot_id, machine_id
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.values import frozen

_DIGITS = 8
_ID = re.compile(rf"[0-9a-f]{{{_DIGITS}}}")

# Clocks are set by so much right after a boot.
_SLACK_NS = 5 * 60 * NANOSECONDS


@frozen
class ThisHost:
    """What this host is told apart by."""

    name: str
    """What it calls itself."""
    machine: str
    """Its machine id; empty where it has none."""
    boot: str
    """The kernel's id of this boot."""
    booted_ns: int
    """When that was, by its clock (ns since the epoch)."""
    now_ns: int
    """What its clock says."""

    @property
    def names(self) -> tuple[str, ...]:
        """By what it may tell of itself, the first choice first."""
        ids = [one[:_DIGITS] for one in (self.machine, self.boot) if one]
        return (self.name, *(f"{self.name}.{one}" for one in ids))

    def has_told(self, one: Observation) -> bool:
        """Whether an observation is of this host: of this boot, or of one before it.

        What was told since by another boot, but not by this one, is another machine's.
        """
        if one.host not in self.names or one.machine not in ("", self.machine):
            return False
        since_boot = self.booted_ns + _SLACK_NS <= one.at_ns <= self.now_ns + _SLACK_NS
        return one.boot == self.boot or not since_boot

    def is_called_like(self, one: Observation) -> bool:
        """Whether an observation is of another host that calls itself as this one does."""
        name, _, rest = one.host.rpartition(".")
        alike = one.host == self.name or (name == self.name and _ID.fullmatch(rest) is not None)
        return alike and not self.has_told(one)

    def name_among(self, known: Iterable[Observation]) -> str:
        """Return by what name it tells of itself, beside what hosts have told."""
        told = {one.host: one for one in sorted(known, key=lambda one: one.at_ns)}
        own = [name for name in self.names if name in told and self.has_told(told[name])]
        free = [name for name in self.names if name not in told]
        return (own + free)[0] if own or free else self.names[-1]


def this_host() -> ThisHost:
    """Return what tells this host from others."""
    now_ns = time.time_ns()
    up_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return ThisHost(host_name(), machine_id(), boot_id(), now_ns - up_ns, now_ns)
