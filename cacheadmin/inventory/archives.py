"""Archives: what each holds, and the package and version it names.

A wheel archive has exactly one ``<name>-<version>.dist-info``; an environment
archive has ``pyvenv.cfg`` (facts section 2). The folder name is enough for
both names: uv checks it against METADATA when it unpacks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.fs.small_files import failure, open_directory
from cacheadmin.inventory.entries import (
    Archive,
    ArchiveContent,
    ArchiveId,
    OnTrial,
    Stray,
    UnreadEntry,
)
from cacheadmin.inventory.seen import ArchiveSeen, newest_change_ns
from cacheadmin.packages.names import normalized
from cacheadmin.readers import note_owner
from cacheadmin.uv.layout import (
    ARCHIVES,
    TRIAL_FOLDER,
    entry_on_trial,
    is_archive_id,
    is_temporary,
    trial_name,
)

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.cache_memory import CacheMemory

_DIST_INFO = ".dist-info"

# A wheel has some dozens of names at its top; what has more is no wheel that was unpacked.
_MAX_NAMES = 100_000


def archives_in(bucket_fd: int, bucket: str) -> tuple[list[str], list[str]]:
    """Return the names in an archive bucket: of folders, and of everything else."""
    ours = (TRIAL_FOLDER,) if bucket == ARCHIVES else ()
    folders: list[str] = []
    others: list[str] = []
    with os.scandir(bucket_fd) as entries:
        for entry in entries:
            if entry.name not in ours:
                (folders if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return folders, others


def read_on_trial(bucket_fd: int, bucket: str) -> Iterator[OnTrial]:
    """Yield what lies in our folder in an archive bucket, where it has one."""
    if bucket == ARCHIVES:
        yield from _read_on_trial(bucket_fd)


def read_archives(
    bucket_fd: int,
    bucket: str,
    folders: Iterable[str],
    others: Iterable[str] = (),
    memory: CacheMemory | None = None,
) -> Iterator[Archive | OnTrial | Stray | UnreadEntry | ArchiveSeen | int]:
    """Yield what these names in one archive bucket are (``archives_in``).

    With a memory, an archive that is as it was is its number there, and one that
    can be remembered is followed by what tells so.

    Plain files, temporary folders and empty folders are never finished
    archives; every uv release's prune deletes them (facts section 2). A link
    was made by hand, such as an archive moved to another disk:
    environments may still reach through it, so it is not for us to remove. A
    tripwire is a link of ours, and what it leads to is on trial.
    """
    if bucket != ARCHIVES:
        memory = None
    listed = [*((name, True) for name in folders), *((name, False) for name in others)]
    for name, is_folder in listed:
        is_new = is_folder and (memory is None or not memory.knows_archive(name))
        try:
            status, inside = _status_and_names(bucket_fd, name, open_first=is_new)
        except FileNotFoundError:
            continue
        if memory is not None and (same := memory.same_archive(name, status)) is not None:
            yield same
            continue
        path = f"{bucket}/{name}"
        note_owner(status.st_uid)
        try:
            if stat.S_ISLNK(status.st_mode) and is_tripwire(bucket_fd, path):
                yield _on_trial(bucket_fd, path)
                continue
            if not stat.S_ISDIR(status.st_mode):
                link = stat.S_ISLNK(status.st_mode)
                what = f"a {'link' if link else 'file'} where archives are"
                yield Stray(path, what, not link, status.st_uid, _newest(status))
                continue
            inside = _list(bucket_fd, name) if inside is None else inside
        except FileNotFoundError:
            continue
        except OSError as error:
            yield UnreadEntry(path, failure(path, error).reason, status.st_uid)
            yield _archive(name, path, [], status)
            continue
        found = _folder(name, path, inside, status)
        yield found
        if memory is not None and isinstance(found, Archive) and status.st_dev == memory.device:
            yield ArchiveSeen(found.id, newest_change_ns((status,)))


def _folder(name: str, path: str, inside: list[str], status: os.stat_result) -> Archive | Stray:
    """Return what a folder among archives is, by its name and the names in it."""
    temporary = is_temporary(name)
    if not temporary and inside and is_archive_id(name):
        return _archive(name, path, inside, status)
    what = "a temporary folder" if temporary else "an empty folder"
    if inside and not temporary:
        what = "a folder with a name that no archive has"
    removable = temporary or not inside
    return Stray(path, what, removable, status.st_uid, _newest(status))


def is_tripwire(bucket_fd: int, entry: str) -> bool:
    """Whether an entry is on trial, so that a link in its place is a tripwire.

    ``bucket_fd`` is the bucket of archives. The link itself is not asked:
    reading it would be a use. Every user may look up names in our folder.
    """
    return _status_on_trial(bucket_fd, entry) is not None


def stands_on_trial(cache: OpenCache, path: str) -> bool:
    """Whether an absolute path is, or lies in, an entry of a cache that is on trial now.

    For a caller that knows that path from a record: looking there would be a use.
    """
    prefix = cache.identity.path.rstrip("/") + "/"
    entry = "/".join(path.removeprefix(prefix).split("/")[:2])
    if not path.startswith(prefix) or trial_name(entry) is None:
        return False
    try:
        bucket_fd = open_directory(ARCHIVES, cache.fd)
    except OSError:
        return False
    try:
        return is_tripwire(bucket_fd, entry)
    finally:
        os.close(bucket_fd)


def _status_on_trial(bucket_fd: int, entry: str) -> os.stat_result | None:
    name = trial_name(entry)
    if name is None:
        return None
    try:
        status = os.stat(f"{TRIAL_FOLDER}/{name}", dir_fd=bucket_fd, follow_symlinks=False)
    except OSError:
        return None
    return status if stat.S_ISDIR(status.st_mode) else None


def _read_on_trial(bucket_fd: int) -> Iterator[OnTrial]:
    """Yield what lies in our folder; nothing where it can't be listed: the links tell then."""
    try:
        fd = open_directory(TRIAL_FOLDER, bucket_fd)
    except OSError:
        return
    try:
        # Ours, so however many.
        names = os.listdir(fd)
    except OSError:
        return
    finally:
        os.close(fd)
    for name in names:
        entry = entry_on_trial(name)
        if entry is not None and is_tripwire(bucket_fd, entry):
            yield _on_trial(bucket_fd, entry)


def _on_trial(bucket_fd: int, entry: str) -> OnTrial:
    status = _status_on_trial(bucket_fd, entry)
    package = version = None
    try:
        fd = open_directory(TRIAL_FOLDER, bucket_fd)
        try:
            names = _list(fd, trial_name(entry) or "")
        finally:
            os.close(fd)
    except OSError:
        # What is on trial may be another's, and closed to us.
        names = []
    _, package, version = _content(names)
    uid, mtime_ns = (status.st_uid, status.st_mtime_ns) if status is not None else (0, 0)
    return OnTrial(entry, package, version, uid, mtime_ns)


def _archive(name: str, path: str, names: list[str], status: os.stat_result) -> Archive:
    content, package, version = _content(names)
    return Archive(
        id=ArchiveId(name),
        path=path,
        content=content,
        package=package,
        version=version,
        uid=status.st_uid,
        inode=status.st_ino,
        mtime_ns=status.st_mtime_ns,
    )


def _content(names: list[str]) -> tuple[ArchiveContent, str | None, str | None]:
    """Return what an archive holds, by the names in it, with package and version."""
    if "pyvenv.cfg" in names:
        return ArchiveContent.ENVIRONMENT, None, None
    stems = [n.removesuffix(_DIST_INFO) for n in names if n.endswith(_DIST_INFO)]
    if len(stems) != 1 or "-" not in stems[0]:
        return ArchiveContent.UNKNOWN, None, None
    package, _, version = stems[0].partition("-")
    return ArchiveContent.WHEEL, normalized(package), version


def _status_and_names(
    folder_fd: int, name: str, *, open_first: bool
) -> tuple[os.stat_result, list[str] | None]:
    """Return the status of a folder, and the names in it: in one look where it can be opened.

    Names are None where it was not, or could not be, opened. Raises FileNotFoundError.
    """
    fd = None
    if open_first:
        with suppress(OSError):
            fd = open_directory(name, folder_fd)
    if fd is None:
        return os.stat(name, dir_fd=folder_fd, follow_symlinks=False), None
    try:
        # Before the listing: a change during it must look like a later one.
        status = os.fstat(fd)
        note_owner(status.st_uid)
        try:
            return status, _names_in(fd)
        except OSError:
            return status, None
    finally:
        os.close(fd)


def _list(folder_fd: int, name: str) -> list[str]:
    fd = open_directory(name, folder_fd)
    try:
        return _names_in(fd)
    finally:
        os.close(fd)


def _names_in(fd: int) -> list[str]:
    with os.scandir(fd) as entries:
        names = [entry.name for entry in islice(entries, _MAX_NAMES + 1)]
    if len(names) > _MAX_NAMES:
        raise OSError(errno.E2BIG, f"it has more than {_MAX_NAMES} names")
    return names


def _newest(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
