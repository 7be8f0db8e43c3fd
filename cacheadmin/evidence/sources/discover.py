"""Trees that the policy names: ``venvs.discover``."""

from __future__ import annotations

import os

from cacheadmin.evidence.facts import Gap, GapKind, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.searching import Bounds, Search, search


class Discover:
    """The trees of the policy, searched for environments and uv's tool folders."""

    id = "discover"

    def collect(self, look: Look) -> Facts:
        """Return what the trees hold, and where a search ended."""
        found, bounds = Search(), Bounds()
        for root in look.policy.venvs.discover:
            unseen: list[Unseen] = []
            bases = list(matches(root.root, self.id, unseen))
            found.unseen += unseen
            for base in bases or ([] if unseen else [root.root]):
                search(base, self.id, found, bounds, depth=root.depth, exclude=tuple(root.exclude))
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments in folders that have changed since."""
        return changed_below(self.id, look, before)


def facts_of(found: Search) -> Facts:
    """Return what searches found as a source's answer."""
    gaps = list(found.gaps)
    if found.too_many:
        gaps.append(
            Gap(
                "search.unwatched",
                GapKind.RIGHTS,
                "venvs.discover",
                "the searched trees have too many folders to look at them again before entries "
                "are moved: an environment made meanwhile is not seen",
                "name smaller trees in venvs.discover",
            )
        )
    return Facts(
        candidates=tuple(found.candidates),
        unseen=tuple(found.unseen),
        gaps=tuple(gaps),
        watched=found.watched,
    )


def changed_below(source: str, look: Look, before: Facts, *, trial_suffices: bool = False) -> Facts:
    """Return candidates in searched folders whose time has moved since; none under the lock.

    A folder's time moves with each name that comes or goes in it. Those that
    moved are listed again, with the new folders in them. ``trial_suffices`` as in
    the search before (``Search``).
    """
    if look.moment is Moment.UNDER_LOCK:
        return Facts()
    found, bounds = Search(trial_suffices=trial_suffices), Bounds()
    for folder, seen_ns in before.watched.items():
        try:
            now_ns = os.stat(folder).st_mtime_ns
        except OSError:
            continue
        if look.may_have_changed(now_ns, seen_ns):
            _search_again(folder, source, found, bounds, before)
    now = Facts(
        candidates=tuple(found.candidates), unseen=tuple(found.unseen), gaps=tuple(found.gaps)
    )
    return new_candidates(now, before)


def _search_again(folder: str, source: str, found: Search, bounds: Bounds, before: Facts) -> None:
    """List a folder, and search in full the folders in it that were not there before."""
    listed = Search(trial_suffices=found.trial_suffices)
    search(folder, source, listed, bounds, depth=0)
    # That it ends there is no gap: folders that were there before have times of their own.
    found.candidates += listed.candidates
    found.unseen += listed.unseen
    try:
        with os.scandir(folder) as entries:
            new = [
                entry.path
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and entry.path not in before.watched
            ]
    except OSError:
        return
    for path in new:
        search(path, source, found, bounds, depth=_BELOW_NEW)


# An environment made meanwhile lies a few folders below the first new one.
_BELOW_NEW = 8
