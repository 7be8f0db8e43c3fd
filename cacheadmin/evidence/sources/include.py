"""Patterns of the policy. What they name is an environment, whatever it looks like."""

from __future__ import annotations

import glob
import os
from itertools import islice

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import is_closed, kind_of
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.redirects import redirected

_MAX_MATCHES = 100_000


class Include:
    """``venvs.include`` of the policy."""

    id = "include"

    def collect(self, look: Look) -> Facts:
        """Return every match, and each pattern without magic although nothing is there."""
        candidates: list[Candidate] = []
        unseen: list[Unseen] = []
        for pattern in look.policy.venvs.include:
            found = list(islice(matches(pattern, self.id, unseen), _MAX_MATCHES + 1))
            if len(found) > _MAX_MATCHES:
                reason = f"more than {_MAX_MATCHES} matches"
                unseen.append(Unseen(self.id, pattern, reason, hides_archives=True))
            for path in found[:_MAX_MATCHES]:
                candidates += _named(path, magic=glob.has_magic(pattern))
            if not found and not glob.has_magic(pattern):
                # Named in full by the policy and gone, or out of our reach.
                path = pattern.rstrip("/")
                candidates.append(Candidate(path, EnvironmentKind.VENV, (self.id,)))
        return Facts(candidates=tuple(candidates), unseen=tuple(unseen))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return matches that have come since; none under the lock: a pattern may match much."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        return new_candidates(self.collect(look), before)


def _named(path: str, *, magic: bool) -> list[Candidate]:
    if os.path.isfile(path):
        # A `.venv` that is a file; a pattern may match other files as well.
        named = redirected(path) if os.path.basename(path) in (".venv", "venv") else None
        if named is None:
            return []
        return [Candidate(named, EnvironmentKind.VENV, (Include.id,))]
    kind = kind_of(path)
    if kind is None and magic and not (os.path.islink(path) or is_closed(path)):
        # `/srv/*` names folders that are no environments, too; those with packages are scanned.
        kind = EnvironmentKind.FOLDER if os.path.isdir(path) else None
        if kind is None:
            return []
    return [Candidate(path, kind or EnvironmentKind.VENV, (Include.id,))]
