"""The schemas of ``status`` and ``report``: one cache, or many."""

from __future__ import annotations

from cacheadmin.hosts.fleet import HostStanding
from cacheadmin.report.document_schemas.parts import (
    BY_SEVERITY,
    CACHE,
    FINDING,
    GAPS,
    GOAL,
    LIMIT,
    LINK_MODES,
    POLICY,
    SIZE,
    SOME_LINK_MODES,
    STATUS,
    TEXTS,
    VERDICT,
)
from cacheadmin.report.document_schemas.shapes import (
    BYTES,
    COUNT,
    TEXT,
    TIME,
    YES_OR_NO,
    Shape,
    by_name,
    maybe,
    one_of,
    row,
    several,
    words,
)

_HOST = row(
    {
        "host": TEXT,
        "standing": words(HostStanding),
        "expected": YES_OR_NO,
        "observed_at": maybe(TIME),
        "releases": TEXTS,
        "environments": COUNT,
        "uses": COUNT,
        "path": maybe(TEXT),
        "filesystem": maybe(TEXT),
        "read_only": YES_OR_NO,
        "gaps": TEXTS,
    }
)
_WHERE: dict[str, Shape] = {"policy": POLICY, "cache": maybe(CACHE)}
_RUN: dict[str, Shape] = {
    "run_id": TEXT,
    "state": TEXT,
    "begun_at": TEXT,
    "entries": COUNT,
    "bytes": BYTES,
}

_STANDING: dict[str, Shape] = {
    "verdict": VERDICT,
    "problem": {"type": "null"},
    "exit_code": COUNT,
    "limits": several(row({"id": TEXT, "detail": TEXT})),
    "removals": COUNT,
    "bytes": BYTES,
    "files": COUNT,
    "unread": COUNT,
    "free_bytes": BYTES,
    "filesystem_bytes": BYTES,
    "budget": several(row(GOAL)),
    "last_run": maybe(row(_RUN)),
    "next_run": maybe(row({"when": TEXT, "source": TEXT})),
    "quarantine": row(
        {"path": TEXT, "runs": COUNT, "entries": COUNT, "bytes": BYTES, "unread": maybe(TEXT)}
    ),
    "trial": row(
        {
            "entries": COUNT,
            "bytes": BYTES,
            "ends_at": maybe(TIME),
            "sprung": COUNT,
            "unread": maybe(TEXT),
        }
    ),
    "gaps": GAPS,
    "counts": row(BY_SEVERITY),
}
# One that could not be looked at.
_PROBLEM: dict[str, Shape] = {"verdict": {"type": "null"}, "problem": TEXT, "exit_code": COUNT}

STATUS_DOCUMENT = one_of(
    row(_STANDING),
    row(_PROBLEM),
    row({"policies": several(one_of(row({**_WHERE, **_STANDING}), row({**_WHERE, **_PROBLEM})))}),
)

_PARTS = several(row({"kind": TEXT, "name": maybe(TEXT), "archives": COUNT, **SIZE}))
_HELD: dict[str, Shape] = {
    "archives": maybe(COUNT),
    "held_bytes": maybe(BYTES),
    "alone_bytes": maybe(BYTES),
    "freed_bytes": maybe(BYTES),
}
_HOLDERS = several(row({"name": maybe(TEXT), "environments": COUNT, **_HELD}))
_ENVIRONMENT = row(
    {
        "path": TEXT,
        "kind": TEXT,
        "status": STATUS,
        "owner": maybe(TEXT),
        "team": maybe(TEXT),
        "uv_version": maybe(TEXT),
        "link_modes": SOME_LINK_MODES,
        "broken_links": COUNT,
        "broken_packages": TEXTS,
        "reason": maybe(TEXT),
        "changed_at": maybe(TIME),
        **_HELD,
    }
)
_RELEASE = row(
    {
        "version": TEXT,
        "users": TEXTS,
        "takes_cache_lock": maybe(YES_OR_NO),
        "last_seen": TIME,
    }
)
_RECORD = row(
    {
        "time": TIME,
        "bytes": BYTES,
        "files": COUNT,
        "buckets": by_name(BYTES),
        "teams": by_name(BYTES),
        "packages": by_name(BYTES),
    }
)
_OVERVIEW: dict[str, Shape] = {
    "verdict": VERDICT,
    "limits": several(LIMIT),
    "removals": row({"entries": COUNT, **SIZE}),
    "kept": COUNT,
    "total": row({"archives": COUNT, **SIZE}),
    "unread_count": COUNT,
    "filesystem": row(
        {"kind": TEXT, "mount_point": TEXT, "free_bytes": BYTES, "size_bytes": BYTES}
    ),
    "budget": several(row({**GOAL, "unit": TEXT})),
    "buckets": _PARTS,
    "packages": _PARTS,
    "owners": _PARTS,
    "teams": _PARTS,
    "environments": several(_ENVIRONMENT),
    "holding": row({"owners": _HOLDERS, "teams": _HOLDERS}),
    "link_modes": LINK_MODES,
    "releases": several(_RELEASE),
    "findings": several(row(FINDING)),
    "quarantine": row(
        {
            "path": TEXT,
            "unread": maybe(TEXT),
            "runs": several(row({**_RUN, "host": TEXT, "restorable_until": maybe(TIME)})),
        }
    ),
    "trial": row({"entries": COUNT, "bytes": BYTES, "first_end": maybe(TIME), "came_back": COUNT}),
    "hosts": several(_HOST),
    "history": several(_RECORD),
}

REPORT = one_of(row(_OVERVIEW), row({"caches": several(row({**_WHERE, **_OVERVIEW}))}))
