"""Locks that do not reach the other hosts of a shared filesystem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.findings import Finding, Severity

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class LocksUnreliable(Rule):
    """Other hosts may write to the cache, and do not see who holds its lock here.

    An error where the mount says so; a warning where nothing is known of the
    locks of this filesystem.
    """

    id = "locks-unreliable"
    severity = Severity.ERROR
    title = "Locks do not reach other hosts"
    rationale = (
        "uv and cacheadmin lock the cache so that a prune waits for installs. Where the lock "
        "stays on one host, a prune here removes what an install on another host is using."
    )
    fix = "prune while no other host installs, or mount it with locks that reach the server"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield one finding for the cache's mount."""
        filesystem = subject.case.evidence.filesystem
        if subject.case.lock_proves_absence:
            return
        known = filesystem.locks_reach_other_hosts is False
        verb = "do not reach" if known else "may not reach"
        where = f"{filesystem.kind} from {filesystem.source}, mounted at {filesystem.mount_point}"
        note = f": {filesystem.lock_note}" if filesystem.lock_note else ""
        found = self.finding(
            subject.cache_path,
            f"locks {verb} other hosts on {where}{note}",
            fix=_REMOUNT.get(filesystem.kind, ""),
        )
        yield found if known else replace(found, severity=Severity.WARNING)


_REMOUNT = {
    "nfs": "mount it with local_lock=none and without nolock, or prune while no other host "
    "installs",
    "nfs4": "mount it with local_lock=none, or prune while no other host installs",
    "lustre": "mount it with the option flock, or prune while no other host installs",
    "cifs": "mount it without nobrl, or prune while no other host installs",
    "smb3": "mount it without nobrl, or prune while no other host installs",
    "beegfs": "set tuneUseGlobalFileLocks on every client, or prune while no other host installs",
}
