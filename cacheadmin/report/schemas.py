"""How uv releases, their users and the buckets they need look: ``schemas``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cacheadmin.planner.bucket_needs import bucket_needs, has_upgraded, is_active
from cacheadmin.planner.release_traces import describe_version, releases_of_bucket, trace_takes_lock
from cacheadmin.planner.users import OtherUser
from cacheadmin.planner.words import describe_user
from cacheadmin.report.formats import Report, Rows, View, rows_of
from cacheadmin.report.tables import table
from cacheadmin.text.lists import join_some
from cacheadmin.text.sizes import format_size
from cacheadmin.text.timestamps import format_age, rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.accounting import Size
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.inventory.entries import Bucket
    from cacheadmin.planner.plan_input import PlanInput
    from cacheadmin.text.documents import Document, Heading


_COLUMNS = (
    *("name", "status", "bytes", "files", "needed_by", "releases", "last_write", "last_writer"),
)


@frozen
class ReleasesReport(Report):
    """Who uses which uv releases, and which buckets those need."""

    heading: Heading
    """How the document begins."""
    case: PlanInput
    """The cache with the traces of releases."""
    sizes: Mapping[str, Size]
    """What each bucket takes, by its name."""

    def document(self) -> Document:
        """Return the document of ``schemas``."""
        return self.heading.over(schemas_json(self.case, self.sizes))

    def rows(self) -> Rows:
        """Return a bucket a row."""
        return rows_of(_buckets(self.case, self.sizes), _COLUMNS)

    def text(self, view: View) -> str:
        """Return users with their releases, then what each bucket is kept for."""
        return schemas_text(self.case, self.sizes)


def schemas_json(case: PlanInput, sizes: Mapping[str, Size]) -> dict[str, Any]:
    """Return users with the releases they use, and buckets with who needs them."""
    return {
        "users": _users(case),
        "buckets": _buckets(case, sizes),
        "upgrades": _upgrades(case, sizes),
    }


def _upgrades(case: PlanInput, sizes: Mapping[str, Size]) -> list[dict[str, Any]]:
    """Return what would come free if a user left the releases only they use.

    A bucket counts for a user when no user and nothing else needs it.
    """
    held: dict[str, list[str]] = {}
    for name, needs in bucket_needs(case).items():
        holders = {need.user for need in needs}
        if len(holders) == 1 and not isinstance(holder := holders.pop(), OtherUser):
            held.setdefault(describe_user(holder), []).append(name)
    rows = [
        {
            "user": user,
            "buckets": sorted(names),
            "bytes": sum(sizes[name].allocated_bytes for name in names if name in sizes),
        }
        for user, names in held.items()
    ]
    return sorted(rows, key=lambda row: (-int(str(row["bytes"])), str(row["user"])))


def _users(case: PlanInput) -> list[dict[str, Any]]:
    by_uid: dict[int | None, list[ReleaseTrace]] = {}
    for trace in case.evidence.releases:
        by_uid.setdefault(trace.uid, []).append(trace)
    return [
        {
            "user": case.user_of_release(uid),
            "uid": uid,
            "account": uid is None or uid in case.evidence.user_names,
            "versions": _versions(case, traces),
        }
        for uid, traces in sorted(by_uid.items(), key=lambda item: (item[0] is None, item[0] or 0))
    ]


def _versions(case: PlanInput, traces: list[ReleaseTrace]) -> list[dict[str, Any]]:
    """Return one row for each release and sort of evidence: the newest trace, and how many."""
    alike: dict[tuple[str, str], list[ReleaseTrace]] = {}
    for trace in sorted(traces, key=lambda trace: -trace.seen_ns):
        version = trace.version or describe_version(case, trace)
        alike.setdefault((version, trace.evidence), []).append(trace)
    return [_version(case, found[0], len(found)) for found in alike.values()]


def _version(case: PlanInput, trace: ReleaseTrace, traces: int) -> dict[str, Any]:
    return {
        "traces": traces,
        "version": trace.version or describe_version(case, trace),
        "exact": trace.version is not None,
        "evidence": trace.evidence,
        "path": trace.path,
        "last_seen": rfc3339(trace.seen_ns),
        "age": format_age(trace.seen_ns, case.now_ns),
        "active": is_active(case, trace),
        "upgraded_since": has_upgraded(case, trace),
        "takes_cache_lock": trace_takes_lock(trace),
    }


def _buckets(case: PlanInput, sizes: Mapping[str, Size]) -> list[dict[str, Any]]:
    needs = bucket_needs(case)
    rows = []
    for bucket in sorted(case.inventory.buckets, key=lambda bucket: (bucket.kind, bucket.version)):
        size = sizes.get(bucket.name)
        newest = bucket.writes[0] if bucket.writes else None
        rows.append(
            {
                "name": bucket.name,
                "bytes": None if size is None else size.allocated_bytes,
                "files": None if size is None else size.files,
                "status": bucket_status(case, bucket, needed=bucket.name in needs),
                "needed_by": [
                    f"{describe_user(need.user)}: {need.why}" for need in needs.get(bucket.name, ())
                ],
                "releases": releases_of_bucket(case, bucket.name),
                "last_write": None if newest is None else rfc3339(newest.written_ns),
                "last_writer": None if newest is None else case.user(newest.uid),
            }
        )
    return rows


def bucket_status(case: PlanInput, bucket: Bucket, *, needed: bool) -> str:
    """Return ``needed``, ``unneeded`` or ``unknown``; the archive bucket is every user's."""
    if not case.is_known(bucket):
        return "unknown"
    return "needed" if needed or bucket.kind == "archive" else "unneeded"


def schemas_text(case: PlanInput, sizes: Mapping[str, Size]) -> str:
    """Return two tables: who uses which release, and what each bucket is kept for."""
    users = [
        (
            user["user"] + ("" if user["account"] else " (no account)"),
            version["version"],
            _lock_words(version),
            version["evidence"] + (f" ({version['traces']} times)" * (version["traces"] > 1)),
            f"{version['age']} ago",
        )
        for user in _users(case)
        for version in user["versions"]
        if version["active"]
    ]
    needs = bucket_needs(case)
    buckets = [
        (
            row["name"],
            row["status"],
            format_size(row["bytes"]) if row["bytes"] is not None else None,
            row["releases"],
            "; ".join(join_some([describe_user(need.user) for need in needs.get(row["name"], ())]))
            or None,
            row["last_writer"],
            row["last_write"],
        )
        for row in _buckets(case, sizes)
    ]
    upgrades = [
        (row["user"], format_size(row["bytes"]), " ".join(row["buckets"]))
        for row in _upgrades(case, sizes)
    ]
    parts = [
        table(("user", "uv", "takes lock", "evidence", "last seen"), users, spare=("last seen",))
        if users
        else "no uv release in use was found",
        table(
            ("bucket", "status", "size", "releases", "needed by", "last writer", "last write"),
            buckets,
            right=("size",),
            spare=("last write", "last writer", "releases"),
        ),
    ]
    if upgrades:
        parts.append(table(("if they upgraded", "frees", "buckets"), upgrades, right=("frees",)))
    return "\n\n".join(parts)


def _lock_words(version: Mapping[str, Any]) -> str | None:
    takes = version["takes_cache_lock"]
    return None if takes is None else ("yes" if takes else "NO")
