"""Tell a uv binary's release and buckets from its bytes, without running it.

A binary in a user's home is a program a user could have written: it is read,
never started. Two things are found in every release from
0.1.38 on (checked with those of the test list): the names of its buckets, each
exactly once, and its version just before a key of ``pyvenv.cfg``, where uv
writes both. What is ambiguous is said, not guessed.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import islice

from cacheadmin.errors import NotACache, NotPermitted, WrongUsage
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import kind_words
from cacheadmin.uv.executables import LARGEST
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.uv.prune_words import prune_words
from cacheadmin.uv.releases import known_kinds
from cacheadmin.values import frozen

# Searched by what follows or precedes: the expressions begin with plain text, which is
# found a hundred times quicker than a choice of words.
_ANCHORS = tuple(map(re.compile, (b"version_info", b"include-system-site-packages")))
_NUMBER = re.compile(rb"(?<![0-9.])(\d{1,3}\.\d{1,3}\.\d{1,3})$")
_BEFORE_ANCHOR = 12

# A name or version that lies across the end of a piece is found in the next one.
_PIECE_BYTES = 4 * 1024 * 1024
_OVERLAP_BYTES = 128

# Real ones have a dozen; a file of nothing else must not fill the memory.
_MAX_FINDINGS = 200
_MAX_MENTIONS = 10_000
_KINDS = "|".join(sorted(known_kinds(), key=len, reverse=True))
_KIND = re.compile(rf"(?:{_KINDS})$".encode())
_BEFORE_VERSION = max(map(len, known_kinds()))
_BUCKET_VERSION = re.compile(rb"-v(\d{1,4})(?![0-9])")


@frozen
class LearnedBinary:
    """What a binary says of itself."""

    version: str | None
    """Its release; None where it tells none, or several."""
    buckets: frozenset[str]
    """Names of its buckets, one of each kind; without kinds of which it names several."""
    problem: str = ""
    """What was ambiguous or missing, in words; empty when all is clear."""
    prune: frozenset[str] = frozenset()
    """What it says of a prune's removals (``uv.prune_words``)."""


def read_binary(path: str, *, folders: Collection[str] = ()) -> LearnedBinary:
    """Read release and bucket names from a binary, no matter who made it.

    ``folders`` are names of buckets that a cache has and no known release: a name
    of another kind than the known ones is found in no other way, since the
    compiler puts it anywhere (so with ``files-v0`` before it was known).
    A link is followed (``~/.local/bin/uv`` often is one), a device or FIFO is
    not opened. Raises NotACache (no such file), NotPermitted, WrongUsage (not
    a regular file, or empty).
    """
    real = resolve(path)
    try:
        fd = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except PermissionError:
        raise NotPermitted(f"{path} can't be read: Permission denied") from None
    except OSError as error:
        raise NotACache(f"{path} can't be read: {error.strerror}") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise WrongUsage(f"{path} is {kind_words(status.st_mode)}, not a uv binary")
        if status.st_size == 0:
            raise WrongUsage(f"{path} is empty, not a uv binary")
        if status.st_size > LARGEST:
            raise WrongUsage(f"{path} is larger than {LARGEST} bytes, not a uv binary")
        try:
            return read_open_binary(fd, folders)
        except OSError as error:
            raise NotACache(f"{path} can't be read: {error.strerror}") from None
    finally:
        os.close(fd)


def read_open_binary(fd: int, folders: Collection[str] = ()) -> LearnedBinary:
    """Read an open file as ``read_binary`` does. Raises OSError.

    In pieces, not mapped: a file that its owner cuts short meanwhile would kill us
    (SIGBUS).
    """
    versions: set[str] = set()
    names: dict[str, set[str]] = defaultdict(set)
    said: set[str] = set()
    wanted = [re.compile(re.escape(name.encode()) + rb"(?![0-9])") for name in sorted(folders)]
    for piece in _pieces(fd):
        versions.update(_versions(piece))
        said.update(islice(prune_words(piece), _MAX_FINDINGS))
        literal = (found[0] for name in wanted if (found := name.search(piece)))
        for name in map(bytes.decode, (*_buckets(piece), *literal)):
            parsed = parse_bucket_name(name)
            if parsed is not None:
                names[parsed[0]].add(name)
        if len(versions) + sum(map(len, names.values())) > _MAX_FINDINGS:
            break
    problems = []
    if len(versions) != 1:
        seen = f"several ({', '.join(sorted(versions)[:4])})" if versions else "none"
        problems.append(f"one version was expected in it, found {seen}")
    ambiguous = sorted(name for found in names.values() if len(found) > 1 for name in found)
    if ambiguous:
        problems.append(f"several versions of a bucket: {', '.join(ambiguous[:6])}")
    if "archive" not in names or not {"sdists", "built-wheels"} & set(names):
        problems.append("it does not name uv's buckets")
    return LearnedBinary(
        version=versions.pop() if len(versions) == 1 else None,
        buckets=frozenset(name for found in names.values() if len(found) == 1 for name in found),
        problem="; ".join(problems),
        prune=frozenset(sorted(said)[:_MAX_FINDINGS]),
    )


def _versions(piece: bytes) -> Iterator[str]:
    for anchor in _ANCHORS:
        for found in islice(anchor.finditer(piece), _MAX_MENTIONS):
            start = found.start()
            number = _NUMBER.search(piece[max(0, start - _BEFORE_ANCHOR) : start])
            if number is not None:
                yield number[1].decode()


def _buckets(piece: bytes) -> Iterator[bytes]:
    for found in islice(_BUCKET_VERSION.finditer(piece), _MAX_MENTIONS):
        start = found.start()
        kind = _KIND.search(piece[max(0, start - _BEFORE_VERSION) : start])
        if kind is not None:
            yield kind[0] + found[0]


def _pieces(fd: int) -> Iterator[bytes]:
    """Yield a file's pieces, each beginning with the end of the one before."""
    before = b""
    for position in range(0, LARGEST, _PIECE_BYTES):
        piece = os.pread(fd, _PIECE_BYTES, position)
        yield before + piece
        if len(piece) < _PIECE_BYTES:
            return
        before = piece[-_OVERLAP_BYTES:]
