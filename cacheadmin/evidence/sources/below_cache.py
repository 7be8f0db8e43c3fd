"""Environments below the cache's root that are no cached ones.

``UV_TOOL_DIR=$UV_CACHE_DIR/tools`` or ``UV_PROJECT_ENVIRONMENT=$UV_CACHE_DIR/venv``:
folders of a name that no bucket has. uv's own prune deletes them; they are
a user's all the same, and what they link is in use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cacheadmin.evidence.kinds import NamedFolder
from cacheadmin.evidence.search import SearchTask
from cacheadmin.evidence.sources.discover import changed_below, facts_of
from cacheadmin.evidence.tree_searches import search_trees

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Facts, Look


class BelowCache:
    """Folders of strangers in the cache's root, searched for environments."""

    id = "below_cache"

    def collect(self, look: Look) -> Facts:
        """Return the environments in these folders."""
        strays = [
            NamedFolder(f"{look.inventory.cache.path}/{stray.path}", stray.uid)
            for stray in look.inventory.strays
            if "/" not in stray.path
        ]
        # A link to a folder elsewhere: what lies there is searched as well.
        folders = look.readers.ask_all(look.questions.place, strays)
        tasks = [
            SearchTask((one.path,), self.id, registrant=one.uid, uid=one.uid)
            for one, folder in zip(strays, folders, strict=True)
            if folder is not None
        ]
        return facts_of(search_trees(tasks, look.readers, look.searched))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments made there since."""
        return changed_below(self.id, look, before)
