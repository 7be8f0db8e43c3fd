"""How a prune that was carried out looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.report.escaping import printable
from cacheadmin.report.plans import plan_json, plan_text, verdict_lines
from cacheadmin.report.tables import count_words, size_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.fs.accounting import Measured
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.policy.loading import LoadedPolicy
    from cacheadmin.prune.running import PruneResult
    from cacheadmin.prune.verification import Verified


def prune_json(plan: Plan, sizes: Measured[str], result: PruneResult) -> dict[str, Any]:
    """Return the document's content; ``removals`` are those that were carried out."""
    verified = result.verified
    return {
        "run_id": result.run_id,
        "outcome": result.outcome,
        **plan_json(_carried_out(plan, result), sizes),
        "dropped": [{"path": path, "reason": why} for path, why in result.dropped],
        "failed": [{"path": path, "reason": why} for path, why in result.failed],
        "deferred": {
            "paths": [decision.path for decision in result.deferred],
            "bytes": _bytes(result.deferred, sizes),
            "waits_for": list(result.waits_for),
        },
        "lock": {
            "mode": result.lock_mode,
            "wait_seconds": round(result.wait_seconds, 6),
            "held_seconds": round(result.held_seconds, 6),
        },
        "verified": None
        if verified is None
        else {
            "venvs": verified.environments,
            "links": verified.links,
            "broken": len(verified.broken),
            "broken_links": [broken.link for broken in verified.broken],
        },
        "quarantine": result.quarantine,
        "warnings": result.warnings,
        "purged": list(result.purged),
        "recovered": [one.run_id for one in result.recovered],
    }


def prune_text(
    plan: Plan,
    sizes: Measured[str],
    result: PruneResult,
    loaded: LoadedPolicy,
    *,
    every_row: bool,
) -> str:
    """Return what was done, for people."""
    if result.outcome == "nothing_to_do":
        words = deferred_words(result, sizes) or "nothing to remove"
        return "\n".join([*verdict_lines(plan), words])
    parts = [plan_text(_carried_out(plan, result), sizes, every_row=every_row), ""]
    freed = _bytes(result.done, sizes)
    entries = count_words(len(result.done), "entry", "entries")
    parts.append(
        f"{result.outcome}: {entries} moved to quarantine {printable(result.quarantine)}, "
        f"{size_words(freed)} to be freed when it is purged"
    )
    if result.verified is not None:
        parts.append(f"{_verified(result.verified)}; lock held {result.held_seconds * 1000:.1f} ms")
    if result.deferred:
        parts.append(deferred_words(result, sizes))
    if result.run_id is not None:
        undo = loaded.command("runs restore", result.run_id)
        parts.append(f"undo: {printable(undo)}")
    if result.purged:
        parts.append(f"deleted for good: {', '.join(result.purged)}")
    return "\n".join(parts)


def _verified(verified: Verified) -> str:
    if not verified.environments:
        return "verified: nothing, no environment is known whose links could be checked"
    return (
        f"verified: {count_words(verified.links, 'link')} of "
        f"{count_words(verified.environments, 'environment')}, none broken"
    )


def deferred_words(result: PruneResult, sizes: Measured[str]) -> str:
    """Return what waits for a later run, and for whom; empty when nothing does."""
    if not result.deferred:
        return ""
    entries = count_words(len(result.deferred), "entry", "entries")
    until = "it has come again"
    if result.waits_for:
        until = f"it no longer has to wait for {', '.join(map(printable, result.waits_for))}"
    return f"left for a later run, once {until}: {entries}, " + size_words(
        _bytes(result.deferred, sizes)
    )


def _bytes(decisions: Iterable[Decision], sizes: Measured[str]) -> int:
    return sizes.together(decision.path for decision in decisions).reclaimable_bytes


def _carried_out(plan: Plan, result: PruneResult) -> Plan:
    if result.outcome in ("refused", "rolled_back"):
        return replace(plan, removals=())
    return replace(plan, removals=tuple(result.done))
