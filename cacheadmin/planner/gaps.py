"""Which gaps are open, and what that means for a plan. Pure.

A gap is a place where a user of the cache may be and that was not looked at.
The site's word closes some: ``venvs.complete`` those of searching, ``hosts.only``
those of other hosts and containers. What could not be *read* is a gap as
well, and no word closes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Gap, GapKind, Unseen
from cacheadmin.inventory.entries import EntryKind

if TYPE_CHECKING:
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.planner.plan import Decision
    from cacheadmin.policy.model import Policy

PROOF = "proof"
ABSENCE = "absence"

_READ_IT = "run it as root, or as a user who may read it"


def open_gaps(policy: Policy, evidence: Evidence) -> tuple[Gap, ...]:
    """Return the gaps that no word of the policy closes, each once."""
    closed = set()
    if policy.venvs.complete:
        closed.add(GapKind.SEARCH)
    if policy.hosts.only == "this":
        closed.add(GapKind.HOSTS)
    found = [gap for gap in evidence.gaps if gap.kind not in closed]
    found += [_unread(unseen) for unseen in evidence.unseen if unseen.hides_archives]
    return tuple(dict.fromkeys(found))


def _unread(unseen: Unseen) -> Gap:
    return Gap(
        f"unseen.{unseen.what}",
        GapKind.RIGHTS,
        unseen.path,
        f"{unseen.what} {unseen.path} could not be looked at: {unseen.reason}",
        _READ_IT,
        unseen.uid,
    )


def rests_on(decision: Decision, policy: Policy, gaps: tuple[Gap, ...]) -> str:
    """Return what a removal rests on: ``proof``, or that nobody was seen (``absence``).

    Pointers, buckets and what was left behind are proven: losing one that
    somebody wanted costs a download. An archive or a cached environment may be
    linked from anywhere, so only the site's word, with no gap left, is proof.
    """
    needed_whole = decision.kind in (EntryKind.ARCHIVE, EntryKind.ENVIRONMENT) or (
        decision.kind is EntryKind.BUCKET and decision.path.startswith("environments-")
    )
    if not needed_whole or (policy.venvs.complete and not gaps):
        return PROOF
    return ABSENCE
