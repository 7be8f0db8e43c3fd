"""Patterns of the policy. What they name is an environment, whatever it looks like."""

from __future__ import annotations

import errno
import glob
import os
from itertools import islice

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Gap, Unseen
from cacheadmin.evidence.included import INCLUDED, SOURCE, Included
from cacheadmin.evidence.kinds import PRESENT, NamedFolder
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.unmounted import literal_start, unmounted_places
from cacheadmin.readers import Unreadable

_MAX_MATCHES = 100_000
_ABSENT = os.strerror(errno.ENOENT)
_FIX = "mount it, or correct the pattern in venvs.include"


class Include:
    """``venvs.include`` of the policy."""

    id = SOURCE

    def collect(self, look: Look) -> Facts:
        """Return every match, and each pattern without magic although nothing is there."""
        candidates: list[Candidate] = []
        unseen: list[Unseen] = []
        gaps: list[Gap] = []
        for pattern in look.policy.venvs.include:
            gaps += unmounted_places(pattern)
            found = list(islice(matches(pattern, self.id, unseen, look.readers), _MAX_MATCHES + 1))
            if len(found) > _MAX_MATCHES:
                reason = f"more than {_MAX_MATCHES} matches"
                unseen.append(Unseen(self.id, pattern, reason, hides_archives=True))
            magic = glob.has_magic(pattern)
            candidates += _named(look, [Included(path, magic) for path in found[:_MAX_MATCHES]])
            start = literal_start(pattern)
            if not found and magic and _is_absent(start, look):
                # Not mounted tonight, or misspelt: no match does not say that there is none.
                unseen.append(Unseen(self.id, start, _ABSENT, hides_archives=True, fix=_FIX))
            if not found and not magic:
                # Named in full by the policy and gone, or out of our reach.
                path = pattern.rstrip("/")
                candidates.append(Candidate(path, EnvironmentKind.VENV, (self.id,)))
        return Facts(candidates=tuple(candidates), unseen=tuple(unseen), gaps=tuple(gaps))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return matches that have come since; none under the lock: a pattern may match much."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)


def _is_absent(folder: str, look: Look) -> bool:
    """Whether a folder is surely not there; of one that can't be looked at that is said already."""
    (answer,) = look.readers.ask_all(PRESENT, [NamedFolder(folder)])
    return answer is False


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
