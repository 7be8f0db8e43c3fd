"""Which version buckets users still need.

uv's own prune keeps the buckets of the release that runs it and deletes all
others, older and newer (facts section 0, rule 2). Here a bucket stays while
*any user* needs it: the union over all releases in active use, never one.

A bucket is needed when
- a release in use within ``uv.active_within``, or named in ``uv.keep``, has it;
- a process wrote to it within that time (this alone names the bucket, whatever
  the release was), or to another bucket that no release has without this one: who
  downloads wheels each day may have built from source a month ago;
- it is the newest of its kind in this cache: a quiet month must not empty a
  cache that no user has moved away from;
- a release in use is newer than the release table: what it needs is unknown,
  so the newest known version of every kind and all above stay;
- a running uv of unknown release, of which any bucket may be;
- it is an interpreter bucket, and alone names an environment that is there.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.planner.users import AccountUser, EnvironmentUser, OtherUser
from cacheadmin.text.timestamps import format_age, nanoseconds
from cacheadmin.uv.releases import buckets_of, newest_known
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.planner.users import User

# The source-distribution bucket was renamed in 0.4.13 (facts section 1).
_SAME_KIND = {"built-wheels": "sdists"}


@frozen
class Need:
    """Who needs a bucket, and why."""

    user: User
    """An account, the policy, an environment, or the cache, which keeps the newest of a kind."""
    why: str
    """A clause that continues a sentence about ``user`` (``wrote to it 3 d ago``)."""


def bucket_needs(case: PlanInput) -> Mapping[str, tuple[Need, ...]]:
    """Return, for each bucket of the inventory that is needed, by whom and why."""
    present = {bucket.name for bucket in case.inventory.buckets}
    needs: dict[str, list[Need]] = defaultdict(list)
    for names, need in _all_needs(case):
        for name in names & present:
            if need not in needs[name]:
                needs[name].append(need)
    for name, need in tuple(_only_records(case, needs.keys())):
        needs[name].append(need)
    return {name: tuple(found) for name, found in needs.items()}


def _only_records(case: PlanInput, needed: Container[str]) -> Iterator[tuple[str, Need]]:
    """Yield the interpreter buckets that alone name an environment which is there.

    Environments on record in the state count too: the state may be lost.
    """
    for environment in case.outside_environments:
        if environment.status is EnvironmentStatus.MISSING:
            continue
        known = set(environment.sources) <= {"cache", "remembered", "process"}
        uses = environment.archives or environment.entries or not environment.complete
        named_in = case.evidence.recorded.get(environment.path, frozenset())
        if not (known and uses and named_in) or any(name in needed for name in named_in):
            continue
        newest = max(named_in, key=lambda name: (len(name), name))
        user = EnvironmentUser(environment.path, case.user(environment.uid))
        yield newest, Need(user, "is an environment that nothing else names")


def is_active(case: PlanInput, trace: ReleaseTrace) -> bool:
    """Whether a trace counts: recent enough, and its user has not upgraded since.

    A time in the future counts.
    """
    recent = case.now_ns - trace.seen_ns <= nanoseconds(case.policy.uv.active_within)
    return recent and not has_upgraded(case, trace)


def has_upgraded(case: PlanInput, trace: ReleaseTrace) -> bool:
    """Whether a trace's user has since replaced the release that left it.

    So it is when they have uv executables on that host, none of them, nor one for
    every user, is a release that could have left the trace, and the newest
    of theirs came after it. A release they have elsewhere all the same
    downloads again, and leaves a new trace; no environment depends on buckets.
    A write to a bucket is no matter of belief: the user who wrote it has that release
    somewhere, in an image or a project, whatever else they have.
    """
    if trace.is_program or trace.uid is None or trace.bucket is not None:
        return False
    # Of that host: another has other programs, and its account of this number may be another's.
    programs = [
        program
        for uid in (trace.uid, None)
        for program in case.programs.get(uid, ())
        if program.host == trace.host
    ]
    own = [program for program in programs if program.uid == trace.uid]
    if not own or max(program.seen_ns for program in own) <= trace.seen_ns:
        return False
    return not any(_could_have_left(program, trace) for program in programs)


def _could_have_left(program: ReleaseTrace, trace: ReleaseTrace) -> bool:
    return None in (program.version, trace.version) or program.version == trace.version


def _all_needs(case: PlanInput) -> Iterator[tuple[frozenset[str], Need]]:
    for version in case.policy.uv.keep:
        yield _buckets(case, version), Need(OtherUser.POLICY, f"uv.keep names uv {version}")
    for trace in case.evidence.releases:
        if not is_active(case, trace):
            continue
        user = AccountUser(case.user_of_release(trace.uid))
        age = format_age(trace.seen_ns, case.now_ns)
        if trace.version is not None:
            why = f"uses uv {trace.version} ({trace.evidence}, {age} ago)"
            yield _buckets(case, trace.version, trace.uid), Need(user, why)
        elif trace.bucket is not None:
            yield frozenset({trace.bucket}), Need(user, f"wrote to it {age} ago")
            beside = case.used_together_with(trace.bucket) - {trace.bucket}
            why = f"wrote to {trace.bucket} {age} ago, which no release has without it"
            yield beside, Need(user, why)
    for process in case.evidence.processes:
        # A stranger's may be of any release, and most likely needs none of these.
        unknown = process.uv is not None and process.uv.version is None
        if unknown and case.may_work_without_lock(process):
            every = frozenset(bucket.name for bucket in case.inventory.buckets)
            why = f"runs a uv of unknown release (process {process.pid})"
            yield every, Need(AccountUser(case.user(process.uid)), why)
    yield (
        _newest_of_each_kind(case),
        Need(OtherUser.NEWEST_OF_KIND, "it is the newest of its kind here"),
    )


def _buckets(case: PlanInput, version: str, uid: int | None = None) -> frozenset[str]:
    known = case.buckets_of(version, uid)
    return _newest_known_and_above(case) if known is None else known


def _newest_known_and_above(case: PlanInput) -> frozenset[str]:
    newest = buckets_of(newest_known()) or frozenset()
    floor = {name.rpartition("-v")[0]: int(name.rpartition("-v")[2]) for name in newest}
    return frozenset(
        bucket.name
        for bucket in case.inventory.buckets
        if bucket.version >= floor.get(bucket.kind, 0)
    )


def _newest_of_each_kind(case: PlanInput) -> frozenset[str]:
    newest: dict[str, tuple[bool, int, str]] = {}
    for bucket in case.inventory.buckets:
        kind = _SAME_KIND.get(bucket.kind, bucket.kind)
        rank = (kind == bucket.kind, bucket.version, bucket.name)
        newest[kind] = max(newest.get(kind, rank), rank)
    return frozenset(name for _, _, name in newest.values())
