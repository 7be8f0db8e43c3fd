"""Environments that a record names by a path of another host, and that this host sees elsewhere.

The same export is mounted at another place on each host, and records in the cache
have the path of the host that wrote them (facts section 13, NFS). Called after all
sources that name environments.
"""

from __future__ import annotations

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.kinds import KIND, NamedFolder
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.mount_map import MountMap, shared_mounts
from cacheadmin.evidence.this_host import this_host
from cacheadmin.readers import Unreadable


class PathsOfHosts:
    """Paths of other hosts, as this one has them."""

    id = "mounts"

    def collect(self, look: Look) -> Facts:
        """Return what is there by its path of this host."""
        here = this_host()
        others = [one for one in look.told.known if not here.has_told(one)]
        if not others or look.moment is Moment.UNDER_LOCK:
            return Facts()
        paths = [one.path for one in look.found]
        mounts = shared_mounts(look.inventory.cache.path, paths, look.readers, look.questions)
        known = MountMap(others, look.inventory.cache.path, mounts)
        if known.is_empty:
            return Facts()
        named = {local: one for one in look.found for local in known.local(one.path)}
        kinds = look.readers.ask_all(
            KIND,
            [NamedFolder(local, one.registrant) for local, one in named.items()],
            deadline_seconds=look.deadline_seconds,
        )
        found = {
            local: (one, one.kind if isinstance(kind, Unreadable) else kind)
            for (local, one), kind in zip(named.items(), kinds, strict=True)
        }
        return Facts(
            candidates=tuple(
                Candidate(local, kind, (self.id,), one.registrant, one.seen_ns)
                for local, (one, kind) in found.items()
                if kind is not None
            ),
            elsewhere=frozenset(one.path for one, kind in found.values() if kind is not None),
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return what has come since."""
        return new_candidates(self.collect(look), before)
