"""Tell a clone (shared extents) from a copy. For the report only.

Both survive a prune alike; only the bytes that a removal frees differ. uv
clones by default since 0.10.5, on filesystems that can (facts section 5).
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Environment, EnvironmentKind, LinkMode
from cacheadmin.fs.extents import shared_extents
from cacheadmin.fs.measuring import extents_below
from cacheadmin.fs.reading import open_directory

if TYPE_CHECKING:
    from cacheadmin.accounting import Ranges


def shares_extents(path: str) -> bool:
    """Whether a file's extents are shared with another file.

    False where the filesystem cannot tell, and for empty files.
    """
    try:
        return bool(shared_extents(path).ranges)
    except OSError:
        return False


def extents_of_environments(environments: Iterable[Environment], device: int) -> Ranges:
    """Return the shared extents of environments that clones may lie in.

    Cached ones are left out: they are entries of the cache. So are those on
    another filesystem than ``device``, by its number, which can't share.
    """
    found: list[tuple[int, int]] = []
    for environment in environments:
        modes = environment.link_modes
        if environment.kind is EnvironmentKind.CACHED or not (
            modes.get(LinkMode.COPY) or modes.get(LinkMode.CLONE)
        ):
            continue
        try:
            fd = open_directory(os.path.dirname(environment.path))
        except OSError:
            continue
        try:
            name = os.path.basename(environment.path)
            if os.stat(name, dir_fd=fd, follow_symlinks=False).st_dev == device:
                found += extents_below(fd, name)
        except OSError:
            pass
        finally:
            os.close(fd)
    return found
