"""Evicted packages that are on trial: users that were not seen still reach them there.

A trial keeps what was removed on absence working, for users whom no source knows.
A malicious release must not go on working for them: what no user has used while it
was on trial is taken back into the cache, as an archive without pointers, and evicted
with the others, so that the run can be undone like every other. What was used there is
back already, counts as used, and stays but with ``--even-in-use``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evict.wanted import is_wanted
from cacheadmin.hosts.sight import blind_hosts
from cacheadmin.prune.run import take_off_trial
from cacheadmin.trial.blindness import blindness
from cacheadmin.trial.trials import trials_or_none
from cacheadmin.trial.tripwires import TripwireStanding
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from cacheadmin.evict.wanted import Wanted
    from cacheadmin.inventory.entries import OnTrial
    from cacheadmin.prune.result import ShieldOf
    from cacheadmin.snapshot.snapshot import Snapshot
    from cacheadmin.trial.trials import Watched


@frozen
class SilentTrials:
    """What is on trial of the packages that are evicted."""

    entries: tuple[OnTrial, ...] = ()
    """Entries on trial whose tripwires show no use."""
    warnings: tuple[str, ...] = ()
    """What is kept on trial, and why: a sentence each."""

    @property
    def paths(self) -> frozenset[str]:
        """The entries' paths."""
        return frozenset(one.entry for one in self.entries)


def silent_trials(
    snapshot: Snapshot, wanted: Collection[Wanted], *, even_in_use: bool, dry_run: bool
) -> SilentTrials:
    """Return what of these packages is on trial, and what can be said of its use.

    Where access times are not kept, silence says nothing: only ``even_in_use``, or the
    site's word that every user is known, takes it off trial then.
    """
    found = {
        one.entry: one
        for one in snapshot.inventory.on_trial.values()
        if is_wanted(wanted, one.package, one.version)
    }
    with trials_or_none(snapshot.cache) as trials:
        if trials is None or not found:
            return SilentTrials()
        seen = {one.entry: one.standing for one in trials.look()}
        silent = tuple(
            one for entry, one in found.items() if seen.get(entry) is TripwireStanding.SILENT
        )
        warnings = [
            f"{entry} is on trial and was used there, or something foreign stands in its place"
            for entry in found
            if seen.get(entry) is not TripwireStanding.SILENT
        ]
        # Telling means to plant a link and touch it.
        asks = not (dry_run or even_in_use or snapshot.policy.venvs.complete)
        blind = ""
        if asks and silent:
            blind = blindness(trials.folder, snapshot.cache.identity) or blind_hosts(
                snapshot.evidence.hosts
            )
    if blind:
        warnings += [
            f"{one.entry} stays on trial: silence proves nothing, {blind}" for one in silent
        ]
        silent = ()
    return SilentTrials(silent, tuple(warnings))


def end_silent_trials(
    snapshot: Snapshot, silent: SilentTrials, shield_of: ShieldOf
) -> SilentTrials:
    """Take entries off trial, back into the cache; look at it again afterwards."""
    stuck = dict(take_off_trial(snapshot.policy, silent.paths, shield_of))
    warnings = [f"{entry} could not be taken off trial: {why}" for entry, why in stuck.items()]
    left = tuple(one for one in silent.entries if one.entry not in stuck)
    return SilentTrials(left, (*silent.warnings, *warnings))


def springs_of(
    watched: Watched | None, snapshot: Snapshot, wanted: Collection[Wanted]
) -> tuple[str, ...]:
    """Return who used what of these packages while it was on trial, a sentence each."""
    archives = {one.path: one for one in snapshot.inventory.archives.values()}
    sentences = []
    for spring in () if watched is None else watched.springs:
        archive = archives.get(spring.entry)
        if archive is None or not is_wanted(wanted, archive.package, archive.version):
            continue
        who = f", perhaps by {', '.join(spring.who)}" if spring.who else ""
        sentences.append(
            f"{spring.entry} ({archive.package} {archive.version}) was used while it was on "
            f"trial{who}: it is back in its place"
        )
    return tuple(sentences)
