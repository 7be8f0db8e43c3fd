"""Whole buckets in stock, to be given back at once when a user's prune deletes them.

A prune deletes one bucket after the other while a guard puts them back. Roots
planted in a bucket that it has not quite deleted yet would end it with an
error ("Directory not empty"), and so would a folder that it lists and finds
gone. So a bucket is made elsewhere, with all its roots, and appears in one
rename: a prune sees either nothing or a whole bucket, which it may delete. And
one rename takes microseconds, for 50,000 roots too, while a prune of another
release may be just about to count them.

Elsewhere is the quarantine folder, on the cache's filesystem, where no user
else can write. Guards of several caches may have one quarantine: each has a folder
of its own there, called by the inode of its cache.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from cacheadmin.fs.removal import remove_tree
from cacheadmin.fs.rename import rename_to_free_name
from cacheadmin.fs.small_files import open_directory
from cacheadmin.protect.folders import open_folder
from cacheadmin.protect.planted_roots import PlantedBucket, Planting, plant_bucket
from cacheadmin.protect.roots import ROOTS_FOLDER, WantedRoots

if TYPE_CHECKING:
    from cacheadmin.fs.rights import Rights
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.prune.quarantine import QuarantineFolder

_STOCK = "guard.roots"

# Another process made the bucket first.
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR)


class Stock:
    """One complete bucket of each name for a cache, in quarantine. Raises OSError."""

    def __init__(self, quarantine: QuarantineFolder, cache: CacheIdentity) -> None:
        self._quarantine_fd = os.dup(quarantine.fd)
        self._device = quarantine.device
        self._trusted = frozenset({0, os.geteuid()})
        self._name = str(cache.inode)
        stocks_fd = _made(_STOCK, self._quarantine_fd)
        try:
            self._fd = _made(self._name, stocks_fd)
        finally:
            os.close(stocks_fd)
        self._ready: dict[str, tuple[WantedRoots, Rights, Rights]] = {}

    @property
    def is_there(self) -> bool:
        """Whether it was not removed."""
        return os.fstat(self._fd).st_nlink > 0

    def close(self) -> None:
        """Remove it."""
        os.close(self._fd)
        try:
            stocks_fd = open_directory(_STOCK, self._quarantine_fd)
            try:
                remove_tree(stocks_fd, self._name, device=self._device)
            finally:
                os.close(stocks_fd)
            os.rmdir(_STOCK, dir_fd=self._quarantine_fd)
        except OSError:
            # Gone, or guards of other caches have theirs there.
            pass
        os.close(self._quarantine_fd)

    def lacks(
        self, wanted: WantedRoots, rights: Callable[[str], Rights], own: Rights
    ) -> str | None:
        """Return a bucket that is not in stock as wanted; None when all are.

        ``rights`` says what a bucket had, or should have, ``own`` what our folder in it gets.
        """
        for bucket in reversed(wanted.buckets):
            if self._ready.get(bucket) != (wanted, rights(bucket), own):
                return bucket
        return None

    def fill(self, bucket: str, wanted: WantedRoots, rights: Rights, own: Rights) -> PlantedBucket:
        """Put a bucket in stock, or bring it up to date."""
        before = self._ready.get(bucket)
        if before is None or before[1:] != (rights, own):
            # Left by another guard, or with rights that are not the bucket's any more.
            remove_tree(self._fd, bucket, device=self._device)
        place = Planting(self._fd, rights, own, self._trusted | {own.uid}, self._quarantine_fd)
        made = plant_bucket(place, bucket, wanted, removable=None)
        # Also with a problem: it would be the same the next moment.
        self._ready[bucket] = (wanted, rights, own)
        return made

    def give_back(
        self, cache_fd: int, bucket: str, wanted: WantedRoots, rights: Rights, own: Rights
    ) -> PlantedBucket:
        """Put a bucket, or our folder in one, where it is missing, in one step."""
        if self._ready.get(bucket) != (wanted, rights, own):
            self.fill(bucket, wanted, rights, own)
        del self._ready[bucket]
        total = len(wanted.archives)
        try:
            rename_to_free_name(bucket, self._fd, cache_fd)
        except OSError as error:
            if error.errno not in _TAKEN:
                return PlantedBucket(bucket, None, total, problem=_words(error))
        else:
            return PlantedBucket(bucket, None, 0, planted=total)
        return self._give_back_folder(cache_fd, bucket, total)

    def _give_back_folder(self, cache_fd: int, bucket: str, total: int) -> PlantedBucket:
        try:
            bucket_fd = open_folder(cache_fd, bucket)
        except OSError:
            return PlantedBucket(bucket, None, total)
        try:
            with_roots = open_folder(self._fd, bucket)
            try:
                rename_to_free_name(ROOTS_FOLDER, with_roots, bucket_fd)
            finally:
                os.close(with_roots)
        except OSError:
            # Something is there; planting by single links is more thorough.
            return PlantedBucket(bucket, None, total)
        finally:
            os.close(bucket_fd)
        return PlantedBucket(bucket, None, 0, planted=total)


def _made(name: str, folder_fd: int) -> int:
    """Open a folder for us alone, made where it is missing."""
    try:
        os.mkdir(name, 0o700, dir_fd=folder_fd)
    except FileExistsError:
        pass
    return open_directory(name, folder_fd)


def _words(error: OSError) -> str:
    return error.strerror or type(error).__name__
