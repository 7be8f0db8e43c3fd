"""The plan: what goes, what stays, and why. Values only.

Every entry of the inventory ends in ``removals`` or in ``kept``, or lies
under a folder that does. Each decision carries the rule that made it and a
reason that a person can check.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.planner.words import describe_finding, describe_user
from cacheadmin.text.lists import with_count
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.inventory.entries import EntryKind
    from cacheadmin.planner.marks import Liveness
    from cacheadmin.planner.reasons import Reason
    from cacheadmin.planner.users import User


class Verdict(StrEnum):
    """May this cache be pruned now (public, in JSON and exit codes)."""

    SAFE = "safe"
    LIMITED = "limited"
    REFUSED = "refused"


@frozen
class Decision:
    """One entry, and what becomes of it."""

    kind: EntryKind
    """What sort of entry it is."""
    path: str
    """The entry, relative to the cache root; a wheel pointer is removed file by file."""
    package: str | None
    """The package's name; None where the entry has none, or it is unknown."""
    version: str | None
    """The package's version; None where unknown."""
    why: Reason
    """The reason that decided."""
    detail: str = ""
    """What was found in this case: ``why.found`` is the sentence it belongs to."""
    users: tuple[User, ...] = ()
    """The first few users, that of ``why`` before the others; empty for what is removed."""
    more_users: int = 0
    """How many there are beside these."""
    rests_on: str | None = None
    """``proof`` or ``absence`` for a removal (``planner.gaps``); None for what is kept."""
    even_in_use: bool = False
    """Whether it is removed although it is used: an admin ordered it (`evict`)."""

    @property
    def rule(self) -> str:
        """The stable id of the reason that decided (``archive.unreferenced``)."""
        return self.why.id

    @property
    def reason(self) -> str:
        """A sentence that a person can check, made when it is asked for."""
        return describe_finding(self.why, self.users[0] if self.users else None, self.detail)

    @property
    def used_by(self) -> tuple[str, ...]:
        """The users in words, and a count of the others."""
        words = tuple([describe_user(user) for user in self.users])
        return with_count(words, self.more_users) if self.more_users else words


@frozen
class Limit:
    """Why a verdict is not ``safe``."""

    id: str
    """Stable id (public, in JSON)."""
    verdict: Verdict
    """The verdict that it leads to, ``limited`` or ``refused``."""
    detail: str
    """A sentence: what was seen."""
    fix: str = ""
    """What to do; empty where nothing is known to help."""


@frozen
class Plan:
    """The whole decision about one cache."""

    verdict: Verdict
    """The worst of ``limits``; ``safe`` where there is none."""
    removals: tuple[Decision, ...]
    """What is removed, in the order in which it must be carried out.

    Pointers come before the archives they lead to: a reader that finds no pointer downloads again,
    one that finds a pointer to a missing archive fails in releases before 0.3.1 (facts section 0,
    rule 5).
    """
    kept: tuple[Decision, ...]
    """What is kept, with why."""
    limits: tuple[Limit, ...]
    """Why the verdict is not ``safe``."""
    live: Liveness = field(compare=False, repr=False)
    """The marks that the plan was made of."""
    gaps: tuple[Gap, ...] = ()
    """Places where a user of the cache may be, and that were not looked at."""
