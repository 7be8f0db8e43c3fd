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

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner import reasons
from cacheadmin.planner.marks import Use
from cacheadmin.planner.rules.interface import Ruling, keep, remove
from cacheadmin.text.timestamps import format_age, nanoseconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cacheadmin.inventory.entries import LooseFile
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.plan_input import PlanInput


def files(case: PlanInput, live: Liveness) -> Iterator[Ruling]:
    """Rule on every content that nothing shares, outside buckets that go."""
    for file in case.inventory.loose_files:
        bucket = file.path.partition("/")[0]
        if not live.buckets.get(bucket):
            continue
        uses = _uses(case, live, file)
        if uses:
            yield keep(EntryKind.FILE, file.path, uses)
        else:
            age = format_age(file.changed_ns, case.now_ns)
            words = f"no archive and no environment has shared it for {age}"
            yield remove(EntryKind.FILE, file.path, reasons.FILE_UNSHARED, words)


def _uses(case: PlanInput, live: Liveness, file: LooseFile) -> list[Use]:
    uses = list(live.entries.get(file.path, ()))
    age = format_age(file.changed_ns, case.now_ns)
    if case.now_ns - file.changed_ns < nanoseconds(case.policy.prune.builds.after):
        words = f"it was stored, or lost its last sharer, {age} ago"
        uses.append(Use(reasons.FILE_RECENT, case.user(file.uid), words))
    if case.works_beside or case.lock_free_uv:
        words = "a uv that is not kept out by the lock may be about to link it"
        uses.append(Use(reasons.FILE_BESIDE, "running uv", words))
    if not case.lock_proves_absence:
        words = "an install on another host may be about to link it, and locks don't reach there"
        uses.append(Use(reasons.FILE_OTHER_HOSTS, "other hosts", words))
    return uses
