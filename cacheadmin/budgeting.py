"""Meet ``prune.budget``: measure the cache once, and choose what to give up.

``planner.budget`` decides; here everything that may be given up is measured by
itself, with what it shares with the rest.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.clones import extents_of_environments
from cacheadmin.fs.measuring import measure_many
from cacheadmin.inventory.entries import lies_in
from cacheadmin.planner.budget import Coming, Room, choose, units, what_stays
from cacheadmin.planner.planning import make_plan
from cacheadmin.trial.folder import PLACE
from cacheadmin.uv.layout import CONTENT_KINDS, parse_bucket_name

if TYPE_CHECKING:
    from cacheadmin.planner.plan import Plan
    from cacheadmin.situation import Situation


def within_budget(situation: Situation, plan: Plan) -> Plan:
    """Return the plan with as much more given up as its policy's budget asks for.

    What is removed anyway, what is on trial and contents that wait for
    ``prune.builds.after`` count as free: they come without anything more.
    """
    case, inventory, cache = situation.case, situation.inventory, situation.cache
    removed = [decision.path for decision in plan.removals]
    gone = frozenset(removed)
    candidates = tuple(units(case, plan.live, gone))
    waiting = [file.path for file in inventory.loose_files]
    on_trial = [PLACE] if inventory.on_trial else []
    buckets = [name for name in os.listdir(cache.fd) if not name.startswith("archive-v")]
    paths = [
        *buckets,
        *(archive.path for archive in inventory.archives.values()),
        *(revision.path for revision in inventory.revisions),
        *(path for unit in candidates for path in unit.paths),
        *removed,
        *waiting,
        *on_trial,
    ]
    sizes = measure_many(
        cache.fd,
        paths,
        situation.charges,
        lambda: extents_of_environments(situation.evidence.environments, cache.identity.device),
    )
    whole = sizes.together(sizes)
    filesystem = os.fstatvfs(cache.fd)
    room = Room(
        whole.allocated_bytes,
        whole.files,
        filesystem.f_bavail * filesystem.f_frsize,
        filesystem.f_blocks * filesystem.f_frsize,
    )
    contents = [
        name for name in buckets if (parse_bucket_name(name) or ("", 0))[0] in CONTENT_KINDS
    ]
    coming = Coming(sizes, contents)
    # A folder that goes takes with it what was measured by itself in it.
    room = coming.take((path for path in sizes if lies_in(path, gone)), room)
    room = coming.take((*waiting, *on_trial), room)
    choice = choose(case.policy.prune.budget, room, candidates, coming)
    after = make_plan(case.policy, inventory, case.evidence, case.now_ns, choice)
    if not choice.unmet:
        return after
    trial_bytes = sum(sizes[path].allocated_bytes for path in on_trial)
    stays = what_stays(after, sizes, trial_bytes)
    told = replace(choice, unmet=f"{choice.unmet}; what stays: {stays}" if stays else choice.unmet)
    return make_plan(case.policy, inventory, case.evidence, case.now_ns, told)
