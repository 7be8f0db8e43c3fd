"""Contents that nothing shares any more, in ``files-v*``.

With the preview ``content-addressed-cache`` uv (0.12.8 and later) stores each file
once, by its hash, and archives are hard links to it. When the last archive and
the last environment that share one are gone, its link count is 1: the kernel's own
word that no user has it, on whatever host. Losing one costs a later install one
file; but an install in between has looked for it already, so it must be old, and
uv's lock must keep installs out. Count and time are looked at again before the move.
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

    from cacheadmin.inventory.entries import LooseFile
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan import Decision
    from cacheadmin.planner.plan_input import PlanInput


def files(case: PlanInput, live: Liveness) -> Iterator[Decision]:
    """Rule on every content that nothing shares, outside buckets that go."""
    for file in case.inventory.loose_files:
        bucket = bucket_of(file.path)
        if not live.buckets.get(bucket):
            continue
        uses = _uses(case, live, file)
        if uses:
            yield keep(EntryKind.FILE, file.path, uses)
        else:
            age = format_age(file.changed_ns, case.now_ns)
            yield remove(EntryKind.FILE, file.path, reasons.FILE_UNSHARED, age)


def _uses(case: PlanInput, live: Liveness, file: LooseFile) -> list[Use]:
    uses = list(live.entries.get(file.path, ()))
    age = format_age(file.changed_ns, case.now_ns)
    if case.now_ns - file.changed_ns < nanoseconds(case.policy.prune.builds.after):
        uses.append(Use(reasons.FILE_RECENT, AccountUser(case.user(file.uid)), age))
    if case.prunes_concurrently or case.lock_free_uv:
        uses.append(Use(reasons.FILE_BESIDE, OtherUser.RUNNING_UV))
    if not case.lock_proves_absence:
        uses.append(Use(reasons.FILE_OTHER_HOSTS, OtherUser.OTHER_HOSTS))
    return uses
