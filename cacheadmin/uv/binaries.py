"""Tell a uv binary's release and buckets from its bytes, without running it.

A binary in a user's home is a program a user could have written: it is mapped
and searched, never started. Two things are found in every release from
0.1.38 on (checked with those of the test list): the names of its buckets, each
exactly once, and its version just before a key of ``pyvenv.cfg``, where uv
writes both. What is ambiguous is said, not guessed.
"""

from __future__ import annotations

import mmap
import os
import re
import stat
from collections import defaultdict
from dataclasses import dataclass

from cacheadmin.errors import NotACache, NotPermitted, WrongUsage
from cacheadmin.fs.reading import kind_words
from cacheadmin.fs.resolving import resolve
from cacheadmin.uv.executables import LARGEST
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.uv.releases import known_kinds

_VERSION = re.compile(
    rb"(?<![0-9.])(\d{1,3}\.\d{1,3}\.\d{1,3})(?:version_info|include-system-site-packages)"
)
_KINDS = "|".join(sorted(known_kinds(), key=len, reverse=True))
_BUCKET = re.compile(rf"({_KINDS})-v(\d{{1,4}})(?![0-9])".encode())


@dataclass(frozen=True, slots=True)
class LearnedBinary:
    """What a binary says of itself. ``version`` None: it does not tell.

    ``buckets`` holds one name for each kind. ``problem`` says what was
    ambiguous or missing; empty when all is clear.
    """

    version: str | None
    buckets: frozenset[str]
    problem: str = ""


def read_binary(path: str) -> LearnedBinary:
    """Read release and bucket names from a binary, whoever made it.

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
        with mmap.mmap(fd, 0, prot=mmap.PROT_READ) as content:
            return _read(content)
    finally:
        os.close(fd)


def _read(content: mmap.mmap) -> LearnedBinary:
    versions = {found[1].decode() for found in _VERSION.finditer(content)}
    names: dict[str, set[str]] = defaultdict(set)
    for found in _BUCKET.finditer(content):
        name = found[0].decode()
        parsed = parse_bucket_name(name)
        if parsed is not None:
            names[parsed[0]].add(name)
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
    )
