"""uv releases that cacheadmin does not know, read from binaries that were seen anyway.

A new uv comes out, and a user has it tonight. Its binary lies in a home, in an
environment, or runs: it is read, never started, and says which buckets that
release needs. How far it is believed depends on who could have written it:

- a binary of root's, that no other user can write to, is believed as if the
  administrator had named it (``cacheadmin uv learn``);
- any other says only what *its own user* needs of the buckets. It makes no bucket
  known that was not, so nothing of that release is removed because of it, and
  it says nothing about other users of the same release.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.release_trace import SeenRelease
from cacheadmin.fs.resolution import resolve
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.uv.binaries import read_open_binary
from cacheadmin.uv.executables import LARGEST
from cacheadmin.uv.releases import buckets_of, parse_release
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.release_trace import ReleaseTrace

# One account may have many: each costs most of a second.
_MAX_OF_ONE = 4


@frozen
class Binaries:
    """The binaries of one account whose releases are unknown."""

    uid: int | None
    """The account; None for all users of this host."""
    files: tuple[tuple[str, str], ...]
    """(path, release that it should be) of each."""
    folders: tuple[str, ...]
    """The names of the cache's unknown buckets."""


def read_seen_releases(
    traces: Iterable[ReleaseTrace],
    learned: Collection[str],
    folders: Collection[str],
    readers: Readers,
) -> tuple[SeenRelease, ...]:
    """Return what the binaries behind traces say, of releases neither known nor ``learned``.

    ``folders`` are the names of the cache's unknown buckets. A binary that no
    reader could read says nothing: its release stays unknown.
    """
    files: dict[int | None, list[tuple[str, str]]] = {}
    for trace, path in _binaries(traces, learned):
        files.setdefault(trace.uid, []).append((path, str(trace.version)))
    asked = [Binaries(uid, tuple(found), tuple(folders)) for uid, found in files.items()]
    if not asked:
        return ()
    answers = readers.ask_all(BINARIES, asked)
    return tuple(one for answer in answers if not isinstance(answer, Unreadable) for one in answer)


def read_binaries(binaries: Binaries) -> tuple[SeenRelease, ...]:
    """Return what the binaries of an account say; for readers to be asked."""
    found: dict[tuple[int, int], SeenRelease] = {}
    read = 0
    for path, version in binaries.files:
        if read >= _MAX_OF_ONE:
            break
        try:
            fd = os.open(resolve(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            continue
        try:
            status = os.fstat(fd)
            identity = (status.st_dev, status.st_ino)
            if not stat.S_ISREG(status.st_mode) or status.st_size > LARGEST or identity in found:
                continue
            read += 1
            binary = read_open_binary(fd, binaries.folders)
        except OSError:
            continue
        finally:
            os.close(fd)
        if binary.problem or binary.version is None or binary.version != version:
            continue
        trusted = status.st_uid == 0 and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        found[identity] = SeenRelease(
            binary.version, binary.buckets, path, binaries.uid, trusted, binary.prune
        )
    return tuple(found.values())


def _owner(binaries: Binaries) -> int | None:
    return binaries.uid


BINARIES: Question[Binaries, tuple[SeenRelease, ...]] = Question(
    read_binaries, tuple[SeenRelease, ...], blame=_owner, together=1
)


def _binaries(
    traces: Iterable[ReleaseTrace], learned: Collection[str]
) -> Iterator[tuple[ReleaseTrace, str]]:
    for trace in traces:
        version = trace.version
        if version is None or parse_release(version) is None:
            continue
        if version in learned or buckets_of(version) is not None:
            continue
        if trace.path.endswith(".dist-info"):
            packages = os.path.dirname(trace.path)
            # Beside it in a `--target` folder, else below the environment's own root.
            yield trace, f"{packages}/bin/uv"
            yield trace, f"{packages.rpartition('/lib/')[0]}/bin/uv"
        elif trace.is_program:
            yield trace, trace.path
        elif trace.path.startswith("/proc/"):
            yield trace, f"{trace.path}/exe"
