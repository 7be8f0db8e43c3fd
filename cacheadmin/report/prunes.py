"""How a prune that was carried out looks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.prune.plan_rows import plan_json
from cacheadmin.report.formats import Report, Rows, View
from cacheadmin.report.plans import decision_rows, plan_text, verdict_lines
from cacheadmin.report.protections import protection_json, protection_words
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cacheadmin.accounting import Measured
    from cacheadmin.planner.plan import Decision, Plan
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.protect.protection import Protection
    from cacheadmin.prune.result import PruneResult
    from cacheadmin.prune.verification import Verified
    from cacheadmin.text.documents import Document, Heading


@frozen
class PruneReport(Report):
    """A prune that was carried out, or that changed nothing."""

    heading: Heading
    """How the document begins."""
    plan: Plan
    """What was to be removed, and what is kept."""
    sizes: Measured[str]
    """What each removal took, and for programs what is kept too."""
    result: PruneResult
    """What was done."""
    loaded: LoadedPolicy
    """The policy, for commands in the text."""
    protection: Protection | None
    """What was planted afterwards; None where the policy plants nothing."""

    def document(self) -> Document:
        """Return the document of ``prune``."""
        content = prune_json(self.plan, self.sizes, self.result)
        planted = self.protection and protection_json(self.protection)
        return self.heading.over({**content, "protection": planted})

    def rows(self) -> Rows:
        """Return a decision a row, with the removals that were carried out."""
        done = _carried_out(self.plan, self.result)
        return decision_rows(done.removals, done.kept, self.sizes)

    def text(self, view: View) -> str:
        """Return what was done, and how to undo it."""
        words = prune_text(self.plan, self.sizes, self.result, self.loaded, every_row=view.verbose)
        return f"{words}\n{protection_words(self.protection)}" if self.protection else words


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
        "trial": trial_json(result),
        "made_room": room_json(result),
        "deleted_bytes": result.deleted_bytes,
        "warnings": result.warnings,
        "purged": list(result.purged),
        "recovered": [one.run_id for one in result.recovered],
    }


def room_json(result: PruneResult) -> dict[str, Any] | None:
    """Return what was deleted where it lay, for want of room; None: there was room."""
    if result.room is None:
        return None
    return {
        "removed": [decision.path for decision in result.room.removed],
        "bytes": result.room.bytes,
        "failed": [{"path": path, "reason": why} for path, why in result.room.failed],
    }


def room_words(result: PruneResult) -> list[str]:
    """Return what was deleted where it lay, in a line; nothing where there was room."""
    if result.room is None:
        return []
    entries = format_count(len(result.room.removed), "entry", "entries")
    return [
        f"there was no room for a run, so {entries} went first, deleted in place: "
        f"{format_size(result.room.bytes)}"
    ]


def trial_json(result: PruneResult) -> dict[str, Any]:
    """Return what a run did with trials."""
    trial, watched = result.trial, result.trial.watched
    springs = () if watched is None else watched.springs
    return {
        "planted": trial.planted,
        "sprung": [
            {"path": s.entry, "at": rfc3339(s.at_ns), "why": s.why, "who": list(s.who)}
            for s in springs
        ],
        "put_back": [*(s.entry for s in springs), *trial.linked],
        "doubtful": [] if watched is None else sorted(watched.doubtful),
        "foreign": {} if watched is None else dict(watched.foreign),
        "emptied": [] if watched is None else sorted(watched.emptied),
        "blind": "" if watched is None else watched.blind,
        "ended": trial.ended,
        "ended_bytes": trial.ended_bytes,
        "ends_at": None if trial.ends_ns is None else rfc3339(trial.ends_ns),
    }


def trial_words(result: PruneResult) -> list[str]:
    """Return what a run did with trials, a line each; nothing where it did nothing."""
    trial, watched = result.trial, result.trial.watched
    lines = []
    if trial.planted and trial.ends_ns is not None:
        entries = format_count(len(trial.planted), "entry", "entries")
        lines.append(
            f"on trial until {rfc3339(trial.ends_ns)}: {entries}; any use of one brings it back"
        )
    if watched is not None:
        for spring in watched.springs:
            who = f": {', '.join(map(printable, spring.who))}" if spring.who else ""
            lines.append(f"came back from trial ({spring.why}): {printable(spring.entry)}{who}")
        if watched.doubtful:
            count = format_count(len(watched.doubtful), "trial")
            lines.append(
                f"something walked the whole cache, so {count} last longer: run `cacheadmin "
                "guard`, or keep backups from following links"
            )
    lines += [f"came back from trial (used): {printable(entry)}" for entry in trial.linked]
    if trial.ended:
        entries = format_count(len(trial.ended), "entry", "entries")
        lines.append(
            f"deleted for good after a silent trial: {entries}, {format_size(trial.ended_bytes)}"
        )
    return lines


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
        words = [deferred_words(result, sizes) or "nothing to remove"]
        words += [*room_words(result), *trial_words(result)]
        return "\n".join([*verdict_lines(plan), *words])
    parts = [plan_text(_carried_out(plan, result), sizes, every_row=every_row), ""]
    planted = set(result.trial.planted)
    moved = [decision for decision in result.done if decision.path not in planted]
    entries = format_count(len(moved), "entry", "entries")
    if result.deleted_bytes is not None:
        size = format_size(result.deleted_bytes)
        parts.append(f"{result.outcome}: {entries} deleted for good, {size} freed")
    else:
        parts.append(
            f"{result.outcome}: {entries} moved to quarantine {printable(result.quarantine)}, "
            f"{format_size(_bytes(moved, sizes))} to be freed when it is purged"
        )
    parts += [*room_words(result), *trial_words(result)]
    if result.verified is not None:
        parts.append(f"{_verified(result.verified)}; lock held {result.held_seconds * 1000:.1f} ms")
    if result.deferred:
        parts.append(deferred_words(result, sizes))
    if result.run_id is not None and (result.deleted_bytes is None or planted):
        undo = loaded.command("runs restore", result.run_id)
        parts.append(f"undo: {printable(undo)}")
    if result.purged:
        parts.append(f"deleted for good: {', '.join(result.purged)}")
    return "\n".join(parts)


def _verified(verified: Verified) -> str:
    if not verified.environments:
        return "verified: nothing, no environment is known whose links could be checked"
    return (
        f"verified: {format_count(verified.links, 'link')} of "
        f"{format_count(verified.environments, 'environment')}, none broken"
    )


def deferred_words(result: PruneResult, sizes: Measured[str]) -> str:
    """Return what waits for a later run, and for whom; empty when nothing does."""
    if not result.deferred:
        return ""
    entries = format_count(len(result.deferred), "entry", "entries")
    until = "it has come again"
    if result.waits_for:
        until = f"it no longer has to wait for {', '.join(map(printable, result.waits_for))}"
    return f"left for a later run, once {until}: {entries}, " + format_size(
        _bytes(result.deferred, sizes)
    )


def _bytes(decisions: Iterable[Decision], sizes: Measured[str]) -> int:
    return sizes.together(decision.path for decision in decisions).reclaimable_bytes


def _carried_out(plan: Plan, result: PruneResult) -> Plan:
    if result.outcome in ("refused", "rolled_back"):
        return replace(plan, removals=())
    return replace(plan, removals=tuple(result.done))
