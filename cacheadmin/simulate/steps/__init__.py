"""The steps of uv's prune, one a file, each ``(tree, release) -> None``.

A step notes removals in the tree. It raises ``PruneFails`` where the release
itself would end with an error: what was removed until then stays removed.
"""

from __future__ import annotations

from cacheadmin.simulate.steps.archives import remove_unreferenced_archives
from cacheadmin.simulate.steps.builds import empty_builds
from cacheadmin.simulate.steps.ci import remove_unzipped_wheels
from cacheadmin.simulate.steps.clean import clean_package
from cacheadmin.simulate.steps.environments import remove_environments
from cacheadmin.simulate.steps.files import sweep_files
from cacheadmin.simulate.steps.prune import PrunedRelease, PruneFails
from cacheadmin.simulate.steps.revisions import remove_superseded_revisions
from cacheadmin.simulate.steps.root import remove_unknown_names

__all__ = [
    "PruneFails",
    "PrunedRelease",
    "clean_package",
    "empty_builds",
    "remove_environments",
    "remove_superseded_revisions",
    "remove_unknown_names",
    "remove_unreferenced_archives",
    "remove_unzipped_wheels",
    "sweep_files",
]
