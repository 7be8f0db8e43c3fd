"""Put back from quarantine what was moved there, never over anything.

Used to roll back, to recover after a kill, and to restore. Others may be at
work in the cache meanwhile, so every step is one rename that replaces
nothing; what is put back already is not found in quarantine the next time,
so it may be killed and begun again at any instant.

What can't come back is told apart: a *conflict* is where something newer has
taken the place (it stays, the older waits in quarantine); a *failure* may
succeed another time, so the caller must not call the matter settled.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from cacheadmin.fs.rename import rename_to_free_name
from cacheadmin.fs.rights import Rights, read_rights
from cacheadmin.fs.small_files import ReadFailure, open_directory, read_file
from cacheadmin.prune.on_trial import put_back_trials
from cacheadmin.prune.open_folders import NotTheSameFolder, Parents, require_same_users
from cacheadmin.text.accounts import account_name
from cacheadmin.uv.layout import parse_bucket_name

if TYPE_CHECKING:
    from cacheadmin.trial.trials import Trials

# A folder on both sides is merged. Deeper than uv nests, this would be
# a user's trap for the stack.
_MAX_DEPTH = 64

# What is compared when it stands at both places: pointers and markers are this small.
_SMALL = 64 * 1024

# Kinds of buckets whose entries are folders renamed into place as a whole.
_WHOLE = frozenset({"archive", "environments", "builds"})

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class PutBack:
    """What came back, by path relative to the cache."""

    moved: list[str] = field(default_factory=list)
    """What is at its place again."""
    absent: list[str] = field(default_factory=list)
    """What was not in quarantine, nor on trial."""
    conflicts: list[tuple[str, str]] = field(default_factory=list)
    """What waits because something newer has its place: (path, why)."""
    failed: list[tuple[str, str]] = field(default_factory=list)
    """What may come back another time: (path, why)."""

    @property
    def left(self) -> list[tuple[str, str]]:
        """Everything that stays in quarantine, with why."""
        return [*self.conflicts, *self.failed]


def put_back(
    cache_fd: int,
    entries_fd: int,
    paths: Sequence[str],
    before: Mapping[str, int],
    after: Mapping[str, int],
    rights: Mapping[str, Rights] = MappingProxyType({}),
    trials: Trials | None = None,
    fence: Callable[[], None] | None = None,
) -> PutBack:
    """Move entries from quarantine, or from trial, to where they were.

    In reverse order: what is pointed to comes back before what points to it.
    Where uv made the same path again meanwhile, folders of pointers are merged:
    what is missing there comes back, what is there stays. Never in a folder of
    another user (``parents.require_same_users``), and never inside what is
    whole: an archive, an environment. A parent that is gone is made again with
    the ``rights`` it had; one that no other user changed since the moves (its
    time equals ``after``) gets its time of ``before`` again. ``fence`` is asked before
    every move; what it raises ends them.
    """
    result = PutBack()
    on_trial = {p for p in paths if trials is not None and trials.tripwires.holds(p)}
    others = [path for path in paths if path not in on_trial]
    with (
        Parents(entries_fd) as source,
        Parents(cache_fd, make_missing=True, rights=rights, workshop_fd=entries_fd) as target,
    ):
        there = _in_quarantine(others, source, result)
        untouched = _untouched([*there, *on_trial], target, after)
        moved, conflicts, failed = put_back_trials(trials, on_trial)
        result.moved += moved
        result.conflicts += conflicts
        result.failed += failed
        for path in reversed(there):
            if fence is not None:
                fence()
            _put_back_one(path, source, target, result)
        target.set_times({folder: before[folder] for folder in untouched if folder in before})
    return result


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM wait until everything is put back."""
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _in_quarantine(paths: Sequence[str], source: Parents, result: PutBack) -> list[str]:
    there = []
    for path in paths:
        try:
            fd, name = source.of(path)
            os.stat(name, dir_fd=fd, follow_symlinks=False)
            there.append(path)
        except FileNotFoundError:
            result.absent.append(path)
        except OSError as error:
            result.failed.append((path, _words(error)))
    return there


def _untouched(paths: Sequence[str], target: Parents, after: Mapping[str, int]) -> set[str]:
    for path in paths:
        try:
            target.of(path)
        except OSError:
            continue
    return {folder for folder, moment in target.times().items() if after.get(folder) == moment}


def _put_back_one(path: str, source: Parents, target: Parents, result: PutBack) -> None:
    left = len(result.left)
    try:
        source_fd, name = source.of(path)
        target_fd, _ = target.of(path)
        _rename_or_merge(source_fd, target_fd, name, path, result)
    except NotTheSameFolder as error:
        result.conflicts.append((path, _words(error)))
    except OSError as error:
        result.failed.append((path, _words(error)))
    if len(result.left) == left:
        result.moved.append(path)


def _rename_or_merge(
    source_fd: int, target_fd: int, name: str, path: str, result: PutBack, depth: int = 0
) -> None:
    try:
        rename_to_free_name(name, source_fd, target_fd)
    except FileExistsError:
        pass
    else:
        return
    ours = os.stat(name, dir_fd=source_fd, follow_symlinks=False)
    theirs = os.stat(name, dir_fd=target_fd, follow_symlinks=False)
    same = _is_same_link(ours, theirs, source_fd, target_fd, name)
    if same or _is_same_file(ours, theirs, source_fd, target_fd, name):
        # As the roots of ``protect.roots`` and their marker, planted again after a bucket moved.
        os.unlink(name, dir_fd=source_fd)
    elif not (stat.S_ISDIR(ours.st_mode) and stat.S_ISDIR(theirs.st_mode)):
        result.conflicts.append((path, "uv has made it again; the newer one is kept"))
    elif _is_whole(path):
        owner = account_name(theirs.st_uid)
        result.conflicts.append((path, f"a folder of {owner} has its name now, which stays"))
    elif depth >= _MAX_DEPTH:
        result.conflicts.append((path, "it lies too deep to be merged with the newer one"))
    else:
        _merge(source_fd, target_fd, name, path, result, depth)


def _is_whole(path: str) -> bool:
    """Whether a path is, or lies in, what is made whole by its maker and never added to."""
    bucket, _, rest = path.partition("/")
    parsed = parse_bucket_name(bucket)
    return bool(rest) and parsed is not None and parsed[0] in _WHOLE


def _is_same_link(
    ours: os.stat_result, theirs: os.stat_result, source_fd: int, target_fd: int, name: str
) -> bool:
    if not (stat.S_ISLNK(ours.st_mode) and stat.S_ISLNK(theirs.st_mode)):
        return False
    return os.readlink(name, dir_fd=source_fd) == os.readlink(name, dir_fd=target_fd)


def _is_same_file(
    ours: os.stat_result, theirs: os.stat_result, source_fd: int, target_fd: int, name: str
) -> bool:
    """Whether two small files are alike: owner, rights and content.

    Only files of this account are opened: another's could be anything by then.
    """
    alike = (ours.st_mode, ours.st_uid, ours.st_size) == (
        theirs.st_mode,
        theirs.st_uid,
        theirs.st_size,
    )
    if not alike or not stat.S_ISREG(ours.st_mode) or ours.st_size > _SMALL:
        return False
    if not ours.st_size or ours.st_uid != os.geteuid():
        return not ours.st_size
    content = read_file(name, _SMALL, source_fd)
    return not isinstance(content, ReadFailure) and content == read_file(name, _SMALL, target_fd)


def _merge(
    source_fd: int, target_fd: int, name: str, path: str, result: PutBack, depth: int
) -> None:
    left = len(result.left)
    inner_source = open_directory(name, source_fd)
    try:
        inner_target = open_directory(name, target_fd)
        try:
            require_same_users(read_rights(inner_source), read_rights(inner_target), path)
            for child in sorted(os.listdir(inner_source)):
                inner = f"{path}/{child}"
                try:
                    _rename_or_merge(inner_source, inner_target, child, inner, result, depth + 1)
                except NotTheSameFolder as error:
                    result.conflicts.append((inner, _words(error)))
                except OSError as error:
                    result.failed.append((inner, _words(error)))
        finally:
            os.close(inner_target)
    finally:
        os.close(inner_source)
    if len(result.left) == left:
        os.rmdir(name, dir_fd=source_fd)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
