"""What is alive: mark from the roots, keep what is marked.

Roots are what outside evidence names (links of environments, running
processes, environments that another host may still have, package patterns of
the policy) and every pointer in a bucket that stays. Edges: a wheel pointer
or source revision leads to archives; a cached environment that is alive leads
to the archives its own links reach, and to the environment it extends.

A bucket stays when it is needed, unknown, or holds a cached environment in
use; so marking runs in three passes: outside roots, then what they reach, then
buckets and their pointers, then what *those* reach. Marks only ever grow.

Unknown is alive. What could hide a use of *any* archive (an unreadable
environment, a running uv that takes no lock, a bucket of unknown kind) is kept
apart in ``hidden_uses``: while it is not empty no archive may go. A wheel
pointer of unknown shape can only name archives of its own package; those stay.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentStatus, uv_version
from cacheadmin.inventory.entries import (
    ArchiveContent,
    EntryKind,
    EntryPath,
    archive_path,
    bucket_of,
    with_folders_above,
)
from cacheadmin.packages.names import matches
from cacheadmin.planner import reasons
from cacheadmin.planner.cached_environments import reasons_to_stay
from cacheadmin.planner.emptied_buckets import held_until_empty, is_being_emptied
from cacheadmin.planner.evicted import evicted, goes, unused_archives
from cacheadmin.planner.marks import Liveness, Use
from cacheadmin.planner.pins import pin_words, pinned_packages, pinned_paths
from cacheadmin.planner.sources import evicted_sources, unused_sources
from cacheadmin.planner.targets import all_entries
from cacheadmin.planner.users import (
    EntryUser,
    EnvironmentUser,
    FileUser,
    HiddenUser,
    HostUser,
    OtherUser,
    PinUser,
    ProcessUser,
    RegisteredUser,
)
from cacheadmin.text.timestamps import NANOSECONDS, format_age, nanoseconds
from cacheadmin.uv.releases import takes_cache_lock

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheadmin.evidence.facts import Pin, RememberedEnvironment
    from cacheadmin.planner.bucket_needs import Need
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.targets import CacheEntry

# An installer moves an archive into place before it writes the pointer (facts
# section 9). Where its lock can't be seen, a young archive may be such a one.
YOUNG_NS = 3600 * NANOSECONDS

# Buckets whose unread parts could point to any archive.
_POINTING = frozenset({"wheels", "sdists", "built-wheels", "environments", "builds", "archive"})

_UNREAD_PINS = frozenset(reasons.PIN_UNREAD.values())

# Ways in which a user or admin names an environment on purpose.
_CLAIMS = frozenset({"registry", "include", "remembered"})


def mark(case: PlanInput, needs: Mapping[str, tuple[Need, ...]]) -> Liveness:
    """Return everything that is alive, with the reasons."""
    live = mark_uses(case)
    _mark_for_unread_pins(case, live)
    _mark_hidden_uses(case, live)
    _mark_buckets(case, needs, live)
    _mark_pinned_pointers(case, live)
    _mark_idle_rules(case, live)
    _follow_cached_environments(case, live)
    live.occupied = frozenset(
        above for entry, uses in live.entries.items() if uses for above in with_folders_above(entry)
    )
    live.unused = tuple(unused_archives(case, live))
    live.unused_sources = frozenset(unused_sources(case, live))
    live.evicted = evicted(case, live)
    live.evicted_sources = evicted_sources(case, live)
    _mark_pointers(case, live)
    _follow_cached_environments(case, live)
    return live


def mark_uses(
    case: PlanInput, also: Iterable[tuple[str, Use]] = (), *, with_users: bool = True
) -> Liveness:
    """Return what outside evidence (and ``also``) marks: the first pass alone.

    Without ``with_users`` it is not told which environment links an archive: for
    those who only ask what is alive.

    No pointer in the cache counts here, and no rule that lets an idle
    environment stay: only what was seen in use.
    """
    live = Liveness()
    _mark_outside_environments(case, live, with_users=with_users)
    for entry, use in (*outside_roots(case), *also):
        live.mark(entry, use)
    _mark_pins(case, live)
    _follow_cached_environments(case, live)
    return live


def _mark_pins(case: PlanInput, live: Liveness) -> None:
    """Mark what is pinned by its path, whatever it is, and the archives of pinned packages."""
    for entry, pin in pinned_paths(case):
        _mark_pinned(case, live, entry, pin)
    for entry, pin in pinned_packages(case):
        if entry.kind is EntryKind.ARCHIVE:
            _mark_pinned(case, live, entry, pin)


def _mark_for_unread_pins(case: PlanInput, live: Liveness) -> None:
    """Mark everything where a pin can't be read: it may name any entry, of whatever kind."""
    for unread in case.unread_pins:
        for entry in all_entries(case.inventory):
            use = Use(reasons.PIN_UNREAD[entry.kind], HiddenUser(unread.path), unread.reason)
            live.mark(entry.path, use)


def _mark_pinned_pointers(case: PlanInput, live: Liveness) -> None:
    """Mark pointers and revisions of pinned packages where their bucket stays anyway."""
    for entry, pin in pinned_packages(case):
        if entry.kind is not EntryKind.ARCHIVE and live.buckets[bucket_of(entry.path)]:
            _mark_pinned(case, live, entry, pin)


def _mark_pinned(case: PlanInput, live: Liveness, entry: CacheEntry, pin: Pin) -> None:
    user = PinUser(case.user(pin.uid))
    words = pin_words(case, pin)
    # Also what lies among archives and is none.
    live.mark(entry.path, Use(reasons.PINNED[entry.kind], user, words))
    if entry.kind is EntryKind.ARCHIVE:
        return
    # A pointer is pinned for what it leads to.
    itself = Use(reasons.PINNED[EntryKind.ARCHIVE], user, words)
    led = Use(reasons.PINNED[EntryKind.ARCHIVE], user, f"{words} ({entry.path})")
    for archive in entry.archives:
        # Not twice for one pin: that of a package names both.
        if itself not in live.archives[archive]:
            live.mark(archive_path(archive), led)


def _mark_outside_environments(case: PlanInput, live: Liveness, *, with_users: bool) -> None:
    if not with_users:
        linked = frozenset().union(*(one.archives for one in case.outside_environments))
        use = Use(reasons.ARCHIVE_LINKED, OtherUser.ENVIRONMENTS)
        live.mark_archives(linked, use)
    for environment in case.outside_environments:
        user = EnvironmentUser(environment.path, case.user(environment.uid))
        if with_users:
            live.mark_archives(environment.archives, Use(reasons.ARCHIVE_LINKED, user))
        for entry in environment.entries:
            live.mark(entry, Use(reasons.ENVIRONMENT_LINKED, user))


def outside_roots(case: PlanInput) -> Iterator[tuple[str, Use]]:
    """Yield what is used from outside the cache, but for links of environments and pins.

    What is on trial may be among it, and comes back by this list (``prune.on_trial``).
    """
    for path, environment in case.cached_environments.items():
        claims = tuple(sorted(_CLAIMS.intersection(environment.sources)))
        if claims:
            registered = RegisteredUser(environment.path, claims)
            yield path, Use(reasons.ENVIRONMENT_REGISTERED, registered)
    for memory in _missing_but_remembered(case):
        age = format_age(memory.seen_ns, case.now_ns)
        user = EnvironmentUser(memory.path, case.user(memory.uid))
        use = Use(reasons.ARCHIVE_REMEMBERED, user, age)
        for archive in memory.archives:
            yield archive_path(archive), use
        for entry in memory.entries:
            yield entry, use
    yield from _used_by_processes(case)
    for named in case.evidence.named:
        file = FileUser(named.file, case.user(named.uid))
        yield named.entry, Use(reasons.ENTRY_NAMED, file)
    for one in case.evidence.host_uses:
        age = format_age(one.at_ns, case.now_ns)
        yield one.entry, Use(reasons.HOST_OBSERVED, HostUser(one.who, one.host), age)
    for entry, sprung_ns in case.evidence.sprung.items():
        age = format_age(sprung_ns, case.now_ns)
        yield entry, Use(reasons.TRIAL_SPRUNG, OtherUser.TRIPWIRE, age)
    yield from _kept_by_policy(case)


def _used_by_processes(case: PlanInput) -> Iterator[tuple[str, Use]]:
    for process in case.evidence.processes:
        user = ProcessUser(process.pid, case.user(process.uid), process.command)
        for used in process.uses:
            yield used.entry, Use(reasons.PROCESS_RUNNING, user, used.through)


def _kept_by_policy(case: PlanInput) -> Iterator[tuple[str, Use]]:
    for stored in case.inventory.archives.values():
        pattern = matches(case.policy.prune.keep, stored.package, stored.version)
        if pattern is not None:
            yield (
                stored.path,
                Use(reasons.ARCHIVE_POLICY, OtherUser.POLICY, f"prune.keep names {pattern}"),
            )


def _missing_but_remembered(case: PlanInput) -> Iterator[RememberedEnvironment]:
    """Remembered environments that this host can't see now, within ``venvs.keep_missing``.

    On a network filesystem such an environment may lie on another host's own
    disk; the default there is 30 days, on a local one none. One that exists
    but can't be read keeps what it linked for as long as it exists; so does one
    whose whole home or disk is not there now (``evidence.away``).
    """
    seen = {environment.path: environment for environment in case.evidence.environments}
    allowance = case.policy.venvs.keep_missing
    if allowance is None:
        days = 30 if case.evidence.filesystem.network else 0
        limit = days * 86_400 * NANOSECONDS
    else:
        limit = nanoseconds(allowance)
    for memory in case.evidence.remembered:
        now = seen.get(memory.path)
        unreadable = now is not None and now.status is EnvironmentStatus.UNREADABLE
        if (unreadable or memory.path in case.away) or (
            (now is None or now.status is EnvironmentStatus.MISSING)
            and limit
            and case.now_ns - memory.seen_ns <= limit
        ):
            yield memory


def _mark_hidden_uses(case: PlanInput, live: Liveness) -> None:
    for unseen in case.evidence.unseen:
        if case.keeps_everything(unseen):
            use = Use(reasons.ARCHIVE_UNSEEN, HiddenUser(unseen.path), unseen.reason)
            live.hidden_uses.append(use)
    if case.gaps_keep:
        for gap in case.gaps:
            if not gap.is_unseen:
                use = Use(reasons.ARCHIVE_GAP, HiddenUser(gap.subject), gap.detail)
                live.hidden_uses.append(use)
    # Beside a uv at work, what it may know waits for its end (`planner.grace`).
    for process in () if case.prunes_concurrently else case.lock_free_uv:
        release = f"uv {version}" if (version := uv_version(process)) else "a uv of unknown release"
        user = ProcessUser(process.pid, case.user(process.uid), process.command)
        live.hidden_uses.append(Use(reasons.ARCHIVE_LOCK_FREE_UV, user, release))
    for bucket in case.inventory.buckets:
        strange = not case.is_known_kind(bucket.kind)
        if strange or (bucket.kind in _POINTING and not case.is_known(bucket)):
            what = "kind" if strange else "version"
            use = Use(reasons.ARCHIVE_UNKNOWN_BUCKET, HiddenUser(bucket.name), what)
            live.hidden_uses.append(use)
    for failure in case.inventory.unreadable:
        if EntryPath.of(failure.path).kind in _POINTING:
            hidden = HiddenUser(failure.path)
            words = case.unread_words(failure)
            live.hidden_uses.append(Use(reasons.ARCHIVE_UNREADABLE_POINTER, hidden, words))


def _mark_buckets(case: PlanInput, needs: Mapping[str, tuple[Need, ...]], live: Liveness) -> None:
    in_use = {
        bucket_of(entry)
        for entry, uses in live.entries.items()
        if not all(isinstance(use.user, PinUser) or use.reason in _UNREAD_PINS for use in uses)
    }
    unread = _unread_parts(case)
    for bucket in case.inventory.buckets:
        marks = live.buckets[bucket.name]
        if bucket.kind == "archive":
            marks.append(Use(reasons.BUCKET_SHARED, OtherUser.EVERY_RELEASE))
        if not case.is_known(bucket):
            marks.append(Use(reasons.BUCKET_UNKNOWN, OtherUser.UNKNOWN_RELEASE))
        marks.extend(live.entries.get(bucket.name, ()))
        for need in needs.get(bucket.name, ()):
            marks.append(Use(reasons.BUCKET_NEEDED, need.user, need.why))
        if bucket.name in in_use:
            marks.append(Use(reasons.BUCKET_IN_USE, OtherUser.CACHED_ENVIRONMENTS))
        if bucket.kind == "environments":
            marks.extend(live.hidden_uses)
        marks.extend(unread.get(bucket.name, ()))
        if case.policy.prune.buckets == "never":
            marks.append(Use(reasons.BUCKET_POLICY, OtherUser.POLICY))
        if not marks:
            marks.extend(held_until_empty(case, bucket))


def _unread_parts(case: PlanInput) -> dict[str, list[Use]]:
    """Return what could not be read in each bucket: who has written there is unknown then."""
    found: dict[str, list[Use]] = defaultdict(list)
    for failure in case.inventory.unreadable:
        bucket = bucket_of(failure.path)
        if not failure.tells_who_writes and not found[bucket]:
            hidden = HiddenUser(failure.path)
            found[bucket].append(Use(reasons.BUCKET_UNREADABLE, hidden, case.unread_words(failure)))
    return found


def _mark_pointers(case: PlanInput, live: Liveness) -> None:
    unknown_packages: set[tuple[str, str | None]] = set()
    for pointer in case.inventory.wheel_pointers:
        if not live.buckets[pointer.bucket]:
            continue
        if goes(pointer.archives, live.evicted):
            continue
        use = Use(reasons.ARCHIVE_REFERENCED, EntryUser(pointer.path), pointer.bucket)
        for archive in pointer.archives:
            live.archives[archive].append(use)
        if not pointer.understood:
            unknown_packages.add((pointer.package, pointer.version))
    for revision in case.inventory.revisions:
        superseded = (
            revision.current is False
            and case.policy.prune.revisions
            # A process works in it, or a user has pinned it.
            and revision.path not in live.occupied
        )
        if live.buckets[revision.bucket] and not superseded:
            use = Use(reasons.ARCHIVE_REFERENCED, EntryUser(revision.path), revision.bucket)
            for archive in revision.archives.difference(live.evicted):
                live.archives[archive].append(use)
    _mark_packages(case, live, unknown_packages)
    _mark_young(case, live)


def _mark_packages(
    case: PlanInput, live: Liveness, packages: Iterable[tuple[str, str | None]]
) -> None:
    wanted = {package for package, _ in packages}
    if not wanted:
        return
    for archive in case.inventory.archives.values():
        if archive.package is None or archive.package in wanted:
            hidden = HiddenUser(archive.package or "this cache")
            live.archives[archive.id].append(Use(reasons.ARCHIVE_UNKNOWN_POINTER, hidden))


def _mark_young(case: PlanInput, live: Liveness) -> None:
    """Keep young archives where an installer without a lock may run on another host."""
    if not case.evidence.filesystem.network:
        return
    lock_free = any(
        trace.version is not None and takes_cache_lock(trace.version) is not True
        for trace in case.evidence.releases
    )
    if case.lock_proves_absence and not lock_free:
        return
    use = Use(reasons.ARCHIVE_YOUNG, OtherUser.OTHER_HOSTS)
    for archive in case.inventory.archives.values():
        if case.now_ns - archive.mtime_ns < YOUNG_NS:
            live.archives[archive.id].append(use)


def _mark_idle_rules(case: PlanInput, live: Liveness) -> None:
    """Mark cached environments that the policy lets stay although no user runs them."""
    for environment, use in reasons_to_stay(case):
        bucket_uses = live.buckets[environment.bucket]
        # The newest of a tool is kept for its next call, which only a release
        # that has this bucket could make.
        needless = use.reason is reasons.ENVIRONMENT_LATEST and is_being_emptied(bucket_uses)
        if bucket_uses and not needless:
            live.entries[environment.path].append(use)


def _follow_cached_environments(case: PlanInput, live: Liveness) -> None:
    """Mark what living cached environments lead to, until nothing new comes."""
    waiting = [*live.entries, *map(archive_path, live.archives)]
    visited: set[str] = set()
    while waiting:
        entry = waiting.pop()
        if entry in visited:
            continue
        visited.add(entry)
        for target in case.led_to(entry):
            if target != entry:
                live.mark(target, Use(reasons.ARCHIVE_CACHED_ENVIRONMENT, EntryUser(entry)))
                waiting.append(target)
    _mark_publishers(case, live)


def _mark_publishers(case: PlanInput, live: Liveness) -> None:
    """Keep the entry that leads to an environment archive in use: uvx finds it there."""
    for environment in case.inventory.environments:
        archive = environment.archive
        if archive is None or archive not in live.archives or live.entries.get(environment.path):
            continue
        if case.inventory.archives.get(archive) is None:
            continue
        if case.inventory.archives[archive].content is ArchiveContent.ENVIRONMENT:
            use = live.archives[archive][0]
            live.entries[environment.path].append(use)
