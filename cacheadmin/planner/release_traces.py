"""What a trace in the cache says of the uv release that left it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.text.lists import join_some
from cacheadmin.uv.releases import release_range, takes_cache_lock, writers_take_lock

if TYPE_CHECKING:
    from cacheadmin.evidence.release_trace import ReleaseTrace
    from cacheadmin.planner.plan_input import PlanInput


def trace_takes_lock(trace: ReleaseTrace) -> bool | None:
    """Return whether all releases that can have left a trace lock the cache, or none; else None."""
    if trace.version is not None:
        return takes_cache_lock(trace.version)
    if trace.at_least is not None:
        return takes_cache_lock(trace.at_least) or None
    return None if trace.bucket is None else writers_take_lock(trace.bucket)


def describe_version(case: PlanInput, trace: ReleaseTrace) -> str:
    """Return which releases can have left a trace that names none exactly."""
    if trace.at_least:
        return f"{trace.at_least} or later"
    return "unknown" if trace.bucket is None else releases_of_bucket(case, trace.bucket)


def releases_of_bucket(case: PlanInput, bucket: str) -> str:
    """Return which releases use a bucket, learned ones too."""
    learned = case.learned_releases_of(bucket)
    if release_range(bucket) is None and learned:
        return ", ".join(join_some([f"{version} (from its binary)" for version in learned]))
    releases = release_range(bucket)
    if releases is None:
        return "unknown"
    return f"{releases.first} to {releases.last or 'newest'}"
