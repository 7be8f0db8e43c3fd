"""What preflight looks at: one function a check, listed in ``CHECKS``.

A check answers ``pass``, ``warn``, ``fail`` or ``skip``, with what was seen
and what to do. The verdict is not made here: it is the plan's, so that
preflight and prune can never disagree; a check of a limit quotes that limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import UNSEEN, EnvironmentKind, EnvironmentStatus, LinkMode
from cacheadmin.evidence.lock_holders import describe_holder
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.bucket_needs import is_active
from cacheadmin.planner.plan import Plan, Verdict
from cacheadmin.protect.roots import releases_of
from cacheadmin.prune.room import RoomForRun, room_words
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import format_age, rfc3339
from cacheadmin.trial.summary import TrialSummary
from cacheadmin.uv.releases import parse_release, takes_cache_lock
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.protect.protection import Protection


class CheckStatus(StrEnum):
    """How a check ended (public, in JSON)."""

    PASS = "pass"  # noqa: S105  the word of the contract, no secret
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@frozen
class Check:
    """One answer."""

    id: str
    """Stable id (public, in JSON): of the check, or of the plan's limit that it quotes."""
    status: CheckStatus
    """How the check ended."""
    title: str
    """What was looked at, for people."""
    detail: str
    """What was seen."""
    fix: str = ""
    """What to do; empty where nothing has to be done, or nothing is known to help."""


@frozen
class PreflightInput:
    """What the checks look at."""

    case: PlanInput
    """Policy, inventory and evidence."""
    plan: Plan
    """What a prune would do now."""
    quarantine: str
    """Absolute path of the folder where removals would wait; it may not exist yet."""
    quarantine_warning: str
    """Why undo may not last there, or empty."""
    protection: Protection
    """What is planted against uv's own prune."""
    trial: TrialSummary = field(default_factory=TrialSummary)
    """What is on trial, and what came back from trial."""
    room: RoomForRun | None = None
    """What is free where the cache lies, and what a prune writes there; None: not asked."""
    lock_problem: str = ""
    """Why the cache can't be locked on this filesystem, in words; empty where it can."""


_STATUS = {
    Verdict.SAFE: CheckStatus.PASS,
    Verdict.LIMITED: CheckStatus.WARN,
    Verdict.REFUSED: CheckStatus.FAIL,
}


def run_checks(subject: PreflightInput) -> tuple[Check, ...]:
    """Return every check's answer, in the order they are reported."""
    return tuple(check for function in CHECKS for check in function(subject))


def _from_limits(
    subject: PreflightInput, prefix: str, title: str, all_well: str
) -> Iterator[Check]:
    """Turn the plan's limits of one family into checks, or say that all is well."""
    found = [limit for limit in subject.plan.limits if limit.id.startswith(prefix)]
    for limit in found:
        yield Check(limit.id, _STATUS[limit.verdict], title, limit.detail, limit.fix)
    if not found:
        yield Check(prefix, CheckStatus.PASS, title, all_well)


def _filesystem(subject: PreflightInput) -> Iterator[Check]:
    filesystem = subject.case.evidence.filesystem
    where = f"{filesystem.kind} from {filesystem.source}, mounted at {filesystem.mount_point}"
    kind = "network" if filesystem.network else "local"
    yield from _from_limits(subject, "filesystem", "Filesystem", f"{where} ({kind})")


_OTHER_HOSTS = ("hosts.unseen", "hosts.exported")


def _hosts(subject: PreflightInput) -> Iterator[Check]:
    title = "Other hosts"
    found = [limit for limit in subject.plan.limits if limit.id in _OTHER_HOSTS]
    for limit in found:
        yield Check(limit.id, CheckStatus.WARN, title, limit.detail, limit.fix)
    if not found:
        yield Check("hosts", CheckStatus.PASS, title, _why_hosts_are_known(subject.case))


def _why_hosts_are_known(case: PlanInput) -> str:
    expected = len(case.policy.hosts.expect)
    if expected and not case.policy.hosts.is_alone:
        names = join_some([one.host for one in case.evidence.hosts])
        return "observed in time: " + (", ".join(names) or "no other host")
    network = case.evidence.filesystem.network
    return "the policy says hosts.only: this" if network else "the cache is on a local filesystem"


def _attributes(subject: PreflightInput) -> Iterator[Check]:
    filesystem = subject.case.evidence.filesystem
    kept = {True: "kept", False: "not kept", None: "unknown"}[filesystem.keeps_user_xattrs]
    times = "kept" if filesystem.keeps_access_times else "not kept"
    yield Check(
        "filesystem.attributes",
        CheckStatus.PASS,
        "Access times and attributes",
        f"access times are {times}, user extended attributes are {kept}",
    )


def _lock(subject: PreflightInput) -> Iterator[Check]:
    title = "Cache lock"
    if subject.lock_problem:
        yield Check(
            "lock.works",
            CheckStatus.FAIL,
            title,
            f"the cache can't be locked: {subject.lock_problem}; a prune is refused (code 5)",
            "mount its filesystem with locks, or prune where it is local, on the server",
        )
        return
    alarms = [limit for limit in subject.plan.limits if limit.id.startswith("lock.")]
    for limit in alarms:
        status = CheckStatus.FAIL if limit.id == "lock.foreign" else CheckStatus.WARN
        yield Check(limit.id, status, title, limit.detail, limit.fix)
    holders = [h for h in subject.case.evidence.lock_holders if not h.unlinked]
    if not holders:
        where = ""
        if subject.case.evidence.filesystem.network:
            # A client's table of locks never has those of other clients (facts, NFS).
            where = " on this host; locks of other hosts show only when a prune waits for them"
        yield Check("lock.holders", CheckStatus.PASS, title, f"no process holds the lock{where}")
        return
    named = join_some([describe_holder(holder, subject.case.user) for holder in holders])
    lock = subject.case.policy.lock
    if all(holder.is_guard for holder in holders):
        words = "cacheadmin guard lets go for a prune of ours"
        yield Check("lock.holders", CheckStatus.PASS, title, f"held {named[0]}; {words}")
        return
    waits = {
        "wait": f"a prune waits up to {lock.timeout} for it, then leaves with code 3",
        "skip": "a prune leaves with code 3 as long as it is held",
        "concurrent": "a prune works beside it; what the holder may know waits for its end",
    }
    yield Check(
        "lock.holders",
        CheckStatus.WARN,
        title,
        "held " + "; ".join(named),
        waits[lock.busy],
    )


def _links(subject: PreflightInput) -> Iterator[Check]:
    counts = dict.fromkeys(LinkMode, 0)
    outside = subject.case.outside_environments
    for environment in outside:
        for mode, number in environment.link_modes.items():
            counts[mode] += number
    seen = ", ".join(f"{number} by {mode}" for mode, number in counts.items() if number)
    all_well = f"{format_count(len(outside), 'environment')} seen, none links into the cache" + (
        f" (distributions: {seen})" if seen else ""
    )
    if not outside and subject.case.gaps:
        yield Check(
            "links.unseen",
            CheckStatus.WARN,
            "Links into the cache",
            "no environment is known, so nothing can be said about links into the cache",
            subject.case.gaps[0].fix,
        )
        return
    yield from _from_limits(subject, "links", "Links into the cache", all_well)


def _gaps(subject: PreflightInput) -> Iterator[Check]:
    """Answer for each kind of gap; what could not be read is said under Environments."""
    title = "Places not looked at"
    named = {gap.id for gap in subject.case.gaps}
    found = [
        limit
        for limit in subject.plan.limits
        if _is_gap(limit.id, named) and limit.id not in _OTHER_HOSTS
    ]
    for limit in found:
        yield Check(limit.id, _STATUS[limit.verdict], title, limit.detail, limit.fix)
    if not subject.case.gaps:
        yield Check("gaps", CheckStatus.PASS, title, "none that is known")


def _environments(subject: PreflightInput) -> Iterator[Check]:
    title = "Environments"
    outside = subject.case.outside_environments
    missing = [e for e in outside if e.status is EnvironmentStatus.MISSING]
    broken = [e for e in outside if e.broken_links]
    gaps = {gap.id for gap in subject.case.gaps}
    found = [
        limit
        for limit in subject.plan.limits
        if limit.id.startswith((UNSEEN, "environments")) and not _is_gap(limit.id, gaps)
    ]
    for limit in found:
        yield Check(limit.id, _STATUS[limit.verdict], title, limit.detail, limit.fix)
    if broken:
        named = join_some(
            [
                f"{e.path} ({subject.case.user(e.uid)}: "
                f"{', '.join(join_some(list(e.broken_packages)))})"
                for e in broken
            ]
        )
        yield Check(
            "environments.broken",
            CheckStatus.WARN,
            title,
            f"{len(broken)} already {verb(len(broken), 'has', 'have')} links into this cache "
            "that lead nowhere: " + ", ".join(named),
            "`cacheadmin doctor POLICY` prints the command that repairs each and changes nothing "
            "else",
        )
    if not found:
        number = len(missing)
        gone = f", {number} named in the cache {verb(number, 'is', 'are')} gone" if missing else ""
        yield Check(
            "environments",
            CheckStatus.PASS,
            title,
            f"{format_count(len(outside) - len(missing), 'environment')} could be read in full"
            f"{gone}",
        )


def _is_gap(limit: str, gaps: set[str]) -> bool:
    return limit in gaps and not limit.startswith(UNSEEN)


def _processes(subject: PreflightInput) -> Iterator[Check]:
    yield from _from_limits(
        subject, "processes", "Running processes", "no running process uses the cache"
    )


def _active_traces(case: PlanInput) -> list[ReleaseTrace]:
    return [trace for trace in case.evidence.releases if is_active(case, trace)]


def _users_by_version(case: PlanInput) -> dict[str, set[str]]:
    users: dict[str, set[str]] = {}
    for trace in _active_traces(case):
        if trace.version is not None:
            users.setdefault(trace.version, set()).add(case.user_of_release(trace.uid))
    return users


def _releases(subject: PreflightInput) -> Iterator[Check]:
    users = _users_by_version(subject.case)
    ordered = sorted(users, key=lambda version: parse_release(version) or ())
    seen = "; ".join(f"uv {v}: {', '.join(sorted(users[v]))}" for v in ordered)
    yield Check(
        "releases.in_use",
        CheckStatus.PASS,
        "uv releases in use",
        seen or "no uv release could be identified; buckets are judged by their last write",
    )


def _lock_free_releases(subject: PreflightInput) -> Iterator[Check]:
    title = "Releases without a cache lock"
    users = _users_by_version(subject.case)
    lock_free = {v: u for v, u in users.items() if takes_cache_lock(v) is False}
    if not lock_free:
        yield Check(
            "releases.lock_free", CheckStatus.PASS, title, "every release seen takes the lock"
        )
        return
    named = "; ".join(
        f"uv {version}: {', '.join(sorted(lock_free[version]))}"
        for version in sorted(lock_free, key=lambda version: parse_release(version) or ())
    )
    yield Check(
        "releases.lock_free",
        CheckStatus.WARN,
        title,
        f"releases before 0.8.19 ignore the cache lock: {named}",
        "ask them to upgrade; their own `uv cache prune` waits for no process and deletes the lock",
    )


def _minimum(subject: PreflightInput) -> Iterator[Check]:
    minimum = subject.case.policy.uv.minimum
    floor = parse_release(minimum) or ()
    below = [
        f"{', '.join(sorted(who))} (uv {version})"
        for version, who in _users_by_version(subject.case).items()
        if (parse_release(version) or ()) < floor
    ]
    if below:
        yield Check(
            "releases.minimum",
            CheckStatus.WARN,
            "Oldest release allowed",
            f"below uv.minimum {minimum}: " + "; ".join(sorted(below)),
            "ask them to upgrade",
        )
    else:
        yield Check(
            "releases.minimum",
            CheckStatus.PASS,
            "Oldest release allowed",
            f"no user is below {minimum}",
        )


def _buckets(subject: PreflightInput) -> Iterator[Check]:
    unneeded = [d.path for d in subject.plan.removals if d.kind is EntryKind.BUCKET]
    detail = "no user needs " + ", ".join(unneeded) if unneeded else "every bucket is needed"
    yield from _from_limits(subject, "buckets", "Buckets", detail)
    others = (
        ("releases.unknown", "Unknown uv releases"),
        ("pointers", "Pointers"),
        ("cache", "Cache"),
        ("clock", "Clock"),
        ("unused", "Unused wheels"),
        ("budget", "Budget"),
    )
    for prefix, title in others:
        if any(limit.id.startswith(prefix) for limit in subject.plan.limits):
            yield from _from_limits(subject, prefix, title, "")


def _quarantine(subject: PreflightInput) -> Iterator[Check]:
    title = "Quarantine"
    if subject.quarantine_warning:
        yield Check(
            "quarantine", CheckStatus.WARN, title, subject.quarantine_warning, "set quarantine.path"
        )
    else:
        keep = subject.case.policy.quarantine.keep
        yield Check(
            "quarantine",
            CheckStatus.PASS,
            title,
            f"removals stay undoable for {keep.days} d in {subject.quarantine}",
        )


def _room(subject: PreflightInput) -> Iterator[Check]:
    """Tell what is free, and what a prune has to write before it frees anything."""
    if subject.room is None:
        return
    status = CheckStatus.PASS if subject.room.fits else CheckStatus.WARN
    fix = (
        ""
        if subject.room.fits
        else "prune makes room first: it deletes at once, instead of keeping it in quarantine, "
        "what rests on proof"
    )
    yield Check("room", status, "Room for a run", room_words(subject.room), fix)


def _cached(subject: PreflightInput) -> Iterator[Check]:
    total = len(subject.case.inventory.environments)
    idle = sum(1 for d in subject.plan.removals if d.kind is EntryKind.ENVIRONMENT)
    kinds = sum(1 for e in subject.case.evidence.environments if e.kind is EnvironmentKind.CACHED)
    yield Check(
        "environments.cached",
        CheckStatus.PASS,
        "Cached environments",
        f"{format_count(total, 'tool and script environment')} ({kinds} read), "
        f"{idle} idle and unused",
    )


def _protection(subject: PreflightInput) -> Iterator[Check]:
    title = "Protection from uv's own prune"
    protection = subject.protection
    total = protection.archives
    fix = "run `cacheadmin protect POLICY`, and `cacheadmin guard POLICY` to keep it so"
    if not protection.is_there:
        status = CheckStatus.WARN if subject.case.policy.protect.enabled else CheckStatus.SKIP
        archives = format_count(total, "archive")
        detail = f"none of {archives} in use is protected: any user's prune may delete them"
        yield Check("protection", status, title, detail, fix)
        return
    short = [bucket for bucket in protection.buckets if bucket.missing]
    if short:
        exposed = "; ".join(
            f"{releases_of(b.name)} ({b.missing} of {total}"
            + (f": {b.name}: {b.problem})" if b.problem else ")")
            for b in short
        )
        detail = f"archives in use are not protected from {exposed}"
        yield Check("protection", CheckStatus.WARN, title, detail, fix)
        return
    since = (
        "" if protection.since_ns is None else f", unchanged since {rfc3339(protection.since_ns)}"
    )
    detail = (
        f"{format_count(total, 'archive')} in use {verb(total, 'is', 'are')} protected from every "
        f"release up to uv {subject.case.newest_known} and {subject.case.policy.protect.ahead} "
        f"bucket versions ahead{since}"
    )
    yield Check("protection", CheckStatus.PASS, title, detail)


def _trial(subject: PreflightInput) -> Iterator[Check]:
    """Tell what is on trial; nothing where nothing is, or was."""
    trial = subject.trial
    if trial.is_empty:
        return
    now_ns = subject.case.now_ns
    parts = []
    if trial.first_end_ns is not None:
        number = trial.entries
        entries = (
            f"{format_count(number, 'entry', 'entries')} {verb(number, 'is', 'are')} on trial, "
            f"{format_size(trial.bytes)}"
        )
        parts.append(f"{entries}; the first trial ends {rfc3339(trial.first_end_ns)}")
    spring = trial.last_spring
    if spring is not None:
        age = format_age(spring.at_ns, now_ns)
        parts.append(
            f"{trial.came_back} came back because they were used, the last {age} ago "
            f"({spring.entry})"
        )
    yield Check("trial", CheckStatus.PASS, "On trial", "; ".join(parts))


CHECKS: tuple[Callable[[PreflightInput], Iterator[Check]], ...] = (
    _filesystem,
    _hosts,
    _attributes,
    _lock,
    _links,
    _environments,
    _gaps,
    _trial,
    _cached,
    _processes,
    _releases,
    _lock_free_releases,
    _minimum,
    _buckets,
    _quarantine,
    _room,
    _protection,
)
