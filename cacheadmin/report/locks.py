"""Who holds the cache's lock, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.timestamps import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from cacheadmin.evidence.facts import LockHolder


def holder_words(holder: LockHolder, user: Callable[[int | None], str]) -> str:
    """Return who it is, since when, and what runs; enough to go and ask."""
    how = "exclusive" if holder.exclusive else "shared"
    if holder.waiting:
        how += ", waiting"
    if holder.unlinked:
        how += ", on a .lock that was deleted since"
    if holder.host and holder.uid is None:
        # A thread of the kernel's that serves files. Who it is for, only that client knows.
        return f"{how}: {holder.host} ({holder.command}, process {holder.pid} here)"
    if not holder.command:
        return f"{how}: process {holder.pid}, not on this host, or not ours to see"
    since = f", since {rfc3339(holder.started_ns)}" if holder.started_ns is not None else ""
    other = "" if holder.is_uv is not False or holder.is_guard else ", which is no uv"
    where = f" on {holder.host}" if holder.host else ""
    return (
        f"{how}: process {holder.pid} of {user(holder.uid)}{where}{since}{other}: {holder.command}"
    )
