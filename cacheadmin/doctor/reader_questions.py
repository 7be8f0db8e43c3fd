"""Examine environments in readers: their owners may be hostile.

What a repair is made from (lock files, ``direct_url.json``, who owns the folders
on the way) is read there too, so that the process with the rights opens
nothing. A reader that fails costs one environment its diagnosis.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from cacheadmin.doctor.damage import Examination
from cacheadmin.doctor.examination import examine
from cacheadmin.doctor.limits import WorkDone
from cacheadmin.doctor.repairs import Repair, repair_of
from cacheadmin.doctor.trust import why_source_unsafe, why_unsafe
from cacheadmin.evidence.facts import Environment, EnvironmentKind
from cacheadmin.evidence.filesystem import describe_filesystem
from cacheadmin.evidence.owners import owner_by_name, owner_of_link
from cacheadmin.evidence.questions import locator_for
from cacheadmin.readers import Question, Unreadable
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cacheadmin.evidence.targets import CacheLocator
    from cacheadmin.snapshot.snapshot import Progress, Snapshot

# Examining costs much; a reader that fails gives back what it has not begun.
_TOGETHER = 4


@frozen
class ExaminedEnvironment:
    """What a look at one environment gave."""

    examination: Examination | None
    """What was found; None for an environment that is not there, or closed."""
    repair: Repair | None = None
    """What repairs it; None where nothing is wrong."""
    unsafe: str = ""
    """Why its repair is left out of its owner's script; "" when it isn't."""
    is_on_a_network: bool = False
    """Whether it lies on a network filesystem: other hosts may have its Python."""
    caches_there: frozenset[str] = frozenset()
    """Absolute paths of other caches that its lost links name and that are there."""


def look_at_all(
    snapshot: Snapshot,
    environments: Sequence[Environment],
    progress: Progress | None,
    *,
    misleading: bool,
) -> Iterator[tuple[Environment, ExaminedEnvironment | Unreadable]]:
    """Yield each environment with what was seen of it.

    ``misleading``: pointers in the cache name archives that are not there.
    """

    def tell(number: int) -> None:
        if progress is not None:
            progress("environments examined", number, len(environments))

    looking = _ExaminationTask(snapshot, misleading=misleading)
    answers = snapshot.collected.look.readers.ask_all(looking.question, environments, done=tell)
    for environment, seen in zip(environments, answers, strict=True):
        if isinstance(seen, ExaminedEnvironment) and seen.examination is not None:
            examination = replace(seen.examination, environment=environment)
            yield environment, replace(seen, examination=examination)
        else:
            yield environment, seen


class _ExaminationTask:
    """What readers know while they look."""

    def __init__(self, snapshot: Snapshot, *, misleading: bool) -> None:
        self._policy, self._inventory = snapshot.policy, snapshot.inventory
        self._cache_owner = os.fstat(snapshot.cache.fd).st_uid
        self._misleading = misleading
        # Each reader has its own: what one account gets is at most doubled.
        self._limits = WorkDone()
        self.question: Question[Environment, ExaminedEnvironment] = Question(
            self._look, ExaminedEnvironment, whose=_owner, blame=_probable_owner, together=_TOGETHER
        )

    @cached_property
    def _locator(self) -> CacheLocator:
        return locator_for(self._policy, self._inventory)

    def _look(self, environment: Environment) -> ExaminedEnvironment:
        found = examine(environment, self._locator, self._limits)
        if found is None or found.is_well:
            return ExaminedEnvironment(found)
        repair = repair_of(found, past_the_cache=self._misleading, limits=self._limits)
        return ExaminedEnvironment(
            found,
            repair,
            self._why_unsafe(found, repair),
            describe_filesystem(found.path).network,
            frozenset(cache for cache in found.other_caches if os.path.isdir(cache)),
        )

    def _why_unsafe(self, found: Examination, repair: Repair) -> str:
        # What is cached is run from the cache anyway: its users trust the cache's owner.
        cached = found.environment.kind is EnvironmentKind.CACHED
        trusted = (self._cache_owner,) if cached else ()
        parts = (f"{found.path}/pyvenv.cfg", f"{found.path}/bin", *found.sites)
        unsafe = why_unsafe(found.path, repair.folder, found.uid, parts, trusted)
        for one in found.damaged:
            unsafe = unsafe or why_source_unsafe(one.origin, found.uid)
        return unsafe


def _owner(environment: Environment) -> int | None:
    return environment.uid if environment.uid is not None else owner_of_link(environment.path)


def _probable_owner(environment: Environment) -> int | None:
    return environment.uid if environment.uid is not None else owner_by_name(environment.path)
