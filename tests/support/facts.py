"""Small facts for tests of pure code: inventories and evidence without a disk.

    case = make_case(archives=["a"], pointers={"wheels-v5": ["a"]}, traces=["0.8.5"])

Every helper fills in what a test does not care about.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cacheadmin.evidence.facts import (
    Environment,
    EnvironmentKind,
    EnvironmentStatus,
    Evidence,
    Filesystem,
    LinkMode,
)
from cacheadmin.evidence.release_trace import ReleaseTrace
from cacheadmin.inventory.entries import (
    Archive,
    ArchiveContent,
    ArchiveId,
    Bucket,
    CacheIdentity,
    Inventory,
    WheelPointer,
)
from cacheadmin.policy.model import Policy
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.uv.releases import is_known_bucket

NOW = 1_795_000_000 * 10**9
HOUR = 3600 * 10**9
DAY = 24 * HOUR

LOCAL = Filesystem("ext4", "/", "/dev/vda", ("rw",), False, None, False, True, True)
NFS = Filesystem("nfs4", "/srv", "host:/srv", ("rw",), True, True, False, True, False)


def policy(**keys: Any) -> Policy:
    """Return a policy with these top-level keys."""
    return Policy.model_validate({"version": 1, "name": "test", "cache": "/cache", **keys})


def archive(name: str, *, content: ArchiveContent = ArchiveContent.WHEEL, **facts: Any) -> Archive:
    """Return an archive; its package is named like its id."""
    values: dict[str, Any] = {
        "package": name if content is ArchiveContent.WHEEL else None,
        "version": "1.0",
        "uid": 1000,
        "inode": 1,
        "mtime_ns": NOW - 10 * DAY,
    }
    return Archive(ArchiveId(name), f"archive-v0/{name}", content, **(values | facts))


def pointer(bucket: str, *archives: str, name: str = "", **facts: Any) -> WheelPointer:
    """Return a wheel pointer of a bucket to archives."""
    package = name or (archives[0] if archives else "package")
    values: dict[str, Any] = {
        "version": "1.0",
        "linked_archive": None,
        "understood": True,
        "uid": 1000,
        "mtime_ns": NOW - 10 * DAY,
    }
    return WheelPointer(
        path=f"{bucket}/pypi/{package}/1.0-py3-none-any",
        bucket=bucket,
        package=package,
        archives=frozenset(ArchiveId(one) for one in archives),
        **(values | facts),
    )


def bucket(name: str, **facts: Any) -> Bucket:
    """Return a bucket by its name; known when the release table has it."""
    kind, version = parse_bucket_name(name) or (name, 0)
    return Bucket(name, kind, version, **({"known": is_known_bucket(name)} | facts))


def inventory(
    *,
    buckets: Iterable[str] = ("archive-v0", "wheels-v5", "sdists-v9"),
    archives: Iterable[Archive] = (),
    **facts: Any,
) -> Inventory:
    """Return an inventory of the cache ``/cache``."""
    return Inventory(
        cache=CacheIdentity("/cache", 1, 2),
        read_at_ns=NOW,
        buckets=tuple(bucket(name) for name in buckets),
        archives={one.id: one for one in archives},
        **facts,
    )


def environment(path: str, *archives: str, **facts: Any) -> Environment:
    """Return a readable environment in symlink mode that links archives."""
    modes: Mapping[LinkMode, int] = {LinkMode.SYMLINK: len(archives)} if archives else {}
    values: dict[str, Any] = {
        "kind": EnvironmentKind.VENV,
        "status": EnvironmentStatus.OK,
        "uid": 1000,
        "link_modes": modes,
        "archives": frozenset(ArchiveId(one) for one in archives),
        "links": len(archives),
    }
    return Environment(path, **(values | facts))


def trace(
    version: str | None = None, *, bucket: str | None = None, age: int = HOUR
) -> ReleaseTrace:
    """Return a trace of a release, or of a write to a bucket."""
    return ReleaseTrace(1000, version, bucket, "a test says so", "/home/ana", NOW - age)


def evidence(**facts: Any) -> Evidence:
    """Return evidence on a local filesystem."""
    return Evidence(**({"collected_at_ns": NOW, "filesystem": LOCAL} | facts))
