"""What is sent to workers, and what comes back: plain data (``readers.plain_data``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin import __version__
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.installed_packages import ScanOptions
from cacheadmin.evidence.questions import ScannedByNumber
from cacheadmin.evidence.targets import lies_in_another_root
from cacheadmin.fs.same_place import Place, place_of
from cacheadmin.readers.plain_data import from_plain, pack, unpack
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look


@frozen
class SharedLook:
    """What every batch of one look is read with."""

    release: str
    """The release of cacheadmin that asks: a worker has the same one."""
    cache: str
    """Path of the cache."""
    place: Place
    """The cache's folder, as the host that asks sees it."""
    buckets: tuple[str, ...]
    """Names of its buckets."""
    aliases: tuple[str, ...]
    """What else the cache is called."""
    archives: tuple[str, ...]
    """Ids of its archives: answers name them by their places here."""
    on_trial: tuple[str, ...]
    """Ids of archives that are on trial."""
    from_index: tuple[int, ...]
    """Places of archives that were built from no git commit."""
    memory_bytes: int
    """What a reader may take: see ``readers.ReaderLimits``."""
    cpu_seconds: float
    """CPU time for one environment."""
    deadline_seconds: float
    """How long one environment may take."""


@frozen
class SharedTask:
    """One environment that a worker is to read."""

    candidate: Candidate
    """The environment."""
    options: ScanOptions
    """How it is read."""
    place: Place
    """Its folder, as the host that asks sees it."""


@frozen
class SharedAnswer:
    """What a worker saw of an environment in which nothing rests on what lies around it."""

    scanned: ScannedByNumber
    """What was seen."""
    outward: tuple[str, ...]
    """Absolute texts of links that lead to no place in the cache there: here they may."""


# For each environment of a batch what was seen of it; None for one that has to be read elsewhere.
Answers = tuple[SharedAnswer | None, ...]


def shared_look(look: Look) -> SharedLook:
    """Return what workers have to know of a look. Raises OSError."""
    inventory = look.inventory
    limits = look.readers.limits
    from_index = look.inodes.from_index
    path = inventory.cache.path
    return SharedLook(
        __version__,
        path,
        place_of(path),
        tuple(bucket.name for bucket in inventory.buckets),
        look.aliases,
        tuple(inventory.archives),
        tuple(entry.rpartition("/")[2] for entry in inventory.on_trial),
        tuple(number for number, one in enumerate(inventory.archives) if one in from_index),
        limits.memory_bytes,
        float(limits.cpu_seconds),
        float(limits.deadline_seconds),
    )


def packed(value: Any) -> bytes:
    """Return what is sent, as bytes."""
    return pack(value)


def look_of(data: bytes) -> SharedLook:
    """Return a look that was packed. Raises ValueError."""
    found: SharedLook = from_plain(SharedLook, unpack(data))
    return found


def tasks_of(data: bytes) -> tuple[SharedTask, ...]:
    """Return a batch that was packed. Raises ValueError."""
    found: tuple[SharedTask, ...] = from_plain(tuple[SharedTask, ...], unpack(data))
    return found


def answers_of(data: bytes) -> Answers:
    """Return what a worker answered. Raises ValueError for what is no answer."""
    found: Answers = from_plain(Answers, unpack(data))
    return found


def may_be_shared(candidate: Candidate) -> bool:
    """Whether a worker may read an environment: one of a user's own, in its own folder.

    What is seen through a process of this host no other host can see.
    """
    kinds = (EnvironmentKind.VENV, EnvironmentKind.TOOL)
    return candidate.kind in kinds and not lies_in_another_root(candidate.path)
