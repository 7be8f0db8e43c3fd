"""Share what is equal, or say how much that would free.

Nothing is remembered between runs: what shares its blocks already is passed over, so a
run that was interrupted is taken up by the next one where it ended.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.dedupe.duplicates import copies_in, equal_to, opened, sharable
from cacheadmin.errors import Refused
from cacheadmin.fs.sharing import CanNotShare, share_blocks

if TYPE_CHECKING:
    from cacheadmin.dedupe.duplicates import OpenFile
    from cacheadmin.situation import Progress, Situation

_NO_EXTENTS = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})

# As a background job: users' installs come first.
_NICE = 10


@dataclass(slots=True)
class Shared:
    """What was shared, or would be."""

    files: int = 0
    """How many files share the blocks of another now."""
    freed_bytes: int = 0
    """Allocated bytes of these files before, which are shared now."""
    different: int = 0
    """How many have the path and length of another copy, and another content."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """What could not be shared: (path, why)."""
    packages: Counter[str] = field(default_factory=Counter)
    """The part of ``freed_bytes`` of each package, by ``name version``."""


def dedupe(
    situation: Situation,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Shared:
    """Share equal files of a cache's archives; with ``dry_run`` count them.

    Raises Refused where the filesystem has no shared extents.
    """
    if not dry_run:
        os.nice(_NICE)
    result = Shared()
    cache = situation.cache
    every = list(copies_in(cache.fd, situation.inventory))
    for number, copies in enumerate(every):
        if progress is not None:
            progress("files compared", number, len(every))
        try:
            with opened(cache.fd, copies) as files:
                chosen = sharable(files)
                if chosen is None:
                    continue
                source, targets = chosen
                if dry_run:
                    equal = equal_to(source, targets)
                    result.different += len(targets) - len(equal)
                    for target in equal:
                        _count(result, copies.package, target)
                    continue
                for target in targets:
                    if share_blocks(source.fd, target.fd, copies.size):
                        _count(result, copies.package, target)
                    else:
                        result.different += 1
        except CanNotShare:
            raise _refused(situation) from None
        except OSError as error:
            # Where a file's blocks can't even be asked for (tmpfs), none can be shared.
            if error.errno in _NO_EXTENTS and not result.files:
                raise _refused(situation) from None
            result.failed.append((f"{copies.archives[0]}/{copies.name}", error.strerror or "?"))
    return result


def _count(result: Shared, package: str, target: OpenFile) -> None:
    result.files += 1
    result.freed_bytes += target.allocated_bytes
    result.packages[package] += target.allocated_bytes


def _refused(situation: Situation) -> Refused:
    kind = situation.evidence.filesystem.kind
    return Refused(
        f"{situation.cache.identity.path} is on {kind}, where files can't share blocks",
        hint="put the cache on xfs or btrfs; nothing was changed",
    )
