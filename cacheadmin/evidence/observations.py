"""What another host told of its own use of the cache. Pure facts; ``cacheadmin.hosts`` keeps them.

Entries are paths relative to the cache root, so they mean the same on every
host, wherever it mounts the cache. Times are nanoseconds since the epoch, by
the clock of the host that observed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from cacheadmin.evidence.release_trace import ReleaseTrace
from cacheadmin.values import frozen


@frozen
class ObservedUse:
    """Entries of the cache that one user of the observing host uses."""

    who: str
    """The user, for people: an environment's path, or a process with its number."""
    uid: int | None
    """The account it belongs to on that host."""
    entries: tuple[str, ...]
    """What it uses: ``archive-v0/<id>``, ``environments-v2/<name>`` and the like."""


@frozen
class Reach:
    """How the observing host reaches the cache."""

    path: str
    """The cache's path there."""
    kind: str
    """The filesystem, as its mount table says: ``nfs4``, ``ext4``."""
    source: str
    """What is mounted: ``server:/export``."""
    mount_point: str
    """Where it is mounted."""
    options: tuple[str, ...]
    """The mount's options."""
    read_only: bool
    """Whether nothing can be written from there."""


@frozen
class SharedMount:
    """A filesystem of the observing host, on which the cache or an environment lies."""

    mount_point: str
    """Where it is mounted."""
    kind: str
    """The filesystem, as the mount table says."""
    source: str
    """What is mounted."""
    filesystem: str
    """What its server calls it, the same on every client; empty where that is not known."""
    root: int
    """The inode of the folder that is mounted; 0 where it is not known."""


@frozen
class Sight:
    """How the observing host sees the cache itself."""

    token: str | None
    """The token that it reads there; None: it sees none."""
    inode: int
    """The inode of the cache's root as it sees it."""
    writable: bool
    """Whether the account that observed may write there."""
    clock_ahead_ns: int | None
    """How far its clock is ahead of the filesystem's, in ns; None: that could not be tried."""
    access_seen: bool | None
    """Whether its lookups move access times of links; None: that could not be tried."""
    sprung: tuple[str, ...]
    """Entries on trial whose tripwires it saw to have sprung."""


@frozen
class ObservedGap:
    """A place on the observing host that it could not look at."""

    id: str
    """Stable id of the gap, as `Gap.id`."""
    subject: str
    """The place there: a path, an account, a namespace."""
    detail: str
    """A sentence: what was not looked at, and why."""
    uid: int | None
    """The account of that host that may use the cache from there; None where unknown."""


@frozen
class Observation:
    """Everything that one host saw of one cache at one moment."""

    host: str
    """Its name, as ``hosts.expect`` has it."""
    boot: str
    """The boot of that machine in which it was taken."""
    at_ns: int
    """When, by the clock of that host."""
    uid: int
    """The account that observed."""
    version: str
    """The release of cacheadmin that observed."""
    reach: Reach
    """How that host reaches the cache."""
    uses: tuple[ObservedUse, ...]
    """Entries in use there, by user."""
    releases: tuple[ReleaseTrace, ...]
    """Traces of uv releases on that host."""
    gaps: tuple[ObservedGap, ...]
    """Places that it could not look at."""
    environments: int
    """How many environments were looked at, those without a use of the cache too."""
    unreferenced: tuple[str, ...] = ()
    """Archives that nothing in the cache led to before anything else was looked at.

    What uses none of them then can't come to use them later.
    """
    mounts: tuple[SharedMount, ...] = ()
    """The filesystems on which the cache and environments lie there, the cache's first."""
    sight: Sight | None = None
    """How it sees the cache; None: that release did not tell."""
    machine: str = ""
    """Its machine id; empty where it has none, or that release did not tell."""


@frozen
class Observations:
    """What all hosts told, and what of it can't be believed or read."""

    known: tuple[Observation, ...] = ()
    """Records that can be read and believed."""
    problems: tuple[str, ...] = ()
    """Sentences: which record, and what is wrong with it."""


class KeptObservations(Protocol):
    """Where observations are kept."""

    def read(self) -> Observations:
        """Return all of them; raises nothing for what it finds."""


class NoObservations:
    """No place for observations."""

    def read(self) -> Observations:
        """Return nothing."""
        return Observations()


def host_name() -> str:
    """Return what this host calls itself, as ``hosts.expect`` names it."""
    return os.uname().nodename.lower()


def of_hosts(observations: Sequence[Observation]) -> dict[str, tuple[Observation, ...]]:
    """Return the observations of each host, the newest first."""
    found: dict[str, list[Observation]] = {}
    for one in sorted(observations, key=lambda one: -one.at_ns):
        found.setdefault(one.host, []).append(one)
    return {host: tuple(seen) for host, seen in found.items()}
