"""The place of what is on trial: one folder of ours in the archive bucket.

Why there and not beside the cache: containers and other hosts often see
nothing of that disk but the cache itself, and a rename may cross neither a
filesystem nor a project quota. Every user may pass (0711), no other user may list
or write.

Users can write to the bucket, so the name proves nothing. The folder is ours
when it is a folder of this very mount, belongs to root, the caller or the
cache's owner, can't be written by any other user, and holds our marker, a file
of the same owners. A user can't make such a folder, nor move one here from
elsewhere: that needs the right to write to the folder moved.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cacheadmin.errors import Refused
from cacheadmin.fs.mounts import mount_id
from cacheadmin.fs.small_files import failure, kind_words, open_directory
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache

MARKER = ".cacheadmin"
LEDGER = ".ledger.json"
NEW_LEDGER = ".ledger.json.new"
RECORDS = frozenset({MARKER, LEDGER, NEW_LEDGER})
PLACE = f"{ARCHIVES}/{TRIAL_FOLDER}"

# The access time of a link that no process looked through: a whole second, which
# every filesystem can keep, and older than any link, so that relatime moves it.
PAST_NS = 1_000_000_000 * NANOSECONDS

_MODE = 0o711
_OTHERS_WRITE = 0o022
_MARKER_WORDS = (
    b"cacheadmin keeps here what it removed from this uv cache on trial.\n"
    b"Do not change anything; `cacheadmin runs list` tells what it is.\n"
)


@frozen
class TrialFolder:
    """Our folder, held open together with the cache it lies in."""

    fd: int
    """Descriptor of the folder itself."""

    cache_fd: int
    """Descriptor of the cache's root."""

    device: int
    """Device number of the filesystem that the folder is on."""

    trusted: frozenset[int]
    """Uids whose files there are ours: root, the caller and the cache's owner."""


@contextmanager
def existing_trial_folder(cache: OpenCache) -> Iterator[TrialFolder | None]:
    """Open our folder for looking at it; None when nothing was ever on trial.

    Raises Refused when something that is not ours has its name.
    """
    found = _open(cache)
    try:
        yield found
    finally:
        if found is not None:
            os.close(found.fd)


@contextmanager
def trial_folder(cache: OpenCache) -> Iterator[TrialFolder]:
    """Open our folder, making it where it is missing.

    Raises Refused as ``existing_trial_folder``, and OSError where it can't be made.
    """
    found = _open(cache)
    if found is None:
        _make(cache)
        found = _open(cache)
    if found is None:
        raise Refused(f"{PLACE} is removed as often as it is made")
    try:
        yield found
    finally:
        os.close(found.fd)


def remove_trial_folder(folder: TrialFolder) -> None:
    """Remove our folder when nothing but records of ours are in it; else leave it as it is.

    The marker goes last: a folder of ours that is empty is made whole again.
    """
    names = sorted(os.listdir(folder.fd), key=lambda name: name == MARKER)
    if not set(names) <= RECORDS:
        return
    bucket_fd = open_directory(ARCHIVES, folder.cache_fd)
    try:
        ours, there = (
            os.fstat(folder.fd),
            os.stat(TRIAL_FOLDER, dir_fd=bucket_fd, follow_symlinks=False),
        )
        if (ours.st_dev, ours.st_ino) != (there.st_dev, there.st_ino):
            return
        for name in names:
            os.unlink(name, dir_fd=folder.fd)
        os.rmdir(TRIAL_FOLDER, dir_fd=bucket_fd)
    finally:
        os.close(bucket_fd)


def trusted_owners(cache_fd: int) -> frozenset[int]:
    """Return whose folders and links in a cache may be taken for ours."""
    return frozenset({0, os.geteuid(), os.fstat(cache_fd).st_uid})


def _open(cache: OpenCache) -> TrialFolder | None:
    trusted = trusted_owners(cache.fd)
    try:
        bucket_fd = open_directory(ARCHIVES, cache.fd)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _not_ours(failure("", error).reason) from None
    try:
        try:
            fd = open_directory(TRIAL_FOLDER, bucket_fd)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _not_ours(_what_is_there(bucket_fd, error)) from None
        try:
            _require_ours(fd, bucket_fd, trusted)
        except BaseException:
            os.close(fd)
            raise
    finally:
        os.close(bucket_fd)
    return TrialFolder(fd, cache.fd, os.fstat(fd).st_dev, trusted)


def _require_ours(fd: int, bucket_fd: int, trusted: frozenset[int]) -> None:
    status, bucket = os.fstat(fd), os.fstat(bucket_fd)
    if status.st_dev != bucket.st_dev or mount_id(fd) != mount_id(bucket_fd):
        raise _not_ours("another filesystem is mounted there")
    if status.st_uid not in trusted:
        raise _not_ours(f"it belongs to uid {status.st_uid}")
    if stat.S_IMODE(status.st_mode) & _OTHERS_WRITE:
        raise _not_ours(f"others can write to it (mode {stat.S_IMODE(status.st_mode):04o})")
    try:
        marker = os.stat(MARKER, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        if status.st_uid == os.geteuid() and not os.listdir(fd):
            # We were killed while we made it.
            _furnish(fd)
            return
        # Or another host furnished it since.
        try:
            marker = os.stat(MARKER, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            raise _not_ours("it has no marker of ours") from None
    if not stat.S_ISREG(marker.st_mode) or marker.st_uid not in trusted:
        raise _not_ours("its marker is not ours")


def _make(cache: OpenCache) -> None:
    bucket_fd = open_directory(ARCHIVES, cache.fd)
    try:
        try:
            os.mkdir(TRIAL_FOLDER, 0o700, dir_fd=bucket_fd)
        except FileExistsError:
            return
        fd = open_directory(TRIAL_FOLDER, bucket_fd)
        try:
            # In the while a user may have put another one there: that is refused later.
            if os.fstat(fd).st_uid == os.geteuid() and not os.listdir(fd):
                _furnish(fd)
        finally:
            os.close(fd)
        os.fsync(bucket_fd)
    finally:
        os.close(bucket_fd)


def _furnish(fd: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        marker = os.open(MARKER, flags, 0o600, dir_fd=fd)
    except FileExistsError:
        # Another host or process of ours makes it in the same moment.
        return
    try:
        os.fchmod(marker, 0o600)
        os.write(marker, _MARKER_WORDS)
        os.fsync(marker)
    finally:
        os.close(marker)
    os.fchmod(fd, _MODE)
    os.fsync(fd)


def _what_is_there(bucket_fd: int, error: OSError) -> str:
    try:
        mode = os.stat(TRIAL_FOLDER, dir_fd=bucket_fd, follow_symlinks=False).st_mode
    except OSError:
        return failure("", error).reason
    return f"it is {kind_words(mode)}" if not stat.S_ISDIR(mode) else failure("", error).reason


def _not_ours(why: str) -> Refused:
    return Refused(
        f"{PLACE} in the cache is not our folder: {why}",
        details=("what is removed on absence of evidence would go on trial there",),
        hint="if links in archive-v0 lead there it holds what is on trial: do not move it, but "
        f"give it back its owner (root, or who prunes), mode {_MODE:04o} and its file {MARKER}; "
        "else move it away, and cacheadmin makes its own",
    )
