"""What is known by now, some time after a run's look: asked before anything is deleted for good.

Waiting for uv's lock, moving and measuring take minutes. What a user is told in that time
(that a pin of what is on trial keeps it) must hold.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from cacheadmin.evidence.collection import scan_candidates
from cacheadmin.evidence.environments import ScanOptions
from cacheadmin.evidence.look import Moment
from cacheadmin.planner.plan_input import PlanInput
from cacheadmin.prune.changed_environments import changed_environments

if TYPE_CHECKING:
    from cacheadmin.snapshot.snapshot import Snapshot


def known_by_now(snapshot: Snapshot) -> PlanInput:
    """Return what the snapshot knows, with all that its sources tell since.

    The inventory is still that of the look.
    """
    look = snapshot.collected.look.later(Moment.BEFORE_LOCK)
    evidence = snapshot.evidence
    told = [source.changed(look, before) for source, before in snapshot.collected.answers.items()]
    changes = changed_environments(evidence.environments, look)
    candidates = [*chain.from_iterable(one.candidates for one in told), *changes.candidates]
    scanned = [environment for _, environment in scan_candidates(candidates, look, ScanOptions())]
    by_now = replace(
        evidence,
        environments=(*evidence.environments, *scanned),
        processes=(*evidence.processes, *chain.from_iterable(one.processes for one in told)),
        pins=(*evidence.pins, *chain.from_iterable(one.pins for one in told)),
        named=(*evidence.named, *chain.from_iterable(one.named for one in told)),
        host_uses=(*evidence.host_uses, *chain.from_iterable(one.host_uses for one in told)),
        unseen=(*evidence.unseen, *chain.from_iterable(one.unseen for one in told)),
        gaps=(*evidence.gaps, *chain.from_iterable(one.gaps for one in told)),
    )
    case = snapshot.case
    return PlanInput(case.policy, case.inventory, by_now, case.now_ns)
