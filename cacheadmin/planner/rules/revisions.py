"""Source revisions: gone when ``revision.http`` or ``revision.rev`` names another.

uv's own prune does the same since 0.4.7 (facts section 3, step 1), but for its
own bucket only. A current revision that no user uses is given up with the file that
names it (``planner.sources``); of one that stays, parts may be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import EntryUser, OtherUser, ProcessUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import SourceRevision
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def revisions(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on the revisions in buckets that stay."""
    named: set[str] = set()
    for revision in case.inventory.revisions:
        if not live.buckets[revision.bucket]:
            continue
        if revision.path in live.evicted_sources:
            yield from _whole(revision, live, named)
            continue
        yield from _parts(revision, live)
        uses = _uses(case, live, revision)
        if uses:
            yield keep(
                EntryKind.REVISION,
                revision.path,
                uses,
                package=revision.package,
                version=revision.version,
            )
        else:
            yield remove(
                EntryKind.REVISION,
                revision.path,
                reasons.REVISION_SUPERSEDED,
                package=revision.package,
                version=revision.version,
            )


def _whole(revision: SourceRevision, live: Liveness, named: set[str]) -> Iterator[Decision]:
    """Remove a revision and, before it, what makes uv find it: then uv makes another.

    ``named`` are the files removed so far: two revisions may share them.
    """
    reason, detail = live.evicted_sources[revision.path]
    package, version = revision.package, revision.version
    for path in revision.file_paths:
        if path not in named:
            named.add(path)
            yield remove(EntryKind.WHEEL, path, reason, detail, package=package, version=version)
    yield remove(
        EntryKind.REVISION, revision.path, reason, detail, package=package, version=version
    )


def _parts(revision: SourceRevision, live: Liveness) -> Iterator[Decision]:
    """Remove parts of a revision that stays."""
    package, version = revision.package, revision.version
    for path in revision.parts:
        if path in live.evicted_sources:
            reason, detail = live.evicted_sources[path]
            yield remove(EntryKind.SOURCE, path, reason, detail, package=package, version=version)


def _uses(case: PlanInput, live: Liveness, revision: SourceRevision) -> list[Use]:
    if not case.is_known_bucket(revision.bucket):
        return [Use(reasons.REVISION_UNKNOWN_BUCKET, EntryUser(revision.bucket))]
    if revision.current is not False:
        return live.within(revision.path) or [_why_current(revision)]
    if not case.policy.prune.revisions:
        return [Use(reasons.REVISION_POLICY, OtherUser.POLICY)]
    if case.lock_free_uv and not case.prunes_concurrently:
        # A build that began before the newer revision came works on in here.
        process = case.lock_free_uv[0]
        user = ProcessUser(process.pid, case.user(process.uid))
        return [Use(reasons.REVISION_LOCK_FREE_UV, user)]
    return live.within(revision.path)


def _why_current(revision: SourceRevision) -> Use:
    bucket = EntryUser(revision.bucket)
    if not revision.understood:
        detail = "the revision file beside it can't be understood"
        return Use(reasons.REVISION_UNNAMED, bucket, detail)
    if revision.current is None and not revision.found_by_name:
        return Use(reasons.REVISION_UNNAMED, bucket, "no revision file says which is current")
    return Use(reasons.REVISION_CURRENT, bucket)
