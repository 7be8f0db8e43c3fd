"""Grace periods: what may be removed beside a uv that never ends. Pure.

The problem. A long-lived ``uvx`` holds uv's lock, shared, for life, so the
exclusive lock never comes; and uv before 0.8.19 takes no lock at all. Removing
beside a uv at work is unsafe for one reason only: it may *know* an entry, read
from a pointer a moment ago, or just unpacked and not yet pointed to, and be
about to link it. What a uv knows can't be seen, but a uv that does not run any
more knows nothing. So removal has two phases, as in read-copy-update:

1. *Unpublish.* What makes an entry findable goes at once: whole buckets that
   no user needs, and the links of idle cached environments. Each is one rename.
   A uv that looks later sees a miss, and fetches again into a new archive.
2. *Reclaim.* What was findable (archives, superseded revisions, builds,
   rubbish) goes in a later run, when every uv that was at work after the
   unpublishing has ended, nothing has been published about the entry since,
   and marking finds it dead again.

Why that is safe. Let T1 be the moment when an entry A was dead and unpublished
and the uv processes at work were listed (its *knowers*), T2 the removal.

- A reader that began before T1 and found A is a knower, or ended before T1. At
  T2 it has ended: what it linked is seen by marking, as links or as a process.
- A reader that begins after T1 finds no pointer to A, so can't know it; uv
  never lists archives but to prune them.
- An installer in the middle has moved A into place and not yet written the
  pointer: it runs, so it is a knower. Either it writes the pointer, which
  marking (or the folder's time, below) sees, or it ends without, and A is dead.
- A knower publishes A after T1, another uv reads that, and the pointer is
  replaced before T2 (only then could an unseen knower remain): the folders
  that hold pointers of A's package have then changed. Their times are part of
  the *state* that is compared; when they differ, the period begins again. A time
  so young that a second change could hide behind the clock's grain compares
  unequal to everything.
- Another release's prune in between deletes more, never publishes. An older
  one deletes ``.lock`` as well: nothing here relies on that lock.
- A parked uv (``uv run``, ``uvx`` with its program started) reads the cache no
  more; the program itself is found by marking, as any process.
- A crash after unpublishing, before the period is written: no period, so the
  next run begins one. A crash during a transaction: the next run undoes it,
  and what is published again is not removed (``leads``, ``divide``).
- Pids are reused: a knower is (pid, start in ticks since boot) within one boot
  of one kernel and one pid namespace. After a reboot none of them runs.
- Clocks jump: no clock is compared with another. Ticks since boot do not jump;
  times of folders are compared for equality only.
- A restored run publishes again what it had unpublished: A is then led to by
  an entry that is published, so it is not ripe, whatever the period says.
- uv without a lock is a process like any other: its release does not matter.

What remains. A uv that starts within the milliseconds between the last look
and a rename may find a bucket or an environment half a step ago: the look is
repeated after the renames, and what such a process may need is put back. Where
not every process can be listed (of other hosts on a network filesystem or by an
export, outside a container, of other accounts under ``hidepid``) nothing is
reclaimed without the exclusive lock.

``tests/property/planner/test_grace_interleavings.py`` runs every interleaving of small
worlds through these very functions.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import ArchiveContent, EntryKind, EntryPath
from cacheadmin.packages.names import normalized
from cacheadmin.planner.consistency import leads, without_dangling
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.entries import CachedEnvironment, Inventory
    from cacheadmin.planner.plan import Decision

_WHEELS = frozenset({"wheels"})
_SOURCES = frozenset({"sdists", "built-wheels"})
_ENVIRONMENTS = frozenset({"environments"})

# The state of what can't be told: it equals nothing, not even itself.
UNSURE = ""

Knower = tuple[int, int]


@frozen
class Mark:
    """What an entry was when its period began."""

    identity: str
    """Tells it from another of the same name: inode, mtime or ctime; empty where unknown."""
    state: str
    """A digest of the folders in which a pointer to it would be written, or ``UNSURE``."""


@frozen
class UvAtWork:
    """Who is at work."""

    boot: str
    """The kernel's boot id: pids and start times mean something within one boot only."""
    namespace: str
    """The pid namespace in which the pids were read."""
    working: frozenset[Knower]
    """(pid, start in clock ticks since boot) of every uv at work.

    A uv that only waits for the program it started is not at work.
    """


@frozen
class Period:
    """Entries that were found dead at one moment, and who may know them."""

    begun: UvAtWork
    """Who was at work when the period began."""
    marks: Mapping[str, Mark]
    """What each entry was then, by its path."""

    def is_over(self, now: UvAtWork) -> bool:
        """Whether every process that could know the entries has ended."""
        if self.begun.boot != now.boot:
            return True
        return self.begun.namespace == now.namespace and not self.begun.working & now.working


@frozen
class Division:
    """Removals, divided into those of this run and those of a later one."""

    now: tuple[Decision, ...]
    """What may be removed beside a uv at work, in the plan's order."""
    later: tuple[Decision, ...]
    """What waits until every uv that may know it has ended."""


def divide(
    removals: Sequence[Decision],
    inventory: Inventory,
    evidence: Evidence,
    periods: Iterable[Period],
    now: UvAtWork,
    *,
    reclaim: bool = True,
) -> Division:
    """Divide a plan's removals into those that may go beside a uv at work, and the others.

    ``reclaim`` False: only what unpublishes may go (not every process can be seen).
    """
    dead = marks(removals, inventory, inventory.watched, now_ns=None)
    ripe = _ripe(periods, now, dead) if reclaim else frozenset()
    published = _published(removals, inventory, evidence)
    folders = _environment_folders(inventory)
    by_name = folders | _sources_by_name(removals, inventory)
    candidates = tuple(
        decision
        for decision in removals
        if unpublishes(decision, folders)
        or (
            decision.path in ripe
            and decision.path not in published
            and decision.path not in by_name
        )
        # Found by its name, by any uv that starts: it is moved while no uv is at work.
        or (decision.path in by_name and reclaim and not now.working)
    )
    chosen = without_dangling(candidates, inventory, evidence)
    going = {decision.path for decision in chosen}
    return Division(chosen, tuple(d for d in removals if d.path not in going))


def remaining(
    periods: Iterable[Period], now: UvAtWork, dead: Mapping[str, Mark]
) -> tuple[tuple[Period, ...], frozenset[str]]:
    """Return the periods that still wait, without entries that changed, and their paths.

    ``dead`` are the marks of everything that waits now. Periods that are over
    stay too: what they hold goes once nothing published leads to it.
    """
    kept = []
    known: set[str] = set()
    for period in periods:
        if period.begun.boot == now.boot and period.begun.namespace != now.namespace:
            continue
        same = {
            path: mark
            for path, mark in period.marks.items()
            if path not in known and mark.state != UNSURE and dead.get(path) == mark
        }
        if same:
            known.update(same)
            kept.append(Period(period.begun, same))
    return tuple(kept), frozenset(known)


def unpublishes(decision: Decision, environment_folders: frozenset[str]) -> bool:
    """Whether a removal takes away what makes other entries findable, and nothing else."""
    if decision.kind in (EntryKind.BUCKET, EntryKind.WHEEL):
        return True
    return decision.kind is EntryKind.ENVIRONMENT and decision.path not in environment_folders


def marks(
    removals: Iterable[Decision],
    inventory: Inventory,
    watched: Mapping[str, int],
    *,
    now_ns: int | None,
    grain_ns: int = 0,
) -> dict[str, Mark]:
    """Return the mark of each removal, by path.

    ``watched`` maps pointer folders to their times (ns). With ``now_ns``, the
    moment at which they were read, a time younger than ``grain_ns`` makes the
    state ``UNSURE``.
    """
    identities = _identities(inventory)
    environments = {a.path for a in inventory.archives.values() if _is_environment(a.content)}
    states: dict[tuple[str, str], str] = {}
    found = {}
    for decision in removals:
        scope = _scope(decision, environments)
        if scope not in states:
            states[scope] = _state(scope, watched, now_ns, grain_ns)
        identity = identities.get(decision.path, "")
        found[decision.path] = Mark(identity, states[scope])
    return found


def _ripe(periods: Iterable[Period], now: UvAtWork, dead: Mapping[str, Mark]) -> frozenset[str]:
    return frozenset(
        path
        for period in periods
        if period.is_over(now)
        for path, mark in period.marks.items()
        if mark.state != UNSURE and dead.get(path) == mark
    )


def _published(
    removals: Iterable[Decision], inventory: Inventory, evidence: Evidence
) -> frozenset[str]:
    """Return what something findable leads to, although that may be about to go as well."""
    hidden = {d.path for d in removals if d.kind in (EntryKind.REVISION, EntryKind.ARCHIVE)}
    unpublished = (EntryKind.BUILD, EntryKind.STRAY, EntryKind.FILE, EntryKind.SOURCE)
    hidden |= {d.path for d in removals if d.kind in unpublished}
    return frozenset(
        target for source, target in leads(inventory, evidence) if source not in hidden
    )


def _sources_by_name(removals: Iterable[Decision], inventory: Inventory) -> frozenset[str]:
    """Return what uv looks for by its name, in sources: git commits, and parts of revisions."""
    found = {d.path for d in removals if d.kind is EntryKind.SOURCE}
    found |= {revision.path for revision in inventory.revisions if revision.found_by_name}
    return frozenset(found)


def _environment_folders(inventory: Inventory) -> frozenset[str]:
    return frozenset(e.path for e in inventory.environments if _is_folder(e))


def _is_folder(environment: CachedEnvironment) -> bool:
    return environment.archive is None


def _is_environment(content: ArchiveContent) -> bool:
    return content is ArchiveContent.ENVIRONMENT


def _identities(inventory: Inventory) -> dict[str, str]:
    found = {a.path: f"{a.inode}:{a.mtime_ns}" for a in inventory.archives.values()}
    found.update((r.path, str(r.mtime_ns)) for r in inventory.revisions)
    found.update((e.path, str(e.changed_ns)) for e in inventory.environments)
    found.update((b.path, str(b.changed_ns)) for b in inventory.builds)
    found.update((s.path, str(s.changed_ns)) for s in inventory.strays)
    found.update((f.path, str(f.changed_ns)) for f in inventory.loose_files)
    found.update((g.path, str(g.mtime_ns)) for g in inventory.git_sources)
    return found


def _scope(decision: Decision, environments: set[str]) -> tuple[str, str]:
    """Return which folders could publish an entry: ``(what, package)``."""
    if decision.kind is EntryKind.ARCHIVE and decision.path in environments:
        return "environments", ""
    if decision.kind in (EntryKind.ARCHIVE, EntryKind.REVISION):
        return "packages", normalized(decision.package) if decision.package else ""
    # Builds and rubbish: no pointer leads there.
    return "nothing", ""


def _state(
    scope: tuple[str, str], watched: Mapping[str, int], now_ns: int | None, grain_ns: int
) -> str:
    what, package = scope
    digest = hashlib.blake2b(digest_size=16)
    for folder in sorted(watched):
        kind = EntryPath.of(folder).kind
        if what == "environments":
            counts = kind in _ENVIRONMENTS
        elif what == "packages":
            counts = _could_name(folder, kind, package)
        else:
            counts = False
        if not counts:
            continue
        if now_ns is not None and watched[folder] > now_ns - grain_ns:
            return UNSURE
        digest.update(f"{folder}\0{watched[folder]}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _could_name(folder: str, kind: str, package: str) -> bool:
    """Whether a pointer to an archive of a package could be written into a folder.

    Wheels lie in a folder named by their package, whatever their source;
    source distributions of an index too, others in folders named by digests.
    """
    parts = folder.split("/")
    if kind in _WHEELS:
        return not package or normalized(parts[-1]) == package
    if kind in _SOURCES:
        if len(parts) < 3:
            # Builds come and go in a bucket's own folder; pointers lie deeper.
            return False
        named = parts[1] in ("pypi", "index")
        return not (package and named) or package in map(normalized, parts[2:4])
    return False
