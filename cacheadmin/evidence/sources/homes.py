"""The homes of accounts that left traces in the cache.

Where the policy names no trees, these are searched: who wrote to the cache
keeps environments somewhere, and most people keep them at home. Where it does
name trees, a home outside them is a gap. So is an account without a home.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator

from cacheadmin.accounts import account_name
from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.patterns import matches
from cacheadmin.evidence.searching import Bounds, Search, search
from cacheadmin.evidence.sources.discover import changed_below, facts_of
from cacheadmin.evidence.traces import accounts_with_traces
from cacheadmin.fs.resolving import resolve

# "Homes" of accounts that have none.
_NO_HOMES = frozenset({"/", "/nonexistent", "/dev/null", "/proc", "/sys", "/dev", "/bin", "/sbin"})

_FIX = "name the trees where their environments lie in venvs.discover, or give your word: "
_WORD = "venvs.complete: true"


class Homes:
    """Homes of those who wrote to the cache or registered something."""

    id = "homes"

    def collect(self, look: Look) -> Facts:
        """Return the environments in these homes, or that nobody searches there."""
        found, bounds = Search(trial_suffices=True), Bounds()
        trees = None
        if look.policy.venvs.discover:
            roots = (matches(one.root, self.id, []) for one in look.policy.venvs.discover)
            trees = [resolve(path) for paths in roots for path in paths]
        done: list[str] = []
        for uid, home in _homes(look, found):
            if trees is not None:
                if not _lies_below(home, trees):
                    found.gaps.append(_unsearched(uid, home))
            elif not _lies_below(home, done):
                search(home, self.id, found, bounds, registrant=uid)
                done.append(home)
        if not (look.policy.venvs.discover or look.policy.venvs.include):
            found.gaps.append(_no_sources(look))
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments made in these homes since."""
        return changed_below(self.id, look, before, trial_suffices=True)


def _homes(look: Look, found: Search) -> Iterator[tuple[int, str]]:
    """Yield (uid, home that is there) by path; the others become gaps."""
    homes: list[tuple[str, int]] = []
    for uid in sorted(accounts_with_traces(look)):
        try:
            account = pwd.getpwuid(uid)
        except (KeyError, OverflowError):
            found.gaps.append(_without_account(uid))
            continue
        home = os.path.normpath(account.pw_dir or "/")
        if home in _NO_HOMES:
            found.gaps.append(_without_home(uid, account.pw_name))
        elif not os.path.isdir(home):
            found.gaps.append(_home_away(uid, account.pw_name, home))
        else:
            homes.append((resolve(home), uid))
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
        _FIX + _WORD,
    )


def _unsearched(uid: int, home: str) -> Gap:
    return Gap(
        "homes.unsearched",
        GapKind.SEARCH,
        home,
        f"{account_name(uid)} left traces in the cache, and their home {home} lies under no tree "
        "of venvs.discover",
        _FIX + _WORD,
        uid,
    )


def _without_account(uid: int) -> Gap:
    return Gap(
        "homes.unknown",
        GapKind.SEARCH,
        f"uid {uid}",
        f"uid {uid} left traces in the cache and has no account on this host: where its "
        "environments lie is not known",
        _FIX + _WORD,
        uid,
    )


def _without_home(uid: int, name: str) -> Gap:
    return Gap(
        "homes.unknown",
        GapKind.SEARCH,
        name,
        f"{name} left traces in the cache and has no home folder: where its environments lie is "
        "not known",
        _FIX + _WORD,
        uid,
    )


def _home_away(uid: int, name: str, home: str) -> Gap:
    return Gap(
        "homes.away",
        GapKind.SEARCH,
        home,
        f"{name} left traces in the cache, and their home {home} is not there now",
        f"mount it, or give your word: {_WORD}",
        uid,
    )
