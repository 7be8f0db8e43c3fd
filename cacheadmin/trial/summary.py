"""What is on trial in a cache, in a few numbers, for reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.trial.trials import trials_or_none
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.trial.ledger import Spring, Trial
    from cacheadmin.trial.trials import Watched


@frozen
class TrialSummary:
    """What is on trial now, and what came back."""

    entries: int = 0
    """How many entries are on trial."""

    bytes: int = 0
    """Bytes that their deletion will free, as measured when they went on trial."""

    first_end_ns: int | None = None
    """When the first trial ends (ns since the epoch); None where nothing is on trial."""

    came_back: int = 0
    """How many remembered entries came back from trial because they were used."""

    last_spring: Spring | None = None
    """The last of them; None where there is none."""

    trials: tuple[Trial, ...] = ()
    """What is on trial; those that end first come first."""

    springs: tuple[Spring, ...] = ()
    """Entries that came back because they were used, the last one first."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not (self.entries or self.came_back)


def uses_on_trial(cache: OpenCache) -> tuple[tuple[Spring, ...], int]:
    """Return what came back from trial because it was used, and when that was last looked for.

    The moment is in ns since the epoch, 0 for never. Both are empty where our
    folder can't be read.
    """
    with trials_or_none(cache) as trials:
        if trials is None:
            return (), 0
        ledger = trials.ledger
        return tuple(one for one in ledger.springs if one.is_use), ledger.looked_ns or 0


def trial_summary(cache: OpenCache) -> TrialSummary:
    """Return what is on trial in a cache; nothing where our folder can't be read."""
    with trials_or_none(cache) as trials:
        if trials is None:
            return TrialSummary()
        try:
            current = trials.current()
        except OSError:
            # Only its owner may list it.
            return TrialSummary()
        used = [spring for spring in trials.ledger.springs if spring.is_use]
        return TrialSummary(
            entries=len(current),
            bytes=sum(trial.bytes for trial in current),
            first_end_ns=min((trial.until_ns for trial in current), default=None),
            came_back=len(used),
            last_spring=max(used, key=lambda spring: spring.at_ns, default=None),
            trials=tuple(sorted(current, key=lambda trial: (trial.until_ns, trial.entry))),
            springs=tuple(sorted(used, key=lambda spring: (-spring.at_ns, spring.entry))),
        )


def trial_warnings(watched: Watched | None) -> list[str]:
    """Return what people must know of a look at tripwires."""
    if watched is None:
        return []
    lines = [f"{entry} should come back from trial: {why}" for entry, why in watched.stuck]
    lines += [
        f"{entry} is on trial, and {what} stands in its place: it stays on trial"
        for entry, what in watched.foreign.items()
    ]
    lines += [
        f"{entry} was deleted by another process while it was on trial" for entry in watched.emptied
    ]
    lines += [f"{path} could not be deleted: {why}" for path, why in watched.undeleted]
    if watched.blind:
        lines.append(f"trials can't end: {watched.blind}; venvs.complete would let them")
    return lines
