"""Build and temporary folders: gone when old, and no process is in them.

They can be live: ``uv run --with`` runs its child from ``builds-v0/.tmp*``,
for as long as that child lives (facts section 7).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind, bucket_of
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import keep, remove
from cacheadmin.planner.users import AccountUser, OtherUser
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import Build
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def builds(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on every build and temporary folder outside buckets that go."""
    for build in case.inventory.builds:
        bucket = bucket_of(build.path)
        if "/" in build.path and not live.buckets.get(bucket):
            continue
        uses = _uses(case, live, build)
        if uses:
            yield keep(EntryKind.BUILD, build.path, uses)
        else:
            age = format_age(build.changed_ns, case.now_ns)
            yield remove(EntryKind.BUILD, build.path, reasons.BUILD_ABANDONED, age)


def _uses(case: PlanInput, live: Liveness, build: Build) -> list[Use]:
    uses = list(live.entries.get(build.path, ()))
    age = format_age(build.changed_ns, case.now_ns)
    if case.now_ns - build.changed_ns < nanoseconds(case.policy.prune.builds.after):
        uses.append(Use(reasons.BUILD_RECENT, AccountUser(case.user(build.uid)), age))
    if any(unseen.what == "process" for unseen in case.evidence.unseen):
        uses.append(Use(reasons.BUILD_UNSEEN, OtherUser.UNSEEN_PROCESSES))
    if not case.lock_proves_absence or case.hosts_may_run_from(build.changed_ns):
        uses.append(Use(reasons.BUILD_OTHER_HOSTS, OtherUser.OTHER_HOSTS))
    return uses
