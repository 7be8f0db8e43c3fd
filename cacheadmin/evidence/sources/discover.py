"""Trees that the policy names: ``venvs.discover``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.search import SearchTask
from cacheadmin.evidence.tree_searches import Search, moments, search_again, search_trees
from cacheadmin.evidence.unmounted import unmounted_places

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Unseen


class Discover:
    """The trees of the policy, searched for environments and uv's tool folders."""

    id = "discover"

    def collect(self, look: Look) -> Facts:
        """Return what the trees hold, and where a search ended."""
        tasks: list[SearchTask] = []
        unseen: list[Unseen] = []
        for root in look.policy.venvs.discover:
            closed: list[Unseen] = []
            bases = list(matches(root.root, self.id, closed, look.readers))
            unseen += closed
            tasks += [
                SearchTask((base,), self.id, root.depth, tuple(root.exclude))
                for base in bases or ([] if closed else [root.root])
            ]
        found = search_trees(tasks, look.readers, look.searched)
        found.unseen += unseen
        for root in look.policy.venvs.discover:
            found.gaps += unmounted_places(root.root, tuple(root.exclude))
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments in folders that have changed since."""
        return changed_below(self.id, look, before)


def facts_of(found: Search) -> Facts:
    """Return what searches found as a source's answer."""
    return Facts(
        candidates=tuple(found.candidates),
        unseen=tuple(found.unseen),
        gaps=tuple(found.gaps),
        watched=found.watched,
    )


def changed_below(source: str, look: Look, before: Facts, *, trial_suffices: bool = False) -> Facts:
    """Return candidates in searched folders whose time has moved since; none under the lock.

    A folder's time moves with each name that comes or goes in it. Those that
    moved are listed again, and the new folders in them are searched. ``trial_suffices``
    as in the search before (``SearchTask``).
    """
    if look.moment is Moment.UNDER_LOCK:
        return Facts()
    unseen: list[Unseen] = []
    again = [
        folder
        for folder, now_ns, seen_ns in moments(before.watched, look.readers, unseen)
        if look.may_have_changed(now_ns, seen_ns)
    ]
    found = search_again(again, source, before.watched, look.readers, trial_suffices=trial_suffices)
    now = Facts(
        candidates=tuple(found.candidates),
        unseen=(*unseen, *found.unseen),
        gaps=tuple(found.gaps),
    )
    return new_candidates(now, before)
