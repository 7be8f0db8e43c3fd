"""Environments in the cache's own buckets: of ``uvx``, scripts, projects, overlays."""

from __future__ import annotations

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.look import Facts, Look
from cacheadmin.inventory.entries import ArchiveContent


class CachedEnvironments:
    """Archives that are whole environments, and folders in ``environments-v*`` and ``builds-v*``.

    They use what they link only while they are in use; the planner decides.
    """

    id = "cache"

    def collect(self, look: Look) -> Facts:
        """Return all of them, as the inventory has them."""
        inventory = look.inventory
        paths = [
            *(
                archive.path
                for archive in inventory.archives.values()
                if archive.content is ArchiveContent.ENVIRONMENT
            ),
            *(one.path for one in inventory.environments if one.archive is None),
            *(build.path for build in inventory.builds),
        ]
        return Facts(
            candidates=tuple(
                Candidate(f"{inventory.cache.path}/{path}", EnvironmentKind.CACHED, (self.id,))
                for path in paths
            )
        )

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return nothing: what was made in buckets since is found by ``pointers``."""
        return Facts()
