"""A simulation on a policy's cache, with every environment it would break.

Reading moves access times, of folders and of links, where the filesystem
records them. Folders and files are opened without that; a link's time can only
be kept by looking through a mount that records none, which root may make for
this process alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from cacheadmin.acting import as_caller
from cacheadmin.evidence.questions import locator_for
from cacheadmin.fs.quiet_mount import stop_recording_access_times
from cacheadmin.policy.loading import load_policy
from cacheadmin.simulate.breakage import Breakage, breakage
from cacheadmin.simulate.choosing import choose_release
from cacheadmin.simulate.simulating import Simulation, has_roots, simulate_prune
from cacheadmin.situation import look_with
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.situation import Progress, Situation


@frozen
class Answer:
    """A simulation and what it would break."""

    situation: Situation
    """The look at the cache that it rests on."""
    simulation: Simulation
    """What the release would remove."""
    broken: Breakage
    """What that would break."""
    notes: tuple[str, ...]
    """What people should know, a sentence each."""
    unprotected: Breakage | None = None
    """What it would break if `cacheadmin protect` had planted nothing.

    None where nothing is planted.
    """


@contextmanager
def simulate_for(
    policy: str | None,
    uv: str,
    *,
    ci: bool = False,
    clean: tuple[str, ...] = (),
    force: bool = False,
    insecure_policy: bool = False,
    progress: Progress | None = None,
) -> Iterator[Answer]:
    """Simulate a release (number or path of a binary) on the cache of a policy."""
    loaded = load_policy(policy, insecure=insecure_policy)
    with as_caller():
        stop_recording_access_times(loaded.policy.cache)
    with look_with(loaded, progress=progress) as situation:
        yield simulate_in(situation, uv, ci=ci, clean=clean, force=force)


def simulate_in(
    situation: Situation,
    uv: str,
    *,
    ci: bool = False,
    clean: tuple[str, ...] = (),
    force: bool = False,
) -> Answer:
    """Simulate a release in a situation that was looked at already.

    Its prune, or its `cache clean` of the packages in ``clean`` (normalized names).
    """
    release = choose_release(uv, situation.evidence.learned, situation.evidence.learned_prunes)
    cache = situation.cache.identity
    simulate = partial(
        simulate_prune,
        cache,
        release.version,
        ci=ci,
        clean=clean,
        force=force,
        buckets=release.buckets,
    )
    simulation = simulate()
    unprotected = None
    if has_roots(cache):
        bare = simulate(without_roots=True)
        unprotected = _broken_by(situation, bare)
    notes = (release.note,) if release.note else ()
    return Answer(situation, simulation, _broken_by(situation, simulation), notes, unprotected)


def _broken_by(situation: Situation, simulation: Simulation) -> Breakage:
    return breakage(
        simulation.removals,
        situation.inventory,
        situation.evidence,
        locator_for(situation.policy, situation.inventory),
    )
