"""uv's tool folders: ``~/.local/share/uv/tools`` of every account, and places for every user.

``uv tool install`` leaves no record in the cache, and its folders lie deep.
"""

from __future__ import annotations

from dataclasses import replace

from cacheadmin.evidence.facts import Gap, GapKind, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment
from cacheadmin.evidence.search import ToolFolder, tool_folder_of
from cacheadmin.evidence.sources.discover import facts_of
from cacheadmin.evidence.traces import homes_of_accounts
from cacheadmin.evidence.tree_searches import search_tool_folders

# Where administrators point UV_TOOL_DIR to, for all users.
_FOR_ALL_USERS = (
    "/opt/uv/tools",
    "/usr/local/share/uv/tools",
    "/usr/share/uv/tools",
    "/var/lib/uv/tools",
    "/srv/uv/tools",
)


def _closed(unseen: Unseen) -> Gap:
    return Gap(
        "tools.unreadable",
        GapKind.RIGHTS,
        unseen.path,
        f"{unseen.path}, where uv puts tools, could not be looked at: {unseen.reason}",
        "run it as root, or as a user who may read it",
        unseen.uid,
    )


class Tools:
    """Environments of ``uv tool install``, wherever uv puts them by default."""

    id = "tools"

    def collect(self, look: Look) -> Facts:
        """Return the tools of accounts of this host, and of those that left traces."""
        folders = [
            tool_folder_of(home, self.id, uid)
            for home, uid in sorted(homes_of_accounts(look).items())
        ]
        folders += [ToolFolder(folder, self.id) for folder in _FOR_ALL_USERS]
        facts = facts_of(search_tool_folders(folders, look.readers))
        return replace(facts, unseen=(), gaps=(*facts.gaps, *map(_closed, facts.unseen)))

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return tools that were installed since."""
        if look.moment is Moment.UNDER_LOCK:
            return Facts()
        now = self.collect(look)
        known = {candidate.path for candidate in before.candidates}
        return Facts(candidates=tuple(one for one in now.candidates if one.path not in known))
