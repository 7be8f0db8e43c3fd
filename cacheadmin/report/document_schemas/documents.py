"""The schema of every JSON document: what each has after the keys that all begin with.

A document that has two shapes (one cache, or many; a list of runs, or one) is
any of them. Tests hold these against what the commands really print, also the
other way: a key that is printed and not described here is an error.
"""

from __future__ import annotations

from cacheadmin.report.document_schemas.overviews import REPORT, STATUS_DOCUMENT
from cacheadmin.report.document_schemas.parts import (
    BY_SEVERITY,
    CACHE,
    CARRIED_OUT,
    DECISION,
    FINDING,
    GAPS,
    KEPT,
    LINK_MODES,
    MEASURED,
    NAMED,
    PATH_AND_REASON,
    PLAN,
    POLICY,
    PROTECTION,
    REMOVAL,
    ROOM,
    SEVERITY,
    SIZE,
    STATUS,
    TEXTS,
    TRIAL_OF_RUN,
    VERDICT,
)
from cacheadmin.report.document_schemas.shapes import (
    ANYTHING,
    BYTES,
    COUNT,
    DAY,
    INTEGER,
    SECONDS,
    SHARE,
    SIGNED_SECONDS,
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

_OUTCOMES = ("committed", "rolled_back", "nothing_to_do", "refused", "partial")
_DRY_RUN: dict[str, Shape] = {"outcome": {"const": "dry_run"}}
_DONE: dict[str, Shape] = {"outcome": words(_OUTCOMES)}

_SHARED = row(
    {
        "outcome": words(("shared", "dry_run")),
        "files": COUNT,
        "freed_bytes": BYTES,
        "different_files": COUNT,
        "packages": several(row({"package": TEXT, "bytes": BYTES})),
        "failed": PATH_AND_REASON,
    }
)
_AUDIT: dict[str, Shape] = {
    "findings": several(row(FINDING)),
    "suppressed": several(row({**FINDING, "reason": TEXT, "expires": DAY})),
    "counts": row({**BY_SEVERITY, "suppressed": COUNT}),
    "gaps": GAPS,
    "off": TEXTS,
    "teams": several(row({"team": maybe(TEXT), "owners": TEXTS, **BY_SEVERITY})),
}
_REPAIR: dict[str, Shape] = {
    "packages": several(
        row(
            {
                "name": maybe(TEXT),
                "version": maybe(TEXT),
                "lost": COUNT,
                "absent": COUNT,
                "archives": TEXTS,
            }
        )
    ),
    "archives": TEXTS,
    "command": maybe(TEXTS),
    "commands": several(TEXTS),
    "cwd": maybe(TEXT),
    "run_as": maybe(TEXT),
    "uid": maybe(COUNT),
    "restore": maybe(TEXT),
    "partly_held_by": TEXTS,
    "link_mode": TEXT,
    "kind": TEXT,
    "uv_version": maybe(TEXT),
    "note": maybe(TEXT),
    "not_in_script": maybe(TEXT),
}
_BREAKAGE: dict[str, Shape] = {
    "breaks": several(
        row({"venv": TEXT, "kind": TEXT, "owner": maybe(TEXT), "links": COUNT, "packages": TEXTS})
    ),
    "processes": several(row({"pid": COUNT, "owner": TEXT, "command": TEXT})),
}
_CHAIN = row(
    {
        "rule": TEXT,
        "steps": several(row({"kind": TEXT, "name": TEXT, "detail": maybe(TEXT)})),
        "note": maybe(TEXT),
        "text": TEXT,
    }
)
_RUN: dict[str, Shape] = {
    "run_id": TEXT,
    "state": TEXT,
    "begun_at": TEXT,
    "run_on": TEXT,
    "run_policy": TEXT,
    "restorable": YES_OR_NO,
    "moved": COUNT,
    "bytes": BYTES,
    "trial": TRIAL_OF_RUN,
}
_TRIAL_OF_ENTRY = row(
    {"state": words(("on_trial", "came_back", "ended"))},
    since=TIME,
    until=TIME,
    at=TIME,
    why=TEXT,
    who=TEXTS,
)
_OBSERVATION = row(
    {
        "host": TEXT,
        "observed_at": TIME,
        "uid": COUNT,
        "version": TEXT,
        "reach": row(
            {
                "path": TEXT,
                "filesystem": TEXT,
                "source": TEXT,
                "mount_point": TEXT,
                "options": TEXTS,
                "read_only": YES_OR_NO,
            }
        ),
        "sight": maybe(
            row(
                {
                    "token_seen": YES_OR_NO,
                    "inode": COUNT,
                    "writable": YES_OR_NO,
                    "clock_ahead_seconds": maybe(SIGNED_SECONDS),
                    "access_seen": maybe(YES_OR_NO),
                    "sprung": TEXTS,
                }
            )
        ),
        "mounts": several(
            row(
                {
                    "mount_point": TEXT,
                    "filesystem": TEXT,
                    "source": TEXT,
                    "server_id": maybe(TEXT),
                }
            )
        ),
        "environments": COUNT,
        "uses": several(row({"who": TEXT, "uid": maybe(COUNT), "entries": COUNT})),
        "releases": TEXTS,
        "gaps": several(row({"id": TEXT, "subject": TEXT, "detail": TEXT})),
    }
)
_UID: dict[str, Shape] = {"owner": maybe(TEXT), "uid": maybe(COUNT)}

_ENVIRONMENT = row(
    {
        "path": TEXT,
        "kind": TEXT,
        **_UID,
        "team": maybe(TEXT),
        "uv_version": maybe(TEXT),
        "sources": TEXTS,
        "link_modes": LINK_MODES,
        "archives": TEXTS,
        "entries": TEXTS,
        "links": COUNT,
        "broken_links": COUNT,
        "broken_packages": TEXTS,
        "status": STATUS,
        "reason": maybe(TEXT),
        "fingerprint": TEXT,
    }
)

DOCUMENTS: dict[str, tuple[str, Shape]] = {
    "status": ("how one cache, or all of a host, stand", STATUS_DOCUMENT),
    "preflight": (
        "whether a cache may be pruned now, and every check behind it",
        row(
            {
                "verdict": VERDICT,
                "checks": several(
                    row(
                        {
                            "id": TEXT,
                            "status": words(("pass", "warn", "fail", "skip")),
                            "title": TEXT,
                            "detail": TEXT,
                            "fix": TEXT,
                        }
                    )
                ),
                "summary": row({"text": TEXT, "removals": by_name(COUNT), "kept": COUNT}),
                "gaps": GAPS,
            }
        ),
    ),
    "plan": ("what a prune would remove and keep", row(PLAN, gaps=GAPS, room=ROOM)),
    "prune": (
        "what a prune removed and kept, or with --dry-run would",
        one_of(
            row({"run_id": {"type": "null"}, **_DRY_RUN, **PLAN, "gaps": GAPS}, room=ROOM),
            row(
                {
                    **_DONE,
                    **PLAN,
                    **CARRIED_OUT,
                    "protection": maybe(row(PROTECTION)),
                    "gaps": GAPS,
                }
            ),
        ),
    ),
    "simulate": (
        "what uv's own prune would delete, and whom it would break",
        row(
            {
                "uv": TEXT,
                "ci": YES_OR_NO,
                "force": YES_OR_NO,
                "clean": TEXTS,
                "removals": TEXTS,
                "outside": TEXTS,
                "unlinks_lock": YES_OR_NO,
                "failure": maybe(TEXT),
                **_BREAKAGE,
                "without_protection": maybe(row(_BREAKAGE)),
            }
        ),
    ),
    "evict": (
        "what was taken out of a cache, and who still has it",
        one_of(
            *(
                row(
                    {
                        **outcome,
                        "packages": TEXTS,
                        "not_found": TEXTS,
                        "removals": several(REMOVAL),
                        "kept": several(KEPT),
                        "holders": several(
                            row(
                                {
                                    "venv": TEXT,
                                    "kind": TEXT,
                                    **_UID,
                                    "packages": TEXTS,
                                    "links": YES_OR_NO,
                                    "repair": maybe(TEXT),
                                }
                            )
                        ),
                        "processes": several(
                            row({"pid": COUNT, "owner": TEXT, "uid": maybe(COUNT), "command": TEXT})
                        ),
                        "warnings": TEXTS,
                        "gaps": GAPS,
                        **more,
                    }
                )
                for outcome, more in ((_DRY_RUN, {}), (_DONE, {**PLAN, **CARRIED_OUT}))
            )
        ),
    ),
    "explain": (
        "why entries are kept or removed, and what an environment keeps",
        row(
            {
                "target": TEXT,
                "entries": several(
                    row(
                        {
                            **NAMED,
                            "decision": words(("kept", "removed")),
                            "with": maybe(TEXT),
                            "rule": TEXT,
                            "reason": TEXT,
                            "used_by": TEXTS,
                            **MEASURED,
                            "chains": several(_CHAIN),
                            "near_miss": maybe(TEXT),
                            "to_change": TEXTS,
                        }
                    )
                ),
                "environments": several(
                    row(
                        {
                            "path": TEXT,
                            **_UID,
                            "status": STATUS,
                            "links": COUNT,
                            "keeps": several(row({**NAMED, "others": TEXTS})),
                            "hardlinked": TEXTS,
                            "frees": maybe(
                                row(
                                    {
                                        "entries": several(REMOVAL),
                                        "bytes": BYTES,
                                        "reclaimable_bytes": BYTES,
                                        "files": COUNT,
                                    }
                                )
                            ),
                        }
                    )
                ),
            }
        ),
    ),
    "scan": (
        "the environments that use a cache",
        row(
            {
                "venvs": several(_ENVIRONMENT),
                "gaps": GAPS,
            }
        ),
    ),
    "schemas": (
        "which users use which uv releases, and which buckets those need",
        row(
            {
                "users": several(
                    row(
                        {
                            "user": TEXT,
                            "uid": maybe(COUNT),
                            "account": YES_OR_NO,
                            "versions": several(
                                row(
                                    {
                                        "traces": COUNT,
                                        "version": TEXT,
                                        "exact": YES_OR_NO,
                                        "evidence": TEXT,
                                        "path": maybe(TEXT),
                                        "last_seen": TIME,
                                        "age": TEXT,
                                        "active": YES_OR_NO,
                                        "upgraded_since": YES_OR_NO,
                                        "takes_cache_lock": maybe(YES_OR_NO),
                                    }
                                )
                            ),
                        }
                    )
                ),
                "buckets": several(
                    row(
                        {
                            "name": TEXT,
                            "bytes": maybe(BYTES),
                            "files": maybe(COUNT),
                            "status": words(("needed", "unneeded", "unknown")),
                            "needed_by": TEXTS,
                            "releases": TEXT,
                            "last_write": maybe(TIME),
                            "last_writer": maybe(TEXT),
                        }
                    )
                ),
                "upgrades": several(row({"user": TEXT, "buckets": TEXTS, "bytes": BYTES})),
            }
        ),
    ),
    "usage": (
        "what takes the room",
        one_of(
            row(
                {
                    "by": TEXT,
                    "groups": several(
                        row(
                            {
                                "kind": TEXT,
                                "name": maybe(TEXT),
                                "version": maybe(TEXT),
                                "archives": COUNT,
                                **SIZE,
                            }
                        )
                    ),
                    "total": row({"archives": COUNT, **SIZE}),
                    "unread": PATH_AND_REASON,
                    "unread_count": COUNT,
                    "archives_from_state": COUNT,
                }
            ),
            {**_SHARED, "properties": {"by": {"const": "duplicates"}, **_SHARED["properties"]}},
        ),
    ),
    "report": ("one or many caches at a glance", REPORT),
    "audit": (
        "what is not kept as it should be",
        row(_AUDIT, caches=several(row({"policy": POLICY, "cache": maybe(CACHE), **_AUDIT}))),
    ),
    "plan-rules": (
        "for which reasons a plan keeps and removes",
        row(
            {
                "rules": several(
                    row(
                        {
                            "id": TEXT,
                            "decision": {"enum": ["keep", "remove"]},
                            "means": TEXT,
                            "to_change": TEXT,
                        }
                    )
                )
            }
        ),
    ),
    "audit-rules": (
        "what an audit checks",
        row(
            {
                "rules": several(
                    row(
                        {
                            "id": TEXT,
                            "severity": SEVERITY,
                            "title": TEXT,
                            "rationale": TEXT,
                            "fix": TEXT,
                            "thresholds": several(
                                row({"name": TEXT, "default": TEXT, "type": TEXT})
                            ),
                        }
                    )
                )
            }
        ),
    ),
    "dedupe": ("which equal files share their blocks now, or could", _SHARED),
    "doctor": (
        "environments that are broken, and what repairs each",
        row(
            {
                "findings": several(row(FINDING, **_REPAIR)),
                "restores": several(
                    row({"run": TEXT, "begun_at": TEXT, "archives": TEXTS, "heals": TEXTS})
                ),
                "examined": COUNT,
                "missing": COUNT,
                "gaps": GAPS,
            }
        ),
    ),
    "verify": (
        "archives held against their own lists of files",
        row(
            {
                "findings": several(row(FINDING)),
                "checked": row(
                    {
                        "archives": COUNT,
                        "candidates": COUNT,
                        "files": COUNT,
                        "bytes": BYTES,
                        "seconds": SECONDS,
                        "sampled_share": SHARE,
                        "seed": maybe(INTEGER),
                    }
                ),
            }
        ),
    ),
    "protect": ("the roots that keep archives in use", row(PROTECTION)),
    "observe": (
        "what this host told of its own use, or what all did",
        one_of(
            row({"place": TEXT, "observation": _OBSERVATION}),
            row({"place": TEXT, "observations": several(_OBSERVATION), "problems": TEXTS}),
        ),
    ),
    "runs": (
        "past prunes, or one of them with what it moved",
        one_of(
            row({"runs": several(row(_RUN))}),
            row(
                {
                    **_RUN,
                    "entries": several(
                        row(
                            DECISION,
                            rests_on=words(("proof", "absence")),
                            trial=one_of(_TRIAL_OF_ENTRY, YES_OR_NO),
                        )
                    ),
                }
            ),
        ),
    ),
    "venv": (
        "environments that were registered, or are remembered",
        row(
            {
                "registrations": several(
                    row(
                        {
                            "path": TEXT,
                            "how": TEXT,
                            "uid": maybe(COUNT),
                            "exists": YES_OR_NO,
                            "seen_at": maybe(TIME),
                        }
                    )
                )
            }
        ),
    ),
    "discover": (
        "the environments that a search of a policy's trees, patterns and cache found",
        row({"venvs": several(_ENVIRONMENT), "gaps": GAPS}),
    ),
    "policy-check": (
        "policies, and which of them are refused and why",
        row(
            {
                "policies": several(
                    row(
                        {
                            "path": maybe(TEXT),
                            "name": maybe(TEXT),
                            "valid": YES_OR_NO,
                            "problem": maybe(TEXT),
                            "details": TEXTS,
                            "fix": maybe(TEXT),
                            "warnings": TEXTS,
                        }
                    )
                )
            }
        ),
    ),
    "pin": (
        "what is never to be removed",
        row(
            {
                "pins": several(
                    row(
                        {
                            "target": TEXT,
                            "path": maybe(TEXT),
                            "package": maybe(TEXT),
                            "package_version": maybe(TEXT),
                            "author": TEXT,
                            "uid": COUNT,
                            "reason": TEXT,
                            "status": words(("active", "expired", "overdue")),
                            "created_at": TIME,
                            "expires_at": maybe(TIME),
                            "file": TEXT,
                        }
                    )
                )
            }
        ),
    ),
    "policy": (
        "the effective policy (`policy show`), by dotted keys",
        row(
            {
                "values": by_name(row({"value": ANYTHING, "origin": TEXT})),
                "keep_matches": maybe(by_name(COUNT)),
            }
        ),
    ),
    "uv-learn": (
        "what was read from a uv binary",
        row(
            {
                "uv": TEXT,
                "buckets": TEXTS,
                "in_table": YES_OR_NO,
                "agrees_with_table": YES_OR_NO,
                "stored": YES_OR_NO,
                "prune_changed": maybe(TEXT),
            }
        ),
    ),
}

TRAIL = row(
    {
        "schema": {"const": "cacheadmin/trail/1"},
        "time": TIME,
        "host": TEXT,
        "uid": COUNT,
        "user": maybe(TEXT),
        "sudo_user": maybe(TEXT),
        "login_uid": maybe(COUNT),
        "pid": COUNT,
        "command": TEXT,
        "policy": POLICY,
        "cache": TEXT,
        "subject": maybe(TEXT),
        "run_id": maybe(TEXT),
        "outcome": TEXT,
        "counts": by_name(COUNT),
        "exit_code": COUNT,
        "error": maybe(TEXT),
        "duration_seconds": SECONDS,
        "argv": TEXTS,
    }
)
