"""Share what is equal, or say how much that would free.

Nothing is remembered between runs: what shares its blocks already is passed over, so a
run that was interrupted is taken up by the next one where it ended.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING

from cacheadmin.dedupe.duplicates import copies_in, equal_to, opened, sharable
from cacheadmin.errors import Refused
from cacheadmin.fs.shared_blocks import CanNotShare, share_blocks
from cacheadmin.inventory.measurement import owner_below
from cacheadmin.readers import Question, Readers, note_step
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.dedupe.duplicates import Copies
    from cacheadmin.evidence.facts import Evidence
    from cacheadmin.inventory.reader import OpenCache
    from cacheadmin.readers import Reply
    from cacheadmin.snapshot.snapshot import Progress, Snapshot

_NO_EXTENTS = frozenset({errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS})

# Files that readers are given before it is said how far it is.
_BATCH = 256


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


class ShareResult(IntEnum):
    """What became of one copy."""

    SHARED = 0
    """It shares the blocks of another now, or would."""
    DIFFERENT = 1
    """Its content is another."""
    FAILED = 2
    """It could not be shared."""
    UNSUPPORTED = 3
    """Files on this filesystem can't share blocks."""


@frozen
class Done:
    """What a reader did with one copy."""

    found: ShareResult
    """What became of it."""
    bytes: int = 0
    """What it took on the device of its own before."""
    reason: str = ""
    """Why it could not be shared."""


def dedupe(
    snapshot: Snapshot,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Shared:
    """Share equal files of a cache's archives; with ``dry_run`` count them.

    Readers open, compare and share them: the files are users'. Raises Refused where the
    filesystem has no shared extents.
    """
    cache = snapshot.cache
    every = list(copies_in(snapshot.readers, cache.fd, snapshot.inventory))
    question: Question[Copies, Done] = Question(
        partial(_compare if dry_run else _share, cache.fd),
        Done,
        in_parts=True,
        whose=lambda copies: owner_below(cache.fd, copies.archives[0]),
    )
    with _readers(snapshot.cache, snapshot.readers, dry_run=dry_run) as readers:
        result = Shared()
        for first in range(0, len(every), _BATCH):
            if progress is not None:
                progress("files compared", first, len(every))
            for reply in readers.replies(question, every[first : first + _BATCH]):
                _add(reply, result, snapshot)
        return result


@contextmanager
def _readers(cache: OpenCache, readers: Readers, *, dry_run: bool) -> Iterator[Readers]:
    """Have readers that may do what is asked."""
    if dry_run:
        yield readers
        return
    # One at a time: it is no help to read more from a disk that others work with.
    limits, keep = readers.limits, (cache.fd,)
    with Readers(limits, keep=keep, workers=1, shares=True) as sharing:
        yield sharing


def _compare(cache_fd: int, copies: Copies) -> Iterator[Done]:
    """Yield what sharing would do with each copy; runs in a reader."""
    try:
        with opened(cache_fd, copies) as files:
            chosen = sharable(files)
            if chosen is None:
                return
            source, targets = chosen
            equal = equal_to(source, targets)
            for target in targets:
                same = target in equal
                yield (
                    Done(ShareResult.SHARED, target.allocated_bytes)
                    if same
                    else Done(ShareResult.DIFFERENT)
                )
    except OSError as error:
        yield _failed(error)


def _share(cache_fd: int, copies: Copies) -> Iterator[Done]:
    """Share each copy with the first, and yield what became of it; runs in a reader."""
    try:
        with opened(cache_fd, copies) as files:
            chosen = sharable(files)
            if chosen is None:
                return
            source, targets = chosen
            for target in targets:
                if share_blocks(source.fd, target.fd, copies.size, note_step):
                    yield Done(ShareResult.SHARED, target.allocated_bytes)
                else:
                    yield Done(ShareResult.DIFFERENT)
    except CanNotShare:
        yield Done(ShareResult.UNSUPPORTED)
    except OSError as error:
        yield _failed(error)


def _failed(error: OSError) -> Done:
    # Where a file's blocks can't even be asked for (tmpfs), none can be shared.
    unsupported = error.errno in _NO_EXTENTS
    found = ShareResult.UNSUPPORTED if unsupported else ShareResult.FAILED
    return Done(found, reason=error.strerror or "?")


def _add(reply: Reply[Copies, Done], result: Shared, snapshot: Snapshot) -> None:
    copies = reply.item
    first = f"{copies.archives[0]}/{copies.name}"
    for done in reply.parts:
        if done.found is ShareResult.SHARED:
            result.files += 1
            result.freed_bytes += done.bytes
            result.packages[copies.package] += done.bytes
        elif done.found is ShareResult.DIFFERENT:
            result.different += 1
        elif done.found is ShareResult.UNSUPPORTED and not result.files:
            raise _refused(snapshot.cache, snapshot.evidence)
        else:
            result.failed.append((first, done.reason))
    if reply.failed is not None:
        result.failed.append((first, reply.failed.reason))


def _refused(cache: OpenCache, evidence: Evidence) -> Refused:
    kind = evidence.filesystem.kind
    return Refused(
        f"{cache.identity.path} is on {kind}, where files can't share blocks",
        hint="put the cache on xfs or btrfs; nothing was changed",
    )
