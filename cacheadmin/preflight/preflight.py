"""One preflight: the plan's verdict with the checks that explain it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.planner.plan import Verdict
from cacheadmin.policy.quarantine_place import choose_quarantine
from cacheadmin.preflight.checks import Check, PreflightInput, run_checks
from cacheadmin.protect.protection import check_protection
from cacheadmin.prune.room import room_for
from cacheadmin.text.numbers import format_count
from cacheadmin.trial.summary import trial_summary
from cacheadmin.uv.cache_lock import why_no_cache_lock
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.snapshot.snapshot import Snapshot


@frozen
class Preflight:
    """The answer to: may this cache be pruned now?"""

    verdict: Verdict
    """The plan's verdict; ``refused`` where the cache can't be locked."""
    checks: tuple[Check, ...]
    """The checks behind it, in the order in which they are reported."""
    removals: dict[str, int]
    """How many entries a prune would remove, by kind.

    For a uv release's own prune all are counted as ``entries``.
    """
    kept: int
    """How many entries it would keep; 0 for a uv release's own prune."""
    summary: str
    """The verdict in one sentence."""


def run_preflight(snapshot: Snapshot) -> Preflight:
    """Run every check on one snapshot; nothing is changed.

    uv's lock is tried, shared and for an instant: whether a filesystem has
    locks is told by nothing else.
    """
    plan = snapshot.plan()
    place = choose_quarantine(snapshot.policy, snapshot.cache)
    protection = check_protection(snapshot)
    problem = why_no_cache_lock(snapshot.cache.fd)
    subject = PreflightInput(
        snapshot.case,
        plan,
        place.path,
        place.warning,
        protection,
        trial_summary(snapshot.cache),
        room_for(snapshot.cache.fd, plan.removals),
        problem,
    )
    named = snapshot.loaded.named
    checks = tuple(replace(check, fix=named(check.fix)) for check in run_checks(subject))
    removals = Counter(decision.kind.value for decision in plan.removals)
    verdict = Verdict.REFUSED if problem else plan.verdict
    return Preflight(
        verdict=verdict,
        checks=checks,
        removals=dict(sorted(removals.items())),
        kept=len(plan.kept),
        summary=_summary(verdict.value, dict(removals), len(plan.kept)),
    )


def _summary(verdict: str, removals: dict[str, int], kept: int) -> str:
    goes = ", ".join(format_count(number, kind) for kind, number in removals.items())
    kept_words = format_count(kept, "entry", "entries")
    return f"{verdict}: a prune would remove {goes or 'nothing'} and keep {kept_words}"
