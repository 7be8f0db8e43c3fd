"""Who else reaches the cache: other hosts by the network, and containers by their mounts.

Their processes and environments can't be seen from here. That is a gap until
their observations say otherwise, or the site gives its word
(``hosts.only: this``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.exports import exports_of
from cacheadmin.evidence.facts import Filesystem, Gap, GapKind
from cacheadmin.evidence.filesystem import describe_filesystem
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.reach import containers_that_reach

if TYPE_CHECKING:
    from cacheadmin.readers import Readers

_WORD = (
    "only if you know that neither another host nor a container uses it, say so: "
    "hosts: {only: this}"
)
_EXPECT = (
    f"name the hosts that use it in hosts.expect, `cacheadmin observe POLICY` on each; {_WORD}"
)


class OtherHosts:
    """Network mounts, exports of this host, and mounts that containers see."""

    id = "hosts"

    def collect(self, look: Look) -> Facts:
        """Return a gap for each way in which others reach the cache."""
        path = look.inventory.cache.path
        # Who is named in hosts.expect tells of itself: each that does not is a gap of its own.
        reached = () if look.policy.hosts.expect else (*_network(path), *_exported(path))
        return Facts(
            gaps=(*reached, *lock_gaps(describe_filesystem(path)), *_containers(path, look.readers))
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return nothing: what came to be reachable meanwhile has had no time to link anything."""
        return Facts()


def _network(path: str) -> Iterator[Gap]:
    filesystem = describe_filesystem(path)
    if filesystem.network:
        yield Gap(
            "hosts.network",
            GapKind.HOSTS,
            path,
            f"the cache is on {filesystem.kind} ({filesystem.source}): other hosts may use it, and "
            "their processes and local environments can't be seen from here",
            _EXPECT,
        )


def lock_gaps(filesystem: Filesystem) -> Iterator[Gap]:
    """Yield the gap that locks leave which end at this host, or may: what they wait for is ours."""
    if filesystem.network and filesystem.locks_reach_other_hosts is not True:
        # No observation closes it: a host tells what it used, not what its uv is about to link.
        why = f" ({filesystem.lock_note})" if filesystem.lock_note else ""
        yield Gap(
            "hosts.locks",
            GapKind.HOSTS,
            filesystem.mount_point,
            f"locks on this {filesystem.kind} mount are not known to reach other hosts{why}: a uv "
            "that is at work there can't be waited for",
            f"mount it with locks that the server keeps, or prune on the server; {_WORD}",
        )


def _exported(path: str) -> Iterator[Gap]:
    for export in exports_of(path):
        yield Gap(
            "hosts.exported",
            GapKind.HOSTS,
            export.folder,
            f"this host exports {export.folder} ({export.said_by}): other hosts may use the "
            "cache, and can't be seen from here",
            _EXPECT,
        )


def _containers(path: str, readers: Readers) -> Iterator[Gap]:
    for container in containers_that_reach(path, readers):
        yield Gap(
            "containers.reach",
            GapKind.HOSTS,
            f"/proc/{container.pid}/root",
            f"process {container.pid} ({container.command}) runs in a container that may see the "
            "cache: environments inside it that no process runs from can't be found",
            _WORD,
            container.uid,
            container.host,
        )
