"""Which environments of the plan have changed since, as the times of their folders tell.

Asked before the lock, under it, and after the moves. Under the lock an account could
hold it up with as many environments as it likes, or by changing all of them: so there
so many folders of each account are asked for their times, and so many changed
environments of it are looked into. What is beyond may use anything, and is told of
that account.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, EnvironmentStatus
from cacheadmin.evidence.look import Moment
from cacheadmin.evidence.tree_searches import TIMES
from cacheadmin.readers import Unreadable
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from cacheadmin.evidence.facts import Environment
    from cacheadmin.evidence.look import Look

# Environments of one account whose folders are asked for their times at once.
_ASKED_TOGETHER = 64

# Under the lock, folders of one account, and of all: some five microseconds each.
MOST_OF_ONE = 10_000
MOST_IN_ALL = 40_000

# Under the lock, changed environments of one account that are looked into.
MOST_CHANGED_OF_ONE = 16

_Watched = tuple[str, tuple[str, ...]]


@frozen
class Changes:
    """What may have changed since the plan."""

    candidates: tuple[Candidate, ...]
    """Environments to look into again."""
    crowded: tuple[str, ...]
    """Accounts with more than is looked at under the lock, a sentence each."""


def changed_environments(environments: Iterable[Environment], look: Look) -> Changes:
    """Return the environments of the plan in which packages may have been installed since."""
    known = {one.path: one for one in environments}
    accounts = _by_account(known.values())
    crowded: list[str] = []
    if look.moment is Moment.UNDER_LOCK:
        accounts, crowded = _within_bounds(accounts)
    groups = [
        group[first : first + _ASKED_TOGETHER]
        for group in accounts.values()
        for first in range(0, len(group), _ASKED_TOGETHER)
    ]
    answers = look.readers.ask_all(
        TIMES,
        [tuple(chain.from_iterable(watched for _, watched in group)) for group in groups],
        deadline_seconds=look.deadline_seconds,
    )
    found: dict[object, list[Candidate]] = {}
    for group, answer in zip(groups, answers, strict=True):
        for path in _changed_in(group, answer, known, look):
            one = known[path]
            candidate = Candidate(path, one.kind, one.sources, one.uid)
            found.setdefault(path if one.uid is None else one.uid, []).append(candidate)
    if look.moment is Moment.UNDER_LOCK:
        for account, candidates in found.items():
            if len(candidates) > MOST_CHANGED_OF_ONE:
                crowded.append(_changed_too_many(account, len(candidates)))
                del candidates[MOST_CHANGED_OF_ONE:]
    return Changes(tuple(chain.from_iterable(found.values())), tuple(crowded))


def _by_account(environments: Iterable[Environment]) -> dict[object, list[_Watched]]:
    """Return environments with their folders, by account; one without is its own.

    One question for each takes a tenth of a millisecond, and the lock is held; one
    for several accounts would let one of them hide the others' changes.
    """
    accounts: dict[object, list[_Watched]] = {}
    for one in environments:
        missing = one.status is EnvironmentStatus.MISSING
        # Cached ones that go are unlinked with what they alone linked.
        if not missing and one.kind is EnvironmentKind.CACHED:
            continue
        # One that was missing is new as soon as there is anything.
        watched = (one.path,) if missing else tuple(one.watched)
        if watched:
            accounts.setdefault(one.path if one.uid is None else one.uid, []).append(
                (one.path, watched)
            )
    return accounts


def _within_bounds(
    accounts: dict[object, list[_Watched]],
) -> tuple[dict[object, list[_Watched]], list[str]]:
    """Return the accounts that there is time for, those with few folders first; and the others."""
    sizes = {
        account: sum(len(watched) for _, watched in group) for account, group in accounts.items()
    }
    left = MOST_IN_ALL
    kept: dict[object, list[_Watched]] = {}
    crowded: list[str] = []
    for account in sorted(accounts, key=lambda one: sizes[one]):
        if sizes[account] <= min(MOST_OF_ONE, left):
            left -= sizes[account]
            kept[account] = accounts[account]
        else:
            environments = format_count(len(accounts[account]), "environment")
            crowded.append(
                f"{_named(account)} has {environments} that can't all be looked at while "
                "uv's lock is held"
            )
    return kept, crowded


def _changed_too_many(account: object, number: int) -> str:
    return (
        f"{_named(account)} has changed {format_count(number, 'environment')} since the plan, "
        f"more than the {MOST_CHANGED_OF_ONE} that are looked into while uv's lock is held"
    )


def _named(account: object) -> str:
    return account_name(account) if isinstance(account, int) else str(account)


def _changed_in(
    group: Sequence[_Watched],
    answer: tuple[int | None, ...] | Unreadable,
    known: dict[str, Environment],
    look: Look,
) -> Iterator[str]:
    """Yield those of a group that may have changed; what no reader could see may have."""
    asked = sum(len(watched) for _, watched in group)
    moments: Iterator[int | None] | None = None
    if not isinstance(answer, Unreadable) and len(answer) == asked:
        moments = iter(answer)
    for path, watched in group:
        times = None if moments is None else tuple(islice(moments, len(watched)))
        if times is None or _moved(known[path], watched, times, look):
            yield path


def _moved(
    environment: Environment,
    watched: tuple[str, ...],
    times: tuple[int | None, ...],
    look: Look,
) -> bool:
    """Whether a folder of an environment may have changed since the plan's look."""
    before = environment.watched
    return any(
        now_ns is not None and look.may_have_changed(now_ns, before.get(folder, 0))
        for folder, now_ns in zip(watched, times, strict=True)
    )
