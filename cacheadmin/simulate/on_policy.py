"""A simulation on a policy's cache, with every environment it would break.

A simulation follows links wherever they lead, as uv would: a reader does it.

Reading moves access times, of folders and of links, where the filesystem
records them. Folders and files are opened without that; a link's time can only
be kept by looking through a mount that records none, which root may make for
this process alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheadminError
from cacheadmin.evidence.questions import locator_for
from cacheadmin.fs.quiet_mount import stop_recording_access_times
from cacheadmin.policy.loader import load_policy
from cacheadmin.readers import Question, Unreadable
from cacheadmin.rights.acting import as_caller
from cacheadmin.simulate.breakage import Breakage, breakage
from cacheadmin.simulate.release_choice import choose_release
from cacheadmin.simulate.simulation import Simulation, has_roots, release_for, simulate_prune
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.snapshot.snapshot import Progress, Snapshot


@frozen
class SimulationAnswer:
    """A simulation and what it would break."""

    snapshot: Snapshot
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
) -> Iterator[SimulationAnswer]:
    """Simulate a release (number or path of a binary) on the cache of a policy."""
    loaded = load_policy(policy, insecure=insecure_policy)
    with as_caller():
        stop_recording_access_times(loaded.policy.cache)
    with look_with(loaded, progress=progress) as snapshot:
        yield simulate_in(snapshot, uv, ci=ci, clean=clean, force=force)


def simulate_in(
    snapshot: Snapshot,
    uv: str,
    *,
    ci: bool = False,
    clean: tuple[str, ...] = (),
    force: bool = False,
) -> SimulationAnswer:
    """Simulate a release in a snapshot that was looked at already.

    Its prune, or its `cache clean` of the packages in ``clean`` (normalized names).
    """
    release = choose_release(uv, snapshot.evidence.learned, snapshot.evidence.learned_prunes)
    words: dict[str, Any] = {"ci": ci, "clean": clean, "force": force, "buckets": release.buckets}
    # What is wrong with the question is said before anything is read.
    release_for(release.version, **words)
    simulating = _Simulating(snapshot, release.version, words)
    simulated = simulating.simulate(without_roots=False)
    broken = simulating.broken_by(simulated.simulation)
    unprotected = None
    if simulated.has_roots:
        bare = simulating.simulate(without_roots=True)
        unprotected = simulating.broken_by(bare.simulation)
    notes = (release.note,) if release.note else ()
    return SimulationAnswer(snapshot, simulated.simulation, broken, notes, unprotected)


@frozen
class Simulated:
    """What a reader simulated."""

    simulation: Simulation
    """What the release would remove."""
    has_roots: bool
    """Whether roots are planted in the cache."""


def _simulate(
    version: str, words: Mapping[str, Any], cache: CacheIdentity, without_roots: bool
) -> Simulated:
    """Simulate; runs in a reader."""
    simulation = simulate_prune(cache, version, without_roots=without_roots, **words)
    return Simulated(simulation, has_roots(cache))


class _Simulating:
    """Asks readers for one release."""

    def __init__(self, snapshot: Snapshot, version: str, words: Mapping[str, Any]) -> None:
        self._snapshot = snapshot
        self._question: Question[bool, Simulated] = Question(
            partial(_simulate, version, words, snapshot.cache.identity), Simulated
        )

    def simulate(self, *, without_roots: bool) -> Simulated:
        """Return what the release would remove. Raises CacheadminError where no reader can tell."""
        (answer,) = self._snapshot.readers.ask_all(self._question, [without_roots])
        if isinstance(answer, Unreadable):
            raise CacheadminError(
                f"the cache {self._snapshot.cache.identity.path} could not be read to its end: "
                f"{answer.reason}",
                hint="raise scan.limits in the policy, or look at what it says",
            )
        return answer

    def broken_by(self, simulation: Simulation) -> Breakage:
        """Return what a simulated prune would break."""
        snapshot = self._snapshot
        return breakage(
            simulation.removals,
            snapshot.inventory,
            snapshot.evidence,
            lambda: locator_for(snapshot.policy, snapshot.inventory),
            snapshot.readers,
        )
