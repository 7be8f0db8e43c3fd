"""What this host tells others of its use of a cache, from the evidence of one look. Pure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin import __version__
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.observations import (
    Observation,
    Observations,
    ObservedGap,
    ObservedUse,
    Reach,
    SharedMount,
    Sight,
)
from cacheadmin.inventory.entries import archive_path
from cacheadmin.planner.unreferenced import unreferenced_archives

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence, Filesystem
    from cacheadmin.evidence.this_host import ThisHost
    from cacheadmin.planner.plan_input import PlanInput


def observe(
    case: PlanInput,
    here: ThisHost,
    told: Observations,
    mounts: tuple[SharedMount, ...] = (),
    sight: Sight | None = None,
) -> Observation:
    """Return what this host sees of a cache, as of when its look began.

    Other hosts tell of their own gaps. ``told``: what is kept of all of them.
    """
    evidence = case.evidence
    return Observation(
        host=here.name_among(told.known),
        boot=here.boot,
        at_ns=case.now_ns + evidence.clock_ahead_ns,
        uid=os.geteuid(),
        version=__version__,
        reach=_reach(case.inventory.cache.path, evidence.filesystem),
        uses=(*_uses(evidence), *_unseen_uses(sight)),
        releases=tuple(release for release in evidence.releases if release.host is None),
        gaps=tuple(
            ObservedGap(gap.id, gap.subject, gap.detail, gap.uid)
            for gap in case.gaps
            if not gap.id.startswith("hosts.")
        ),
        environments=len(evidence.environments),
        unreferenced=unreferenced_archives(case),
        mounts=mounts,
        sight=sight,
        machine=here.machine,
    )


def _unseen_uses(sight: Sight | None) -> Iterator[ObservedUse]:
    # By whom no source there could tell.
    if sight is not None and sight.sprung:
        yield ObservedUse("a tripwire that sprang", None, sight.sprung)


def _reach(path: str, filesystem: Filesystem) -> Reach:
    return Reach(
        path=path,
        kind=filesystem.kind,
        source=filesystem.source,
        mount_point=filesystem.mount_point,
        options=filesystem.options,
        read_only=filesystem.read_only,
    )


def _uses(evidence: Evidence) -> Iterator[ObservedUse]:
    for environment in evidence.environments:
        if environment.kind is EnvironmentKind.CACHED:
            # Part of the cache, which every host sees: who runs from it is a process here.
            continue
        hard = map(archive_path, environment.hardlinked_archives)
        entries = tuple(sorted({*environment.led_to, *hard}))
        if entries:
            yield ObservedUse(environment.path, environment.uid, entries)
    for process in evidence.processes:
        entries = tuple(sorted({use.entry for use in process.uses}))
        if entries:
            who = f"process {process.pid}: {process.command}"
            yield ObservedUse(who, process.uid, entries)
    for named in evidence.named:
        yield ObservedUse(named.file, named.uid, (named.entry,))
