"""How an overview looks as JSON: the same facts, whole, without words made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.prune.plan_rows import limits_json
from cacheadmin.report.findings import finding_json
from cacheadmin.report.usage import size_json
from cacheadmin.text.documents import Document, header
from cacheadmin.text.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cacheadmin.hosts.fleet import KnownHost
    from cacheadmin.overview.facts import CacheReport, EnvironmentFacts, HolderFacts, Part, PastRun
    from cacheadmin.state.size_history import SizeRecord


def overview_document(overviews: Sequence[CacheReport]) -> Document:
    """Return one document: of the one cache, or with a list of ``caches``."""
    if len(overviews) == 1:
        only = overviews[0]
        return {**header("report", only.loaded, only.cache), **overview_json(only)}
    caches = []
    for overview in overviews:
        whole = header("report", overview.loaded, overview.cache)
        caches.append(
            {"policy": whole["policy"], "cache": whole["cache"], **overview_json(overview)}
        )
    return {**header("report", None, None), "caches": caches}


def overview_json(overview: CacheReport) -> dict[str, Any]:
    """Return the content of the document for one cache."""
    parts = overview.parts
    return {
        "verdict": overview.verdict.value,
        "limits": limits_json(overview.limits),
        "removals": {"entries": overview.going.entries, **size_json(overview.going.size)},
        "kept": overview.kept,
        "total": {"archives": overview.archives, **size_json(overview.total)},
        "unread_count": overview.unread,
        "filesystem": {
            "kind": overview.disk.kind,
            "mount_point": overview.disk.mount_point,
            "free_bytes": overview.disk.free_bytes,
            "size_bytes": overview.disk.size_bytes,
        },
        "budget": [
            {
                "key": goal.key,
                "value": goal.value,
                "goal": goal.goal,
                "unit": goal.unit,
                "met": goal.is_met,
            }
            for goal in overview.budget
        ],
        "buckets": _parts(parts.buckets),
        "packages": _parts(parts.packages),
        "owners": _parts(parts.owners),
        "teams": _parts(parts.teams),
        "environments": environments_json(overview),
        "holding": {
            "owners": [_holder(one) for one in overview.holding_owners],
            "teams": [_holder(one) for one in overview.holding_teams],
        },
        "link_modes": {mode.value: number for mode, number in overview.link_modes.items()},
        "releases": [
            {
                "version": one.version,
                "users": list(one.users),
                "takes_cache_lock": one.takes_cache_lock,
                "last_seen": rfc3339(one.seen_ns),
            }
            for one in overview.releases
        ],
        "findings": [finding_json(finding) for finding in overview.findings],
        "quarantine": {
            "path": overview.quarantine.path,
            "unread": overview.quarantine.unread or None,
            "runs": [_run(run) for run in overview.quarantine.runs],
        },
        "trial": {
            "entries": overview.trial.entries,
            "bytes": overview.trial.bytes,
            "first_end": overview.trial.first_end_ns and rfc3339(overview.trial.first_end_ns),
            "came_back": overview.trial.came_back,
        },
        "hosts": [_host(one) for one in overview.hosts],
        "history": [_record(record) for record in overview.history],
    }


def _host(one: KnownHost) -> dict[str, Any]:
    return {
        "host": one.name,
        "standing": one.standing.value,
        "expected": one.expected,
        "observed_at": None if one.told_ns is None else rfc3339(one.told_ns),
        "releases": list(one.releases),
        "environments": one.environments,
        "uses": one.uses,
        "path": one.path or None,
        "filesystem": one.filesystem or None,
        "read_only": one.read_only,
        "gaps": list(one.gaps),
    }


def _parts(parts: Iterable[Part]) -> list[dict[str, Any]]:
    return [
        {
            "kind": part.group.sort.value,
            "name": part.group.name,
            "archives": part.archives,
            **size_json(part.size),
        }
        for part in parts
    ]


def _holder(holder: HolderFacts) -> dict[str, Any]:
    return {
        "name": holder.name,
        "environments": holder.environments,
        "archives": holder.archives,
        "held_bytes": holder.held.allocated_bytes,
        "alone_bytes": holder.alone.reclaimable_bytes,
        "freed_bytes": holder.freed_bytes,
    }


def environments_json(overview: CacheReport) -> list[dict[str, Any]]:
    """Return the environments of a cache as the document's rows."""
    return [_environment(one) for one in overview.environments]


def _environment(environment: EnvironmentFacts) -> dict[str, Any]:
    holder = environment.holder
    changed_ns = environment.changed_ns
    return {
        "path": environment.path,
        "kind": environment.kind,
        "status": environment.status.value,
        "owner": environment.owner,
        "team": environment.team,
        "uv_version": environment.uv_version,
        "link_modes": {mode.value: number for mode, number in environment.link_modes.items()},
        "broken_links": environment.broken_links,
        "broken_packages": list(environment.broken_packages),
        "reason": environment.reason or None,
        "changed_at": None if changed_ns is None else rfc3339(changed_ns),
        "archives": None if holder is None else holder.archives,
        "held_bytes": None if holder is None else holder.held.allocated_bytes,
        "alone_bytes": None if holder is None else holder.alone.reclaimable_bytes,
        "freed_bytes": None if holder is None else holder.freed_bytes,
    }


def _run(run: PastRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "state": run.state,
        "begun_at": run.begun_at,
        "host": run.host,
        "entries": run.entries,
        "bytes": run.size_bytes,
        "restorable_until": None if run.until_ns is None else rfc3339(run.until_ns),
    }


def _record(record: SizeRecord) -> dict[str, Any]:
    return {
        "time": rfc3339(record.taken_ns),
        "bytes": record.allocated_bytes,
        "files": record.files,
        "buckets": dict(record.buckets),
        "teams": dict(record.teams),
        "packages": dict(record.packages),
    }
