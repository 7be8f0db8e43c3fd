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
    from cacheadmin.evidence.release_trace import ReleaseTrace, SeenRelease


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
    """A uv that is installed in an environment, known from its metadata."""

    version: str
    """Its release."""
    path: str
    """Absolute path of the ``uv-X.dist-info`` folder that names the release."""
    uid: int
    """Owner of that folder; -1 where it could not be looked at."""
    installed_ns: int
    """Modification time of that folder; 0 where it could not be looked at."""


@frozen
class Environment:
    """One environment as a scan saw it."""

    path: str
    """Its absolute path; in a container it begins with ``/proc/PID/root``."""
    kind: EnvironmentKind
    """What sort of environment it is."""
    status: EnvironmentStatus
    """What the scan found."""
    sources: tuple[str, ...] = ()
    """Ids of the sources that named it: ``registry``, ``include``, ``process`` and so on."""
    uid: int | None = None
    """Owner of its folder; where that is missing or closed, the account that named it, or None."""
    uv_version: str | None = None
    """The release that created it, by its ``pyvenv.cfg``; None where that names none.

    Later releases do not update it.
    """
    link_modes: Mapping[LinkMode, int] = field(default_factory=dict)
    """How many of its installed distributions are linked in each mode."""
    archives: frozenset[ArchiveId] = frozenset()
    """Archives of this cache that its symlinks lead to: without them it breaks."""
    hardlinked_archives: frozenset[ArchiveId] = frozenset()
    """Archives whose files it has by hardlinks: without them it still works."""
    entries: frozenset[str] = frozenset()
    """Other entries of this cache that it leads to.

    Its folder may be a link to ``environments-v2/...``, or it extends a cached environment.
    """
    links: int = 0
    """How many links into caches were seen.

    A deep scan counts those of every file, a fast one counts one for each distribution.
    """
    broken_links: int = 0
    """How many links into this cache lead nowhere."""
    broken_packages: tuple[str, ...] = ()
    """Normalized names of the packages whose metadata is such a link, sorted."""
    installed_uv: tuple[InstalledUv, ...] = ()
    """The uv releases that are installed in it as packages."""
    changed_ns: int | None = None
    """Newest modification time of ``pyvenv.cfg`` and site-packages; None where unknown."""
    watched: Mapping[str, int] = field(default_factory=dict)
    """Modification time of each folder whose change would change this answer, by its path."""
    fingerprint: str = ""
    """Digest that changes with an installed distribution; empty where nothing was scanned.

    It also covers archives that links outside of all distributions lead to.
    """
    complete: bool = True
    """Whether all of it could be read; if not, it may use any archive."""
    reason: str = ""
    """What could not be read, or is broken, in words; empty where neither is so."""
    is_too_much: bool = False
    """Whether the look at it ended where no more of one account is looked at."""
    tools: tuple[str, ...] = ()
    """Distributions that no other one in a cached environment requires, sorted.

    They are what a user asked ``uvx`` for. Empty for other kinds of environments.
    """
    tool_versions: Mapping[str, str] = field(default_factory=dict)
    """The version of each of ``tools``, by name."""
    python_gone: bool = False
    """Whether its Python is a link to nothing here; asked of cached environments alone."""
    copied: frozenset[str] = frozenset()
    """Distributions (``six==1.16.0``) that share no inode with the cache: clones and copies."""
    commits: frozenset[str] = frozenset()
    """Git commits that its distributions were built from, by their ``direct_url.json``."""
    identity: tuple[int, int] | None = None
    """Device and inode of the folder that was looked at; None where none could be opened."""

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
class KnownEnvironment:
    """An environment that is in the state: what a look needs to find it again."""

    path: str
    """Its absolute path."""
    kind: EnvironmentKind
    """What sort of environment it was."""
    uid: int | None
    """Its owner; None where that was not known."""
    uv_version: str | None
    """The release that created it; None where that was not known."""
    fingerprint: str
    """Its ``Environment.fingerprint``; empty for one that was never scanned."""
    seen_ns: int
    """When it was recorded last: at most an hour before it was seen last."""
    registered: bool
    """Whether a user added it by hand (`cacheadmin venv add`)."""
    mount_point: str = ""
    """Where what it lay on was mounted on this host; "" for the root, or where it is not known."""


@frozen
class RememberedEnvironment:
    """What an earlier run recorded of an environment (from the state)."""

    path: str
    """Its absolute path."""
    kind: EnvironmentKind
    """What sort of environment it was."""
    uid: int | None
    """Its owner; None where that was not known."""
    uv_version: str | None
    """The release that created it; None where that was not known."""
    archives: frozenset[ArchiveId]
    """Archives of this cache that its symlinks led to."""
    entries: frozenset[str]
    """Other entries of this cache that it led to."""
    fingerprint: str
    """Its ``Environment.fingerprint``; empty for one that was never scanned."""
    seen_ns: int
    """When it was recorded last: at most an hour before it was seen last."""


@frozen
class UseOfEntry:
    """One cache entry that a process uses."""

    entry: str
    """The entry's path, relative to the cache."""
    through: str
    """What in the process shows it: ``mapped file``, ``open file``, ``variable PATH``."""


@frozen
class RunsFrom:
    """A folder that a process has packages from."""

    path: str
    """Its absolute path; in a container it begins with ``/proc/PID/root``."""
    kind: EnvironmentKind
    """An environment, or a folder of packages (``target``)."""


@frozen
class UvProcess:
    """What is known of a process as a uv.

    It is, or may be, a uv that can reach this cache and was not told to use another.
    """

    version: str | None = None
    """Its release; None where it could not be told."""
    takes_cache_lock: bool | None = None
    """Whether that release locks the cache (0.8.19 and later); None where it is unknown.

    A uv without True here may be at work in the cache, and no lock shows it.
    """
    parked: bool = False
    """Whether it only waits for its child and no longer reads the cache.

    ``uv run`` and ``uvx`` do so.
    """


@frozen
class Process:
    """A running process that uses the cache, runs from an environment, or is a uv."""

    pid: int
    """Its process id. Ids are used again: only with ``started_ns`` is it identified."""
    uid: int
    """The account it runs as; -1 where that is not known."""
    started_ns: int
    """When it started, by the present clock of the host."""
    command: str
    """Its command line, cut after 120 characters; else its executable, or why neither is known."""
    uses: tuple[UseOfEntry, ...] = ()
    """The entries of this cache that it uses."""
    uv: UvProcess | None = None
    """What is known of it as a uv that can reach this cache; None for any other program."""
    environments: tuple[RunsFrom, ...] = ()
    """The environments it runs from, registered or not, as far as it shows them.

    By its ``VIRTUAL_ENV`` and ``PYTHONPATH``, its interpreter, and how that was called.
    """
    start_ticks: int = 0
    """When it started, in clock ticks since boot: setting the clock does not move it."""
    is_stranger: bool = False
    """Whether it may not be looked into, and its account left nothing in this cache.

    Such a uv most likely works in another cache; which one can't be seen.
    """


def uv_version(process: Process) -> str | None:
    """Return the release of a process that is a uv; None where it is none, or not known."""
    return None if process.uv is None else process.uv.version


@frozen
class Unseen:
    """Something that could hide use, and was not seen.

    ``what`` is a short id (``environment``, ``process``, ``cache``,
    ``discover``, ``interpreter-entry``, ``registry``, ``pin``). ``hides_archives`` is True where
    an unknown link or process could use any archive: then no archive may go,
    but on trial where ``trial_suffices``.
    """

    what: str
    """Short id of what it is: ``environment``, ``process``, ``cache``, ``registry``, ``pin``.

    Public, in JSON: ``unseen.environment`` and so on.
    """
    path: str
    """Its absolute path; relative to the cache for a part of the cache."""
    reason: str
    """Why it could not be seen, in words."""
    hides_archives: bool
    """Whether a link or process there could use any archive.

    No archive is removed then; where ``trial_suffices``, archives may go on trial.
    """
    uid: int | None = None
    """The account it belongs to; None where that is not known."""
    trial_suffices: bool = False
    """Whether it could use entries by their paths alone, as a running program does.

    It then goes on through a tripwire, and springs it. False where it may well be a
    uv at work without a lock: an install from what is on trial fails.
    """
    fix: str = ""
    """What lets it be seen; empty where more rights would."""
    damaged: bool = False
    """Whether it was read and means nothing, so that it may be removed.

    False for what could not be read: it may be whole, and removing it loses what it says.
    """


class GapKind(StrEnum):
    """What sort of place was not looked at, and so which word of the site closes the gap.

    ``SEARCH``: environments may lie where no search went (``venvs.complete``
    closes it). ``HOSTS``: other hosts or containers reach the cache
    (``hosts.only: this``). ``AWAY``: something known is not there now. ``RIGHTS``:
    something may be there that the caller may not see. No word closes these two.
    """

    SEARCH = "search"
    HOSTS = "hosts"
    AWAY = "away"
    RIGHTS = "rights"


# Followed literally by a tired person, a word must not be given where it is not true.
IF_ALL_ARE_FOUND = (
    "only if you know that every environment that uses this cache is found, say so: "
    "venvs.complete: true"
)
"""How advice ends where the site's word closes a gap of searching."""


UNSEEN = "unseen."
"""How the ids of gaps and limits begin that stand for an `Unseen`; what it is follows."""


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

    @property
    def is_unseen(self) -> bool:
        """Whether it stands for what was found and could not be read (`Unseen`)."""
        return self.id.startswith(UNSEEN)


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
    """Something in the cache that a user wants kept.

    Exactly one of ``path`` and ``package`` is set.
    """

    file: str
    """Absolute path of the file that says so."""
    uid: int
    """Owner of that file, and so the pin's author, whatever the file claims."""
    path: str | None = None
    """What is pinned, relative to the cache: an entry, a part of one, or a folder above some."""
    package: str | None = None
    """The package that is pinned, in whatever entries the cache has it at the time."""
    version: str | None = None
    """The only version that is pinned; None for every version, and with ``path``."""
    reason: str = ""
    """Why, in the author's words; empty without."""
    created_ns: int = 0
    """When it was made, as the file claims; 0 where it does not say."""
    expires_ns: int | None = None
    """When it ends, as the file claims; None: never."""
    known_age_ns: int = 0
    """For how long (ns) it has surely existed, by clocks that no user can set.

    0 for one that no prune has recorded yet (`evidence.pin_ages`).
    """

    @property
    def target(self) -> str:
        """What is pinned, as `cacheadmin pin add` takes it."""
        if self.path is not None:
            return self.path
        return f"{self.package}=={self.version}" if self.version else str(self.package)


@frozen
class LockHolder:
    """A process that holds or waits for the cache's ``.lock``."""

    pid: int
    """Its process id in ``/proc/locks``; below 1 where the kernel gives none."""
    uid: int | None
    """The account it runs as; None where that is not known."""
    exclusive: bool
    """Whether the lock is exclusive, not shared."""
    waiting: bool
    """Whether the process only waits for the lock."""
    command: str = ""
    """Its command line, cut after 120 characters; empty where it could not be looked at.

    For a lock that an NFS server holds for a client, the name of its kernel thread.
    """
    started_ns: int | None = None
    """When it started, by the present clock; None where that is not known."""
    start_ticks: int = 0
    """When it started, in clock ticks since boot; 0 where that is not known."""
    unlinked: bool = False
    """Whether the locked ``.lock`` was deleted, or may have been (uv before 0.8.19 does that).

    Such a lock stops no other process, and no other process sees it.
    """
    is_uv: bool | None = None
    """Whether its program is called uv; None where that is not known.

    Any program may lock that file.
    """
    host: str = ""
    """Name of the machine or container it runs in; empty where that is not known."""
    is_guard: bool = False
    """Whether it is our own `cacheadmin guard --hold`, shown by a lock that only that can hold."""


@frozen
class Filesystem:
    """The filesystem that the cache is on."""

    kind: str
    """Its kind as in the mount table: ``ext4``, ``nfs4``."""
    mount_point: str
    """Absolute path where it is mounted."""
    source: str
    """What is mounted: a device, or ``server:/export``."""
    options: tuple[str, ...]
    """The options of the mount and of the filesystem, as the mount table has them."""
    network: bool
    """Whether other hosts may write to it."""
    locks_reach_other_hosts: bool | None
    """Whether other hosts see locks that are taken here; None where that is unknown.

    None on a local filesystem too, where no other host matters.
    """
    read_only: bool
    """Whether it is mounted read-only."""
    keeps_access_times: bool
    """Whether it is mounted without ``noatime``."""
    keeps_user_xattrs: bool | None
    """Whether it keeps extended attributes of users; None where that is unknown."""
    lock_note: str = ""
    """What is known of locks where they do not surely reach other hosts; empty elsewhere."""


@frozen
class Evidence:
    """All that was collected about the use of one cache."""

    collected_at_ns: int
    """The time of the look, less by how far a clock was set forward (``evidence.steady_time``)."""
    filesystem: Filesystem
    """The filesystem that the cache is on."""
    environments: tuple[Environment, ...] = ()
    """Environments that have to do with the cache, as the scan saw them."""
    remembered: tuple[RememberedEnvironment, ...] = ()
    """What earlier runs recorded of environments that are not seen, or can't be read, now."""
    processes: tuple[Process, ...] = ()
    """Running processes that use the cache or are a uv."""
    releases: tuple[ReleaseTrace, ...] = ()
    """Traces of uv releases and of the users who use them."""
    lock_holders: tuple[LockHolder, ...] = ()
    """Processes that hold or wait for the cache's ``.lock``."""
    unseen: tuple[Unseen, ...] = ()
    """What is there and could not be read."""
    user_names: Mapping[int, str] = field(default_factory=dict)
    """Account names of the uids that were met; a uid without an account is missing."""
    learned: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Bucket names of releases that the table lacks, by version (`cacheadmin uv learn`)."""
    learned_prunes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """What learned releases say of a prune's removals, by version (``uv.prune_words``)."""
    seen_releases: tuple[SeenRelease, ...] = ()
    """What binaries of unknown releases say, as found where users have them."""
    pins: tuple[Pin, ...] = ()
    """Pins and leases, expired ones too."""
    idle: Mapping[str, int] = field(default_factory=dict)
    """For how long (ns, at least) no use of an entry was seen.

    Archives by id, source revisions and git sources by path; without entries that were
    never observed. Empty where the policy does not ask for it.
    """
    clock_ahead_ns: int = 0
    """How much (ns) the clock says has passed in which this host is not known to have run."""
    gaps: tuple[Gap, ...] = ()
    """Places that no source looked at, whatever the policy says of them."""
    named: tuple[NamedEntry, ...] = ()
    """Entries that files outside of the cache name."""
    sprung: Mapping[str, int] = field(default_factory=dict)
    """Entries that came back from trial because they were used, each with when."""
    recorded: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of the interpreter buckets that name an environment, by its path."""
    host_uses: tuple[HostUse, ...] = ()
    """Entries that other hosts use, by their own word."""
    hosts: tuple[Observation, ...] = ()
    """Everything that other hosts told of themselves."""
