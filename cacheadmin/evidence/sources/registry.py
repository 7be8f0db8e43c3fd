"""The registry: links to environments, made by the users themselves."""

from __future__ import annotations

import os

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.registry import (
    MAX_ENTRIES,
    MAX_ENTRIES_UNDER_LOCK,
    MAX_NEW_OF_ONE,
    ReaderEyes,
    RegistryFolder,
    named_by,
)
from cacheadmin.fs.mounts import mount_of


class Registry:
    """``venvs.registry`` of the policy."""

    id = "registry"

    def collect(self, look: Look) -> Facts:
        """Return what the registry names."""
        return self._read(look)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what was registered since."""
        folder = look.policy.venvs.registry
        if folder and look.moment is Moment.UNDER_LOCK and _is_as_it_was(folder, look, before):
            return Facts()
        known = frozenset(candidate.path for candidate in before.candidates)
        return new_candidates(self._read(look, known), before)

    def _read(self, look: Look, known: frozenset[str] = frozenset()) -> Facts:
        folder = look.policy.venvs.registry
        if not folder:
            return Facts()
        quick = look.moment is Moment.UNDER_LOCK
        most = MAX_ENTRIES_UNDER_LOCK if quick else MAX_ENTRIES
        eyes = ReaderEyes(look.readers, look.deadline_seconds)
        listed = eyes.listing(RegistryFolder(folder, most))
        most_new = MAX_NEW_OF_ONE if quick else None
        found = tuple(named_by(listed, folder, known, eyes, most=most, most_new=most_new))
        whole = listed.changed_ns is not None and not listed.reason
        return Facts(
            candidates=tuple(one for one in found if isinstance(one, Candidate)),
            unseen=tuple(one for one in found if isinstance(one, Unseen)),
            watched={folder: listed.changed_ns} if whole and listed.changed_ns else {},
        )


def _is_as_it_was(folder: str, look: Look, before: Facts) -> bool:
    """Whether no link has come to the registry, or was replaced, since the plan.

    Any account can fill it: where it did not change, nothing is listed under the lock.
    """
    seen_ns = before.watched.get(folder)
    if seen_ns is None or mount_of(folder).is_network:
        return False
    try:
        now_ns = os.stat(folder).st_mtime_ns
    except OSError:
        return False
    return not look.may_have_changed(now_ns, seen_ns)
