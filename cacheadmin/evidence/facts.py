"""Who uses a cache, as plain facts. Pure: nothing here reads a disk.

Each piece says where it came from and when, and :class:`Unseen` says what
could not be looked at: the planner must weigh that as heavily as what was.
Paths of environments are absolute; ``entries`` are paths relative to the
cache root (``archive-v0/<id>``, ``environments-v2/<name>``,
``builds-v0/.tmp...``). Times are nanoseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveId, CacheIdentity, archive_path
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.observations import Observation
    from cacheadmin.evidence.seen_releases import SeenRelease


class LinkMode(StrEnum):
    """How an installed distribution relates to the cache's own copy."""

    SYMLINK = "symlink"
    HARDLINK = "hardlink"
    CLONE = "clone"
    COPY = "copy"


class EnvironmentKind(StrEnum):
    """What sort of environment it is (public, in JSON).

    ``target``: packages lie in the folder itself. ``prefix``: they lie in its
    ``lib/pythonX.Y/site-packages``, and it is neither a venv nor has a Python of
    its own. ``folder``: it looks like no environment; a pattern of the policy
    matches it, and it is told only when it links into the cache.
    """

    VENV = "venv"
    TOOL = "tool"
    TARGET = "target"
    PREFIX = "prefix"
    PYTHON = "python"
    CACHED = "cached"
    FOLDER = "folder"


class EnvironmentStatus(StrEnum):
    """What a scan found (public, in JSON).

    ``foreign``: it links into caches, but not into this one.
    """

    OK = "ok"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    BROKEN = "broken"
    FOREIGN = "foreign"


@frozen
class InstalledUv:
    """A uv that is installed somewhere, known from its metadata.

    ``path`` is what named the version: a ``uv-X.dist-info`` folder, an
    installer receipt, or a binary. ``installed_ns`` is that file's time.
    """

    version: str
    path: str
    uid: int
    installed_ns: int


@frozen
class Environment:
    """One environment as a scan saw it.

    ``sources`` names how it was found: any of ``registry``, ``include``,
    ``discover``, ``cache``, ``process``, ``remembered``. ``link_modes`` counts installed
    distributions. ``archives`` are those its symlinks lead to, in this cache:
    they break when the archive goes. ``hardlinked_archives`` are shown, and
    are safe to lose. ``entries`` are other cache entries it leads to (its
    folder is a link to ``environments-v2/...``, or it extends a cached
    environment). ``links`` is the number of links seen: every file's in a
    deep scan, one a distribution in a fast one. ``broken_packages`` have
    links into this cache that lead nowhere. ``uv_version`` is the release
    that created it (later releases do not update it). ``changed_ns`` is the
    newest of the times of ``pyvenv.cfg`` and site-packages. ``watched`` maps
    each folder whose change would change this answer to its mtime.
    ``complete`` is False when part of it could not be read; ``reason`` says
    which and why, for every status but ``ok``. ``tools`` is filled for cached
    environments: the distributions in it that no other one there requires,
    which is what somebody asked ``uvx`` for. ``copied`` names distributions
    (``six==1.16.0``) that share no inode with the cache: clones and copies.
    """

    path: str
    kind: EnvironmentKind
    status: EnvironmentStatus
    sources: tuple[str, ...] = ()
    uid: int | None = None
    uv_version: str | None = None
    link_modes: Mapping[LinkMode, int] = field(default_factory=dict)
    archives: frozenset[ArchiveId] = frozenset()
    hardlinked_archives: frozenset[ArchiveId] = frozenset()
    entries: frozenset[str] = frozenset()
    links: int = 0
    broken_links: int = 0
    broken_packages: tuple[str, ...] = ()
    installed_uv: tuple[InstalledUv, ...] = ()
    changed_ns: int | None = None
    watched: Mapping[str, int] = field(default_factory=dict)
    fingerprint: str = ""
    complete: bool = True
    reason: str = ""
    tools: tuple[str, ...] = ()
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """The version of each of ``tools``."""
    python_gone: bool = False
    """Whether its Python is a link to nothing here; asked of cached environments alone."""
    copied: frozenset[str] = frozenset()
    commits: frozenset[str] = frozenset()
    """Git commits that its distributions were built from, by their ``direct_url.json``."""

    @property
    def led_to(self) -> tuple[str, ...]:
        """Every entry of the cache that it leads to by links, and would lack if that went."""
        return (*map(archive_path, self.archives), *self.entries)

    def entry_in(self, cache: CacheIdentity) -> str | None:
        """Return the entry of a cache that it is itself; None for one outside."""
        prefix = cache.path.rstrip("/") + "/"
        if self.kind is EnvironmentKind.CACHED and self.path.startswith(prefix):
            return self.path.removeprefix(prefix)
        return None


@frozen
class RememberedEnvironment:
    """What an earlier run recorded of an environment (from the state)."""

    path: str
    kind: EnvironmentKind
    uid: int | None
    uv_version: str | None
    archives: frozenset[ArchiveId]
    entries: frozenset[str]
    fingerprint: str
    seen_ns: int


@frozen
class UseOfEntry:
    """One cache entry that a process uses, and through what (``mapped file``)."""

    entry: str
    through: str


@frozen
class Process:
    """A running process that uses the cache, or is a uv.

    ``uses`` are entries of this cache. ``uv_version`` is set for a uv
    process whose release could be told. ``is_uv`` with
    ``takes_cache_lock`` False (before 0.8.19) or None (release unknown) may
    be working in the cache without our knowing. ``parked`` is a uv that only
    waits for its child (``uv run``, ``uvx``) and reads the cache no more.
    ``started_ns`` with ``pid`` identifies it: pids are reused.
    ``start_ticks`` is the same moment in clock ticks since boot: it does not
    move when somebody sets the clock.
    ``environments`` are the environments it runs from (``VIRTUAL_ENV``, the
    folder of its interpreter), whether or not anybody registered them.
    """

    pid: int
    uid: int
    started_ns: int
    command: str
    uses: tuple[UseOfEntry, ...] = ()
    is_uv: bool = False
    uv_version: str | None = None
    takes_cache_lock: bool | None = None
    parked: bool = False
    environments: tuple[str, ...] = ()
    start_ticks: int = 0
    is_stranger: bool = False
    """Whether it may not be looked into, and its account left nothing in this cache.

    Such a uv most likely works in another cache; which one can't be seen.
    """


@frozen
class ReleaseTrace:
    """Evidence that a user uses a uv release, or a range of releases.

    ``version`` is set where the trace names the release exactly.
    Otherwise ``bucket`` names the bucket that was written, and the release is
    one of those that use it; or ``at_least`` names the oldest release that
    can have left it. ``evidence`` is a sentence for people, ``path`` what they
    can look at. ``uid`` None: nobody in particular (a system-wide uv).
    ``is_program``: the trace is an executable, which its user can run any day.
    """

    uid: int | None
    version: str | None
    bucket: str | None
    evidence: str
    path: str
    seen_ns: int
    at_least: str | None = None
    is_program: bool = False


@frozen
class Unseen:
    """Something that could hide use, and was not seen.

    ``what`` is a short id (``environment``, ``process``, ``cache``,
    ``discover``, ``interpreter-entry``, ``registry``, ``pin``). ``hides_archives`` is True where
    an unknown link or process could use any archive: then no archive may go,
    but on trial where ``trial_suffices``.
    """

    what: str
    path: str
    reason: str
    hides_archives: bool
    uid: int | None = None
    trial_suffices: bool = False
    """Whether it could use entries by their paths alone, as a running program does.

    It then goes on through a tripwire, and springs it. False where it may well be a
    uv at work without a lock: an install from what is on trial fails.
    """
    fix: str = ""
    """What lets it be seen; empty where more rights would."""


class GapKind(StrEnum):
    """What sort of place was not looked at, and so which word of the site closes the gap.

    ``SEARCH``: environments may lie where nobody searched (``venvs.complete``
    closes it). ``HOSTS``: other hosts or containers reach the cache
    (``hosts.only: this``). ``AWAY``: something known is not there now. ``RIGHTS``:
    something may be there that the caller may not see. No word closes these two.
    """

    SEARCH = "search"
    HOSTS = "hosts"
    AWAY = "away"
    RIGHTS = "rights"


@frozen
class Gap:
    """A place where a user of this cache may be, and that was not looked at."""

    id: str
    """Stable id (public, in JSON), such as ``homes.unsearched``."""
    kind: GapKind
    """Which word of the policy closes it."""
    subject: str
    """The place: a path, an account, a namespace."""
    detail: str
    """A sentence: what was not looked at, and why."""
    fix: str
    """What closes the gap."""
    uid: int | None = None
    """The account that may use the cache from there; None where unknown."""
    host: str = ""
    """The host or container that may; empty for this host."""


@frozen
class NamedEntry:
    """An entry of the cache that a file outside names, such as a unit or a Jupyter kernel."""

    entry: str
    """The entry, ``archive-v0/<id>`` or ``environments-v2/<name>``."""
    file: str
    """The absolute path of the file that names it."""
    uid: int | None = None
    """The owner of that file."""


@frozen
class HostUse:
    """An entry of the cache that another host was seen to use, by its own word."""

    entry: str
    """The entry, relative to the cache."""
    who: str
    """The user there: an environment's path, or a process."""
    uid: int | None
    """The account there."""
    host: str
    """The host's name."""
    at_ns: int
    """When it was seen, by that host's clock."""


@frozen
class Pin:
    """Something in the cache that somebody wants kept.

    Exactly one of ``path`` (an entry, what lies in it or above it, relative to
    the cache) and ``package`` (with or without ``version``) is set; a package
    stands for whatever the cache holds of it at the time. ``uid`` is the
    owner of the file ``file`` that says so, never what that file claims.
    ``expires_ns`` None: never. ``known_age_ns`` is for how long the pin has
    surely existed, by clocks that nobody can set (`evidence.pin_ages`).
    """

    file: str
    uid: int
    path: str | None = None
    package: str | None = None
    version: str | None = None
    reason: str = ""
    created_ns: int = 0
    expires_ns: int | None = None
    known_age_ns: int = 0

    @property
    def target(self) -> str:
        """What is pinned, as `cacheadmin pin add` takes it."""
        if self.path is not None:
            return self.path
        return f"{self.package}=={self.version}" if self.version else str(self.package)


@frozen
class LockHolder:
    """A process that holds or waits for the cache's ``.lock``.

    ``exclusive``, and ``waiting`` for one that is queued. ``unlinked``: what it
    holds is a ``.lock`` that was deleted since (uv before 0.8.19 does that), so
    it keeps nobody out and nobody sees it. ``is_uv`` is False for a program
    that is no uv (anybody may lock that file), None where it can't be told.
    ``host`` is the name of the machine or container it runs in. ``pid`` may
    belong to another pid namespace: then ``command`` is empty. ``is_guard``: it
    is our own `cacheadmin guard --hold`, by a lock that only that can hold.
    """

    pid: int
    uid: int | None
    exclusive: bool
    waiting: bool
    command: str = ""
    started_ns: int | None = None
    start_ticks: int = 0
    unlinked: bool = False
    is_uv: bool | None = None
    host: str = ""
    is_guard: bool = False


@frozen
class Filesystem:
    """The filesystem that the cache lies on.

    ``kind`` as in the mount table (``ext4``, ``nfs4``). ``network`` is True
    where other hosts may write to it. ``locks_reach_other_hosts`` is None on
    a local filesystem, where no other host matters, and where it is unknown;
    ``lock_note`` says what is known then. ``keeps_access_times`` and
    ``keeps_user_xattrs`` as the mount tells (None: unknown).
    """

    kind: str
    mount_point: str
    source: str
    options: tuple[str, ...]
    network: bool
    locks_reach_other_hosts: bool | None
    read_only: bool
    keeps_access_times: bool
    keeps_user_xattrs: bool | None
    lock_note: str = ""


@frozen
class Evidence:
    """All that was collected about the use of one cache.

    ``user_names`` maps the uids met to account names; a uid without an
    account (somebody who left) is not in it. ``learned`` holds the bucket
    names of releases that were read from their binaries (`uv learn`), for
    releases that the table lacks. ``idle`` tells for how long (ns, at least)
    nobody has used an archive (by id), a source revision or git source (by path);
    it lacks what was never observed before, and is empty where the policy does
    not ask for it. ``clock_ahead_ns``: how far the clock was set forward since
    the last run. ``gaps`` are places that no
    source looked at, whatever the policy says of them. ``named`` are entries that
    files outside name. ``recorded`` maps an environment's path to the interpreter
    buckets that name it.
    """

    collected_at_ns: int
    filesystem: Filesystem
    environments: tuple[Environment, ...] = ()
    remembered: tuple[RememberedEnvironment, ...] = ()
    processes: tuple[Process, ...] = ()
    releases: tuple[ReleaseTrace, ...] = ()
    lock_holders: tuple[LockHolder, ...] = ()
    unseen: tuple[Unseen, ...] = ()
    user_names: Mapping[int, str] = field(default_factory=dict)
    learned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    learned_prunes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What learned releases say of a prune's removals, by version (``uv.prune_words``)."""
    seen_releases: tuple[SeenRelease, ...] = ()
    """What binaries of unknown releases say that were found where users have them."""
    pins: tuple[Pin, ...] = ()
    idle: Mapping[str, int] = field(default_factory=dict)
    clock_ahead_ns: int = 0
    gaps: tuple[Gap, ...] = ()
    named: tuple[NamedEntry, ...] = ()
    sprung: Mapping[str, int] = field(default_factory=dict)
    """Entries that somebody unseen used while they were on trial, each with when (ns)."""
    recorded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    host_uses: tuple[HostUse, ...] = ()
    """What other hosts use."""
    hosts: tuple[Observation, ...] = ()
    """Everything that other hosts told of themselves."""
