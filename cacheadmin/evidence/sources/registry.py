"""The registry: links to environments, made by the users themselves."""

from __future__ import annotations

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.registry import (
    MAX_ENTRIES,
    MAX_ENTRIES_UNDER_LOCK,
    ReaderEyes,
    registered,
)


class Registry:
    """``venvs.registry`` of the policy."""

    id = "registry"

    def collect(self, look: Look) -> Facts:
        """Return what the registry names."""
        return self._read(look)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what was registered since."""
        known = frozenset(candidate.path for candidate in before.candidates)
        return new_candidates(self._read(look, known), before)

    def _read(self, look: Look, known: frozenset[str] = frozenset()) -> Facts:
        folder = look.policy.venvs.registry
        most = MAX_ENTRIES_UNDER_LOCK if look.moment is Moment.UNDER_LOCK else MAX_ENTRIES
        found: tuple[Candidate | Unseen, ...] = ()
        if folder:
            eyes = ReaderEyes(look.readers, look.deadline_seconds)
            found = tuple(registered(folder, known, eyes, most=most))
        return Facts(
            candidates=tuple(one for one in found if isinstance(one, Candidate)),
            unseen=tuple(one for one in found if isinstance(one, Unseen)),
        )
