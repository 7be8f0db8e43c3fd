"""Links at the top of a searched tree, by which a site spreads it over several disks.

``/home/ana -> /data2/home/ana``: who names ``/home`` means that home, too. Such links are
root's, or the tree's owner's. Links of anyone else are not followed: where any account
may make names, one could have the whole disk searched.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.kinds import INTO_A_CACHE
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import failure


def where_it_leads(
    entry: os.DirEntry[str], owner: int, made_up: Iterable[str]
) -> int | Unseen | None:
    """Return the owner of the folder that a link of the site's leads to; None where it is let be.

    ``owner`` is that of the folder that the link lies in; ``made_up`` are the mount points of
    filesystems like ``/proc``. What can't be looked at, or is not there now, is returned as
    unseen: a disk that is not mounted tonight is tomorrow.
    """
    place = entry.path
    try:
        if entry.stat(follow_symlinks=False).st_uid not in (0, owner):
            return None
        place, here = resolve(entry.path), resolve(os.path.dirname(entry.path))
        # What lies in the same folder is searched as it is; what is above would have no end.
        if _lies_in(here, place) or any(_lies_in(place, one) for one in (here, *made_up)):
            return None
        if INTO_A_CACHE.search(place):
            return None
        status = os.stat(place)
    except OSError as error:
        problem = failure(entry.path, error)
        reason = "it is a link to what is not there" if problem.missing else problem.reason
        fix = "mount what it leads to, or leave it out by exclude"
        return Unseen("discover", entry.path, reason, True, trial_suffices=True, fix=fix)
    return status.st_uid if stat.S_ISDIR(status.st_mode) else None


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")
