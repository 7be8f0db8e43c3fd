"""Git databases and checkouts: gone when nothing that was built from them is used for long.

The file that says that a checkout is complete is removed first: without it uv checks out again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.git_packages import one_package
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import EntryUser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import GitSource
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def git_sources(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on the git databases and checkouts in buckets that stay; checkouts first."""
    for source in sorted(case.inventory.git_sources, key=lambda one: one.commit is None):
        if not live.buckets[source.bucket]:
            continue
        package, version = one_package(case.git_packages.get(source.path, ()))
        if source.path in live.evicted_sources:
            reason, detail = live.evicted_sources[source.path]
            for path in (*source.files, source.path):
                yield remove(
                    EntryKind.SOURCE, path, reason, detail, package=package, version=version
                )
        else:
            uses = live.within(source.path) or [_why_kept(case, live, source)]
            yield keep(EntryKind.SOURCE, source.path, uses, package=package, version=version)


def _why_kept(case: PlanInput, live: Liveness, source: GitSource) -> Use:
    bucket = EntryUser(source.bucket)
    if not case.is_known_bucket(source.bucket):
        return Use(reasons.GIT_UNKNOWN_BUCKET, bucket)
    if source.path in live.unused_sources:
        return Use(reasons.GIT_RECENT, bucket)
    what = "a checkout of it" if source.commit is None else "what was built from it"
    return Use(reasons.GIT_USED, bucket, what)
