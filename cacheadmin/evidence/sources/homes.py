"""The homes of accounts that left traces in the cache.

Where the policy names no trees, these are searched: who wrote to the cache
keeps environments somewhere, and most people keep them at home. Where it does
name trees, a home outside them is a gap. So is an account without a home, and a home that
shows nothing but the place where it is mounted or decrypted when its user logs in.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.away import NOTHING_SHOWS
from cacheadmin.evidence.facts import IF_ALL_ARE_FOUND, Gap, GapKind
from cacheadmin.evidence.kinds import NamedFolder
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.search import SearchTask
from cacheadmin.evidence.sources.discover import changed_below, facts_of
from cacheadmin.evidence.traces import holders_of_traces
from cacheadmin.evidence.tree_searches import search_trees
from cacheadmin.readers import Unreadable
from cacheadmin.text.accounts import account_name

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Facts, Look

# "Homes" of accounts that have none.
_NO_HOMES = frozenset({"/", "/nonexistent", "/dev/null", "/proc", "/sys", "/dev", "/bin", "/sbin"})

_FIX = f"name the trees where their environments lie in venvs.discover; {IF_ALL_ARE_FOUND}"


class Homes:
    """Homes of those who wrote to the cache or registered something."""

    id = "homes"

    def collect(self, look: Look) -> Facts:
        """Return the environments in these homes, or the gap that they are not searched."""
        gaps: list[Gap] = []
        trees = _trees(look, self.id) if look.policy.venvs.discover else None
        done: list[str] = []
        tasks: list[SearchTask] = []
        for uid, home in _homes(look, gaps):
            if trees is not None:
                if not _lies_below(home, trees):
                    gaps.append(_unsearched(uid, home))
            elif not _lies_below(home, done):
                tasks.append(_task(home, self.id, uid))
                done.append(home)
        if not (look.policy.venvs.discover or look.policy.venvs.include):
            gaps.append(_no_sources(look))
        found = search_trees(tasks, look.readers, look.searched)
        found.gaps += gaps
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments made in these homes since."""
        return changed_below(self.id, look, before, trial_suffices=True)


def _task(home: str, source: str, uid: int) -> SearchTask:
    # No policy named these places: what can't be listed is a gap like one never searched.
    return SearchTask((home,), source, registrant=uid, uid=uid, trial_suffices=True)


def _trees(look: Look, source: str) -> list[str]:
    """Return the trees of the policy, each by its own place."""
    paths = [
        NamedFolder(path)
        for root in look.policy.venvs.discover
        for path in matches(root.root, source, [], look.readers)
    ]
    places = look.readers.ask_all(look.questions.place, paths)
    return [place for place in places if isinstance(place, str)]


def _homes(look: Look, gaps: list[Gap]) -> Iterator[tuple[int, str]]:
    """Yield (uid, home that is there) by path; the others become gaps."""
    named: list[NamedFolder] = []
    for uid in sorted(holders_of_traces(look)):
        try:
            account = pwd.getpwuid(uid)
        except (KeyError, OverflowError):
            gaps.append(_without_account(uid))
            continue
        home = os.path.normpath(account.pw_dir or "/")
        if home in _NO_HOMES:
            gaps.append(_without_home(uid, account.pw_name))
        else:
            named.append(NamedFolder(home, uid))
    places = look.readers.ask_all(look.questions.place, named)
    homes: list[tuple[str, int]] = []
    for one, place in zip(named, places, strict=True):
        if one.uid is None:
            continue
        if isinstance(place, str):
            homes.append((place, one.uid))
        elif isinstance(place, Unreadable):
            gaps.append(_unreadable(one.uid, one.path, place))
        else:
            gaps.append(_home_away(one.uid, one.path, "is not there now"))
    there = [NamedFolder(home, uid) for home, uid in homes]
    answers = look.readers.ask_all(NOTHING_SHOWS, there)
    for one, why in zip(there, answers, strict=True):
        # One that could not be looked at is searched all the same, and that says why.
        if why and isinstance(why, str) and one.uid is not None:
            gaps.append(_home_away(one.uid, one.path, why))
    # An outer home first: one search serves those within it.
    for home, uid in sorted(homes):
        yield uid, home


def _lies_below(path: str, trees: list[str]) -> bool:
    return any(f"{path}/".startswith(tree.rstrip("/") + "/") for tree in trees)


def _no_sources(look: Look) -> Gap:
    return Gap(
        "sources.none",
        GapKind.SEARCH,
        "venvs",
        "the policy names no place where environments lie (venvs.discover or venvs.include): only "
        "homes of accounts that left traces in the cache, the cache itself and uv's tool folders "
        "were searched" + (", and the registry" if look.policy.venvs.registry else ""),
        _FIX,
    )


def _unsearched(uid: int, home: str) -> Gap:
    return Gap(
        "homes.unsearched",
        GapKind.SEARCH,
        home,
        f"{account_name(uid)} left traces in the cache, and their home {home} lies under no tree "
        "of venvs.discover",
        _FIX,
        uid,
    )


def _without_account(uid: int) -> Gap:
    return Gap(
        "homes.unknown",
        GapKind.SEARCH,
        f"uid {uid}",
        f"uid {uid} left traces in the cache and has no account on this host: where its "
        "environments lie is not known",
        _FIX,
        uid,
    )


def _without_home(uid: int, name: str) -> Gap:
    return Gap(
        "homes.unknown",
        GapKind.SEARCH,
        name,
        f"{name} left traces in the cache and has no home folder: where its environments lie is "
        "not known",
        _FIX,
        uid,
    )


def _unreadable(uid: int, home: str, failed: Unreadable) -> Gap:
    # No word closes it: environments may be there, and who keeps us from looking is known.
    return Gap(
        "homes.unreadable",
        GapKind.RIGHTS,
        home,
        f"{account_name(uid)} left traces in the cache, and their home {home} could not be looked "
        f"at: {failed.reason}",
        "see that it answers, or ask its owner",
        uid,
    )


def _home_away(uid: int, home: str, why: str) -> Gap:
    return Gap(
        "homes.away",
        GapKind.SEARCH,
        home,
        f"{account_name(uid)} left traces in the cache, and their home {home} {why}",
        f"mount it; {IF_ALL_ARE_FOUND}",
        uid,
    )
