"""Environments below the cache's root that are no cached ones.

``UV_TOOL_DIR=$UV_CACHE_DIR/tools`` or ``UV_PROJECT_ENVIRONMENT=$UV_CACHE_DIR/venv``:
folders of a name that no bucket has. uv's own prune deletes them; they are
somebody's all the same, and what they link is in use.
"""

from __future__ import annotations

import os

from cacheadmin.evidence.look import Facts, Look
from cacheadmin.evidence.searching import Bounds, Search, search
from cacheadmin.evidence.sources.discover import changed_below, facts_of


class BelowCache:
    """Folders of strangers in the cache's root, searched for environments."""

    id = "below_cache"

    def collect(self, look: Look) -> Facts:
        """Return the environments in these folders."""
        found, bounds = Search(), Bounds()
        for stray in look.inventory.strays:
            path = f"{look.inventory.cache.path}/{stray.path}"
            if "/" in stray.path:
                continue
            if os.path.islink(path):
                # A link to a folder elsewhere: what lies there is searched as well.
                path = os.path.join(path, ".")
            if os.path.isdir(path):
                search(path.removesuffix("/."), self.id, found, bounds, registrant=stray.uid)
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments made there since."""
        return changed_below(self.id, look, before)
