"""Which links in a cache lead out of it, and which of those does uv follow?

[run 0.5.10, 0.8.5, 0.11.19: a link to a precious folder in each place, then uv]
the folder behind the link was deleted by

- ``cache prune``: ``environments-v*/X`` (all three), ``archive-v0/X`` (0.8.5, 0.11.19);
- ``cache prune --ci``: also ``wheels-v*/X``;
- ``cache clean PACKAGE``: any link in the package's folders in ``wheels-v*`` and
  ``sdists-v*``.

0.11.20 and later unlink it. A link in ``environments-v*/<digest>`` is not followed
by a prune, but `uvx` runs what it leads to; and a link in the place of a bucket
makes every release write there. All other links are packages' own business.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cacheadmin.audit.survey.zones import FolderPlace, Zone
from cacheadmin.evidence.targets import TargetPlace as Location
from cacheadmin.uv.layout import SOURCE_KINDS, WHEEL_KINDS, parse_bucket_name
from cacheadmin.uv.releases import known_kinds

if TYPE_CHECKING:
    from cacheadmin.evidence.targets import CacheLocator

# What an environment's bin holds, and is bound to lead out.
_INTERPRETER = re.compile(r"(python|pypy|graalpy)[0-9.]*t?", re.ASCII)

_ENVIRONMENTS_INSIDE = frozenset({"archive", "environments", "builds", ""})


class LinkJudge:
    """Tells for a link of the cache whether it leads out."""

    def __init__(self, cache_path: str, aliases: Sequence[str], locator: CacheLocator) -> None:
        self._path = cache_path.rstrip("/")
        self._roots = tuple(alias.rstrip("/") for alias in (self._path, *aliases))
        self._locator = locator

    def leads_out(self, text: str, folder: str) -> bool:
        """Whether a link's text, read in a folder (relative to the cache), leads out of it.

        By text where that suffices: each link on a way through several is met
        and judged itself. uv spells the cache as its user did, so what does
        not begin with a known name of it is compared by identity.
        """
        target = posixpath.normpath(posixpath.join(self._path, folder, text))
        if any(target == root or target.startswith(f"{root}/") for root in self._roots):
            return False
        located = self._locator.locate(text, os.path.join(self._path, folder))
        return located.place is not Location.INSIDE


def is_interpreter(name: str, place: FolderPlace) -> bool:
    """Whether a link in a folder at this place is an environment's link to its interpreter."""
    return (
        place.in_bin
        and place.kind in _ENVIRONMENTS_INSIDE
        and _INTERPRETER.fullmatch(name) is not None
    )


def is_followed(name: str, place: FolderPlace) -> bool:
    """Whether some release of uv follows a link of this name in a folder at this place."""
    if place.depth < 0:
        parsed = parse_bucket_name(name)
        return parsed is not None and parsed[0] in known_kinds()
    if place.kind in WHEEL_KINDS | SOURCE_KINDS | {"environments"}:
        return place.zone is Zone.NEEDED
    return place.kind == "archive" and place.depth == 0
