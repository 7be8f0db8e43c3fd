"""The plan: what goes, what stays, and why. Values only.

Every entry of the inventory ends in ``removals`` or in ``kept``, or lies
under a folder that does. Each decision carries the rule that made it and a
reason that a person can check.
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from cacheadmin.inventory.entries import EntryKind
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Gap
    from cacheadmin.planner.marks import Liveness


class Verdict(StrEnum):
    """May this cache be pruned now (public, in JSON and exit codes)."""

    SAFE = "safe"
    LIMITED = "limited"
    REFUSED = "refused"


@frozen
class Decision:
    """One entry, and what becomes of it.

    ``path`` is relative to the cache root. ``rule`` is a stable id
    (``archive.unreferenced``), ``reason`` a sentence, ``used_by`` names
    environments, processes or users (at most a handful, then a count).
    ``rests_on`` is set for removals: ``proof`` or ``absence`` (``planner.gaps``).
    """

    kind: EntryKind
    path: str
    package: str | None
    version: str | None
    rule: str
    reason: str
    used_by: tuple[str, ...] = ()
    rests_on: str | None = None
    even_in_use: bool = False
    """Whether it is removed although it is used, since somebody said so (`evict`)."""


@frozen
class Limit:
    """Why a verdict is not ``safe``: a stable id, what was seen, what to do."""

    id: str
    verdict: Verdict
    detail: str
    fix: str = ""


@frozen
class Plan:
    """The whole decision. ``removals`` are in the order they must be carried out.

    Pointers come before the archives they lead to: a reader that finds no
    pointer downloads again, one that finds a pointer to a missing archive
    fails in releases before 0.3.1 (facts section 0, rule 5). ``gaps`` are the
    places where a user of the cache may be and nobody looked. ``live`` are the
    marks that it was made of.
    """

    verdict: Verdict
    removals: tuple[Decision, ...]
    kept: tuple[Decision, ...]
    limits: tuple[Limit, ...]
    live: Liveness = field(compare=False, repr=False)
    gaps: tuple[Gap, ...] = ()
