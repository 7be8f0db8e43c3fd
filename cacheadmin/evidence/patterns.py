"""Expand a path pattern, and say which closed folders may hide matches.

The standard library's ``glob`` passes over a folder it may not read without a
word; a scan that does so takes another user's environments for not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import takewhile

from cacheadmin.evidence.facts import Unseen
from cacheadmin.evidence.owners import owner_by_name
from cacheadmin.fs.small_files import failure
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.values import frozen

Closed = Callable[[str, OSError], None]


@frozen
class Pattern:
    """A folder, and what is to be matched below it, part by part."""

    base: str
    """Absolute path of the folder, "" for the root."""
    parts: tuple[str, ...]
    """Names and patterns of names."""


@frozen
class Matches:
    """What one folder holds of a pattern."""

    paths: tuple[str, ...] = ()
    """Paths that match."""
    deeper: tuple[Pattern, ...] = ()
    """Folders in it that match so far, with what is left."""
    closed: tuple[tuple[str, str], ...] = ()
    """(folder, why) of what keeps matches from being seen."""


def matches(pattern: str, what: str, unseen: list[Unseen], readers: Readers) -> Iterator[str]:
    """Yield what a pattern of the policy matches; closed folders go to ``unseen`` as ``what``.

    Each folder is one question: one that hangs hides what is in it, and no other's.
    """
    waiting = [whole_pattern(pattern)]
    while waiting:
        asked, waiting = waiting, []
        answers = readers.ask_all(MATCHES, asked)
        for one, answer in zip(asked, answers, strict=True):
            if isinstance(answer, Unreadable):
                folder = one.base or "/"
                unseen.append(Unseen(what, folder, answer.reason, True, answer.uid))
                continue
            unseen += [
                Unseen(what, folder, reason, hides_archives=True)
                for folder, reason in answer.closed
            ]
            yield from answer.paths
            waiting += answer.deeper


def whole_pattern(pattern: str) -> Pattern:
    """Return an absolute pattern as it is before anything is matched."""
    return Pattern("", tuple(part for part in pattern.split("/") if part))


def match_folder(pattern: Pattern) -> Matches:
    """Return what one folder holds of a pattern."""
    closed: list[tuple[str, str]] = []
    paths: list[str] = []
    deeper: list[Pattern] = []

    def note(folder: str, error: OSError) -> None:
        closed.append((folder, failure(folder, error).reason))

    for path, rest in _in_folder(pattern.base, list(pattern.parts), note):
        if rest:
            deeper.append(Pattern(path, tuple(rest)))
        else:
            paths.append(path)
    return Matches(tuple(paths), tuple(deeper), tuple(closed))


def _probable_owner(pattern: Pattern) -> int | None:
    return owner_by_name(_literal_start(pattern))


def _literal_start(pattern: Pattern) -> str:
    return "/".join((pattern.base, *takewhile(_is_literal, pattern.parts)))


def _is_literal(part: str) -> bool:
    return not has_magic(part)


def _closed(pattern: Pattern, parts: Sequence[Matches]) -> Iterable[str]:
    closed = tuple(folder for part in parts for folder, _ in part.closed)
    # A mount point may be what is closed, and can't be told from what is not there.
    return (*closed, _literal_start(pattern)) if closed else ()


def _all_matches(before: Sequence[Matches], after: Sequence[Matches]) -> Sequence[Matches]:
    one, other = before[0], after[0]
    closed_to_both = {folder for folder, _ in other.closed}
    return (
        Matches(
            tuple(dict.fromkeys((*one.paths, *other.paths))),
            tuple(dict.fromkeys((*one.deeper, *other.deeper))),
            tuple(found for found in one.closed if found[0] in closed_to_both),
        ),
    )


MATCHES: Question[Pattern, Matches] = Question(
    match_folder,
    Matches,
    blame=_probable_owner,
    together=64,
    closed=_closed,
    merged=_all_matches,
)


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
    for path, rest in _in_folder(base, parts, closed):
        if rest:
            yield from _below(path, rest, closed)
        else:
            yield path


def _in_folder(base: str, parts: list[str], closed: Closed) -> Iterator[tuple[str, list[str]]]:
    """Yield the matches of the next pattern in ``parts``, each with what is left of them."""
    literal = 0
    while literal < len(parts) and not has_magic(parts[literal]):
        literal += 1
    base = "/".join((base, *parts[:literal]))
    rest = parts[literal:]
    if not rest:
        if _exists(base, closed):
            yield base, []
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
            yield f"{base}/{name}", []
        elif os.path.isdir(f"{base}/{name}") or not _exists(f"{base}/{name}", closed):
            yield f"{base}/{name}", rest[1:]


def _exists(path: str, closed: Closed) -> bool:
    try:
        os.lstat(path)
    except OSError as error:
        if not failure(path, error).missing:
            closed(_nearest(path), error)
        return False
    return True


def _nearest(path: str) -> str:
    """Return the closed folder itself: the first on the way that lets no user through."""
    folder = ""
    for part in path.split("/")[1:]:
        inner = f"{folder}/{part}"
        try:
            os.lstat(inner)
        except OSError:
            return folder or "/"
        folder = inner
    return folder or "/"
