"""Which gaps are open, and what that means for a plan. Pure.

A gap is a place where a user of the cache may be and that was not looked at.
The site's word closes some: ``venvs.complete`` those of searching, ``hosts.only``
those of other hosts and containers. What could not be *read* is a gap as
well, and no word closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import UNSEEN, Gap, GapKind, Unseen
from cacheadmin.inventory.entries import EntryKind, EntryPath

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.planner.plan import Decision
    from cacheadmin.policy.model import Policy

PROOF = "proof"
ABSENCE = "absence"

# What closes a gap of which its source says nothing better.
READ_IT = "run it as root, or as a user who may read it"


def open_gaps(policy: Policy, evidence: Evidence) -> tuple[Gap, ...]:
    """Return the gaps that no word of the policy closes, each once."""
    closed = set()
    if policy.venvs.complete:
        closed.add(GapKind.SEARCH)
    if policy.hosts.is_alone:
        closed.add(GapKind.HOSTS)
    found = [gap for gap in evidence.gaps if gap.kind not in closed]
    found += [_unread(unseen) for unseen in evidence.unseen if unseen.hides_archives]
    return tuple(dict.fromkeys(found))


def _unread(unseen: Unseen) -> Gap:
    return Gap(
        f"{UNSEEN}{unseen.what}",
        GapKind.RIGHTS,
        unseen.path,
        f"{unseen.what} {unseen.path} could not be looked at: {unseen.reason}",
        unseen.fix or READ_IT,
        unseen.uid,
    )


def unlinkable(policy: Policy, evidence: Evidence) -> frozenset[str] | None:
    """Return the entries that no other host can have begun to use since it told of itself.

    None where there are no other hosts. An observation says nothing of what came
    after it, fresh as it is: a uv there may have linked to any archive that a
    pointer led to. What nothing led to at that time was out of its reach.
    """
    if policy.hosts.is_alone or not evidence.hosts:
        return None
    of_hosts: dict[str, set[str]] = {}
    for observation in evidence.hosts:
        of_hosts.setdefault(observation.host, set()).update(observation.unreferenced)
    return frozenset(set.intersection(*of_hosts.values()))


def rests_on(
    decision: Decision,
    policy: Policy,
    gaps: tuple[Gap, ...],
    unlinkable: frozenset[str] | None,
) -> str:
    """Return what a removal rests on: ``proof``, or that no user was seen (``absence``).

    Pointers, buckets and what was left behind are proven: losing one that
    is wanted again costs a download. An archive or a cached environment may be
    linked from anywhere, so only the site's word, with no gap left, is proof; and
    where other hosts use the cache, that they could not reach it (``unlinkable``).
    """
    needed_whole = decision.kind in (EntryKind.ARCHIVE, EntryKind.ENVIRONMENT) or (
        decision.kind is EntryKind.BUCKET and EntryPath.of(decision.path).kind == "environments"
    )
    if not needed_whole:
        return PROOF
    absence_is_proof = policy.venvs.complete and not gaps
    reached = unlinkable is not None and decision.path not in unlinkable
    return PROOF if absence_is_proof and not reached else ABSENCE
