"""Expand a path pattern, and say which closed folders may hide matches.

The standard library's ``glob`` passes over a folder it may not read without a
word; a scan that does so takes another user's environments for not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from glob import has_magic

from cacheadmin.evidence.facts import Unseen
from cacheadmin.fs.reading import failure

Closed = Callable[[str, OSError], None]


def matches(pattern: str, what: str, unseen: list[Unseen]) -> Iterator[str]:
    """Yield what a pattern of the policy matches; closed folders go to ``unseen`` as ``what``."""

    def closed(folder: str, error: OSError) -> None:
        unseen.append(Unseen(what, folder, failure(folder, error).reason, hides_archives=True))

    return expand(pattern, closed)


def expand(pattern: str, closed: Closed) -> Iterator[str]:
    """Yield the paths that exist and match an absolute pattern, in order.

    ``*``, ``?`` and ``[...]`` match within one part of the path, names that
    begin with a dot too; links on the way are followed. ``closed`` is called
    with each folder that keeps matches from being seen: by its rights, or
    because its filesystem does not answer.
    """
    parts = [part for part in pattern.split("/") if part]
    yield from _below("", parts, closed)


def _below(base: str, parts: list[str], closed: Closed) -> Iterator[str]:
    literal = 0
    while literal < len(parts) and not has_magic(parts[literal]):
        literal += 1
    base = "/".join((base, *parts[:literal]))
    rest = parts[literal:]
    if not rest:
        if _exists(base, closed):
            yield base
        return
    try:
        names = sorted(os.listdir(base or "/"))
    except OSError as error:
        if not failure(base, error).missing:
            closed(_nearest(base), error)
        return
    for name in names:
        if not fnmatchcase(name, rest[0]):
            continue
        if len(rest) == 1:
            yield f"{base}/{name}"
        elif os.path.isdir(f"{base}/{name}") or not _exists(f"{base}/{name}", closed):
            yield from _below(f"{base}/{name}", rest[1:], closed)


def _exists(path: str, closed: Closed) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        if not failure(path, error).missing:
            closed(_nearest(path), error)
        return False
    return True


def _nearest(path: str) -> str:
    """Return the closed folder itself: the first on the way that lets nobody through."""
    folder = ""
    for part in path.split("/")[1:]:
        inner = f"{folder}/{part}"
        try:
            os.lstat(inner)
        except OSError:
            return folder or "/"
        folder = inner
    return folder or "/"
