"""For how long clients of a network filesystem follow names and links unseen, from memory.

A client that has met a folder, or the text of a link, asks its server again
only when its attributes are that old; until then a lookup of its processes moves
no access time on the server. So a link is a watchman only from that moment on,
whether it was planted or set back (facts, NFS: half a minute was measured).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from cacheadmin.evidence.exports import exports_of
from cacheadmin.fs.mounts import mount_of

# nfs(5): acregmax and acdirmax, unless the mount says otherwise.
_SECONDS = 60.0
_OPTION = re.compile(r"(?:actimeo|acregmax|acdirmax)=(\d+)")


def client_memory_seconds(
    path: str, *, alone: bool = False, others: Iterable[Collection[str]] = ()
) -> float:
    """Return for how many seconds lookups below a resolved absolute path may go unseen.

    0 on a filesystem that no network is behind. ``others`` are the mount options
    of other hosts, as far as they are known; ``alone`` is the site's word that
    there are none.
    """
    mount = mount_of(path)
    found = [of_options(mount.options)] if mount.is_network else []
    if not alone:
        found += map(of_options, others)
        if mount.is_network or exports_of(path):
            # Of those who told nothing of themselves.
            found.append(_SECONDS)
    return max(found, default=0.0)


def of_options(options: Collection[str]) -> float:
    """Return what the options of one network mount make of it."""
    if "noac" in options:
        return 0.0
    return max(
        (float(found[1]) for option in options if (found := _OPTION.fullmatch(option))),
        default=_SECONDS,
    )
