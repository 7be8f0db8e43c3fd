"""Parts that several documents have: decisions, limits, gaps, sizes, findings, environments."""

from __future__ import annotations

from cacheadmin.evidence.facts import EnvironmentStatus, LinkMode
from cacheadmin.findings import Severity
from cacheadmin.inventory.entries import EntryKind
from cacheadmin.planner.plan import Verdict
from cacheadmin.report.document_schemas.shapes import (
    BYTES,
    COUNT,
    INTEGER,
    TEXT,
    TIME,
    YES_OR_NO,
    Shape,
    by_name,
    maybe,
    row,
    several,
    words,
)

TEXTS = several(TEXT)
VERDICT = words(Verdict)
SEVERITY = words(Severity)
KIND = words(EntryKind)
STATUS = words(EnvironmentStatus)
LINK_MODES = row({mode.value: COUNT for mode in LinkMode})
SOME_LINK_MODES = row({}, **{mode.value: COUNT for mode in LinkMode})

POLICY = row({"name": maybe(TEXT), "path": maybe(TEXT)})
CACHE = row({"path": TEXT, "device": COUNT, "inode": COUNT})

SIZE: dict[str, Shape] = {
    "logical_bytes": BYTES,
    "bytes": BYTES,
    "reclaimable_bytes": BYTES,
    "files": COUNT,
}
NAMED: dict[str, Shape] = {
    "kind": KIND,
    "path": TEXT,
    "package": maybe(TEXT),
    "version": maybe(TEXT),
}
MEASURED: dict[str, Shape] = {
    "bytes": maybe(BYTES),
    "reclaimable_bytes": maybe(BYTES),
    "files": maybe(COUNT),
}
DECISION: dict[str, Shape] = {**NAMED, **MEASURED, "rule": TEXT, "reason": TEXT, "used_by": TEXTS}
REMOVAL = row(DECISION, rests_on=words(("proof", "absence")))
KEPT = row(DECISION)
TOTALS = row(
    {
        "removals": COUNT,
        "kept": COUNT,
        "bytes": BYTES,
        "reclaimable_bytes": BYTES,
        "files": COUNT,
    }
)
LIMIT = row({"id": TEXT, "verdict": VERDICT, "detail": TEXT, "fix": TEXT})
PLAN: dict[str, Shape] = {
    "verdict": VERDICT,
    "removals": several(REMOVAL),
    "kept": several(KEPT),
    "totals": TOTALS,
    "limits": several(LIMIT),
}

# What is free where a cache lies, and what a run has to write there first.
ROOM = row(
    {
        "free_bytes": BYTES,
        "free_files": maybe(COUNT),
        "by_quota": YES_OR_NO,
        "needs_bytes": BYTES,
        "needs_files": COUNT,
        "fits": YES_OR_NO,
    }
)

GAPS = several(
    row(
        {
            "id": TEXT,
            "subject": TEXT,
            "owner": maybe(TEXT),
            "host": TEXT,
            "detail": TEXT,
            "fix": TEXT,
        }
    )
)

FINDING: dict[str, Shape] = {
    "rule": TEXT,
    "severity": SEVERITY,
    "subject": TEXT,
    "owner": maybe(TEXT),
    "team": maybe(TEXT),
    "detail": TEXT,
    "fix": TEXT,
    "count": COUNT,
}
BY_SEVERITY: dict[str, Shape] = {severity.value: COUNT for severity in Severity}

GOAL: dict[str, Shape] = {"key": TEXT, "value": INTEGER, "goal": INTEGER, "met": YES_OR_NO}
TRIAL_OF_RUN = row({"on_trial": COUNT, "bytes": BYTES, "ends_at": maybe(TIME), "came_back": COUNT})
PATH_AND_REASON = several(row({"path": TEXT, "reason": TEXT}))

# What a run did; of one that was only planned there is nothing of it.
CARRIED_OUT: dict[str, Shape] = {
    "run_id": maybe(TEXT),
    "dropped": PATH_AND_REASON,
    "failed": PATH_AND_REASON,
    "deferred": row({"paths": TEXTS, "bytes": BYTES, "waits_for": TEXTS}),
    "lock": row(
        {
            "mode": maybe(TEXT),
            "wait_seconds": {"type": "number", "description": "seconds"},
            "held_seconds": {"type": "number", "description": "seconds"},
        }
    ),
    "verified": maybe(
        row({"venvs": COUNT, "links": COUNT, "broken": COUNT, "broken_links": TEXTS})
    ),
    "quarantine": maybe(TEXT),
    "trial": row(
        {
            "planted": TEXTS,
            "sprung": several(row({"path": TEXT, "at": TIME, "why": TEXT, "who": TEXTS})),
            "put_back": TEXTS,
            "doubtful": TEXTS,
            "foreign": by_name(TEXT),
            "emptied": TEXTS,
            "blind": TEXT,
            "ended": TEXTS,
            "ended_bytes": BYTES,
            "ends_at": maybe(TIME),
        }
    ),
    "made_room": maybe(row({"removed": TEXTS, "bytes": BYTES, "failed": PATH_AND_REASON})),
    "deleted_bytes": maybe(BYTES),
    "warnings": TEXTS,
    "purged": TEXTS,
    "recovered": TEXTS,
}
PROTECTION: dict[str, Shape] = {
    "archives": COUNT,
    "complete": YES_OR_NO,
    "since": maybe(TIME),
    "planted": COUNT,
    "removed": COUNT,
    "missing": COUNT,
    "note": maybe(TEXT),
    "unclaimed": TEXTS,
    "buckets": several(
        row(
            {
                "name": TEXT,
                "releases": TEXT,
                "since": maybe(TIME),
                "planted": COUNT,
                "removed": COUNT,
                "missing": COUNT,
                "stale": COUNT,
                "foreign": COUNT,
                "problem": maybe(TEXT),
            }
        )
    ),
}
