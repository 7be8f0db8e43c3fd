"""Which users still use which uv releases, as audit rules ask it.

A trace names a release exactly, or a bucket that a range of releases writes;
the second counts as old only when the whole range is. Who has upgraded since,
or has left no trace at all within ``uv.active_within``, counts for nothing.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.audit.shared_rights import groups_of, has_account, sharing_of
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.fs.access_lists import ALL
from cacheadmin.planner.bucket_needs import is_active
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.uv.releases import Release, buckets_of, parse_release, release_range
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.planner.plan_input import PlanInput

_METADATA = ".dist-info"


@frozen
class UsersTraces:
    """The traces of one user that a rule asked for."""

    uid: int | None
    """The user's account; None: a uv that every user on the host can run."""
    traces: tuple[ReleaseTrace, ...]
    """Exact traces before ranges, the newest first."""

    @property
    def is_exact(self) -> bool:
        """Whether one of them names its release."""
        return any(trace.version is not None for trace in self.traces)

    @property
    def words(self) -> str:
        """The releases, each with its newest evidence and where it can be looked at.

        What a release known exactly has written says nothing more.
        """
        exact = [trace.version for trace in self.traces if trace.version is not None]
        explained = {bucket for version in exact for bucket in buckets_of(version) or ()}
        newest: dict[str, ReleaseTrace] = {}
        for trace in self.traces:
            if trace.version is not None or trace.bucket not in explained:
                newest.setdefault(release_words(trace), trace)
        return "; ".join(
            join_some([f"{words} ({t.evidence}: {t.path})" for words, t in newest.items()])
        )


def users_with(
    subject: AuditTarget, is_wanted: Callable[[ReleaseTrace], bool]
) -> Iterator[UsersTraces]:
    """Yield each user with traces of the wanted sort: active ones, and their executables.

    An executable may have been installed years ago; while its user is active
    here, by whatever trace, it is what they are likely to run.
    """
    case = subject.case
    traces = list(traces_of_this_cache(subject))
    active = {id(trace): trace.uid for trace in traces if is_active(case, trace)}
    users = set(active.values())
    by_user: dict[int | None, list[ReleaseTrace]] = defaultdict(list)
    for trace in filter(is_wanted, traces):
        if _was_written_before_upgrade(case, trace):
            continue
        in_reach = trace.uid in users or (trace.uid is None and bool(users))
        if id(trace) in active or (trace.is_program and in_reach):
            by_user[trace.uid].append(trace)
    for uid, traces in by_user.items():
        yield UsersTraces(uid, tuple(sorted(traces, key=_exact_and_newest_first)))


def _was_written_before_upgrade(case: PlanInput, trace: ReleaseTrace) -> bool:
    """Whether a bucket was written before all its writer's executables were replaced.

    The planner keeps such a bucket for ``uv.active_within`` all the same: an image or a
    project may hold that release yet. An audit asks what is to be done, and it was done:
    the next write by such a release is found again.
    """
    if trace.bucket is None or trace.uid is None or trace.is_program:
        return False
    programs = [one for one in case.evidence.releases if one.is_program]
    newest_ns = max((one.seen_ns for one in programs if one.uid == trace.uid), default=0)
    return newest_ns > trace.seen_ns and not any(
        trace.bucket in (case.buckets_of(one.version or "", one.uid) or (trace.bucket,))
        for one in programs
        if one.uid in (trace.uid, None)
    )


def traces_of_this_cache(subject: AuditTarget) -> Iterator[ReleaseTrace]:
    """Yield the traces of users who use this cache, or may: what others do elsewhere is theirs.

    Left out are environments that link into caches but not into this one, and
    users with an account whom the root folder's rights keep out.
    """
    evidence = subject.case.evidence
    root = sharing_of(subject.snapshot.cache.fd, evidence.filesystem).root
    foreign = {one.path for one in evidence.environments if one.status is EnvironmentStatus.FOREIGN}
    for trace in evidence.releases:
        uid = trace.uid
        known = uid is not None and has_account(uid)
        shut_out = known and not root.user_may(uid or 0, groups_of(uid or 0), ALL)
        if trace.path not in foreign and not shut_out:
            yield trace


def is_before(trace: ReleaseTrace, release: str) -> bool:
    """Whether a trace surely is of a release before this one."""
    limit = parse_release(release) or ()
    if trace.version is not None:
        version = parse_release(trace.version)
        return version is not None and version < limit
    end = _first_release_without(trace.bucket)
    return end is not None and end <= limit


def release_words(trace: ReleaseTrace) -> str:
    """Return ``uv 0.5.10``, or the range of releases a trace may be of."""
    if trace.version is not None:
        return f"uv {trace.version}"
    if trace.at_least is not None:
        return f"uv {trace.at_least} or later"
    releases = None if trace.bucket is None else release_range(trace.bucket)
    if releases is None:
        return "an unknown uv"
    return f"a uv from {releases.first} to {releases.last or 'the newest'}"


def upgrade_words(user: UsersTraces, owner: str | None, minimum: str) -> str:
    """Return the command that upgrades the program that left the first trace, else any uv.

    It starts programs of ``owner``, an account's name, who therefore has to run it.
    """
    upgrade = _upgrade(user.traces, minimum)
    return upgrade if owner is None or user.uid == 0 else f"as {owner}: {upgrade}"


def _upgrade(traces: tuple[ReleaseTrace, ...], minimum: str) -> str:
    wanted = shell_word(f"uv>={minimum}")
    program = next((trace.path for trace in traces if trace.is_program), "")
    environment = _environment_of(program)
    if environment:
        return f"uv pip install --python {shell_word(environment)} --upgrade {wanted}"
    if program and not program.endswith(_METADATA):
        return f"{shell_word(program)} self update, or upgrade it with what installed it"
    return (
        f"`uv self update`, or `pip install --upgrade {wanted}` where pip installed it: no uv of "
        "theirs was found, so what it left counts for uv.active_within from its last use"
    )


def binary_of(trace: ReleaseTrace) -> str | None:
    """Return the path of the uv that a trace is of; None for traces that name no program."""
    if not trace.is_program:
        return None
    environment = _environment_of(trace.path)
    if environment:
        return f"{environment}/bin/uv"
    return None if trace.path.endswith(_METADATA) else trace.path


def _environment_of(path: str) -> str:
    """Return ENV of ``ENV/lib/python3.x/site-packages/uv-X.dist-info``; empty for other paths."""
    folders = path.split("/")
    if not path.endswith(_METADATA) or folders[-2] != "site-packages":
        return ""
    return "/".join(folders[:-4])


def _exact_and_newest_first(trace: ReleaseTrace) -> tuple[bool, int]:
    return trace.version is None, -trace.seen_ns


def _first_release_without(bucket: str | None) -> Release | None:
    """Return the release that gave a bucket up; None while the newest uses it, or none is known."""
    releases = None if bucket is None else release_range(bucket)
    if releases is None or releases.last is None:
        return None
    return parse_release(releases.last.removeprefix("before "))
