"""Patterns of the policy. What they name is an environment, whatever it looks like."""

from __future__ import annotations

import glob
from itertools import islice

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.included import INCLUDED, SOURCE, Included
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.patterns import matches
from cacheadmin.readers import Unreadable

_MAX_MATCHES = 100_000


class Include:
    """``venvs.include`` of the policy."""

    id = SOURCE

    def collect(self, look: Look) -> Facts:
        """Return every match, and each pattern without magic although nothing is there."""
        candidates: list[Candidate] = []
        unseen: list[Unseen] = []
        for pattern in look.policy.venvs.include:
            found = list(islice(matches(pattern, self.id, unseen, look.readers), _MAX_MATCHES + 1))
            if len(found) > _MAX_MATCHES:
                reason = f"more than {_MAX_MATCHES} matches"
                unseen.append(Unseen(self.id, pattern, reason, hides_archives=True))
            magic = glob.has_magic(pattern)
            candidates += _named(look, [Included(path, magic) for path in found[:_MAX_MATCHES]])
            if not found and not magic:
                # Named in full by the policy and gone, or out of our reach.
                path = pattern.rstrip("/")
                candidates.append(Candidate(path, EnvironmentKind.VENV, (self.id,)))
        return Facts(candidates=tuple(candidates), unseen=tuple(unseen))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return matches that have come since; none under the lock: a pattern may match much."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)


def _named(look: Look, included: list[Included]) -> list[Candidate]:
    found: list[Candidate] = []
    answers = look.readers.ask_all(INCLUDED, included)
    for one, answer in zip(included, answers, strict=True):
        if isinstance(answer, Unreadable):
            # What it is could not be seen; the scan will report that, too.
            found.append(Candidate(one.path, EnvironmentKind.VENV, (SOURCE,), answer.uid))
        else:
            found += answer
    return found
