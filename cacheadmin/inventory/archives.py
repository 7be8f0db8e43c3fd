"""Archives: what each holds, and the package and version it names.

A wheel archive has exactly one ``<name>-<version>.dist-info``; an environment
archive has ``pyvenv.cfg`` (facts section 2). The folder name is enough for
both names: uv checks it against METADATA when it unpacks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from cacheadmin.fs.reading import failure, open_directory
from cacheadmin.inventory.entries import (
    Archive,
    ArchiveContent,
    ArchiveId,
    Stray,
    Unreadable,
)
from cacheadmin.package_names import normalized
from cacheadmin.uv.layout import is_archive_id, is_temporary

_DIST_INFO = ".dist-info"


def read_archives(bucket_fd: int, bucket: str) -> Iterator[Archive | Stray | Unreadable]:
    """Yield what one archive bucket holds.

    Plain files, temporary folders and empty folders are never finished
    archives; every uv release's prune deletes them (facts section 2). A link
    is somebody's own doing, such as an archive moved to another disk:
    environments may still reach through it, so it is not for us to remove.
    """
    for name in os.listdir(bucket_fd):
        path = f"{bucket}/{name}"
        try:
            status = os.stat(name, dir_fd=bucket_fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        try:
            if not stat.S_ISDIR(status.st_mode):
                link = stat.S_ISLNK(status.st_mode)
                what = f"a {'link' if link else 'file'} where archives are"
                yield Stray(path, what, not link, status.st_uid, _newest(status))
                continue
            names = _list(bucket_fd, name)
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Unreadable(path, failure(path, error).reason)
            yield _archive(name, path, [], status)
            continue
        temporary = is_temporary(name)
        if temporary or not names or not is_archive_id(name):
            what = "a temporary folder" if temporary else "an empty folder"
            if names and not temporary:
                what = "a folder with a name that no archive has"
            removable = temporary or not names
            yield Stray(path, what, removable, status.st_uid, _newest(status))
            continue
        yield _archive(name, path, names, status)


def _archive(name: str, path: str, names: list[str], status: os.stat_result) -> Archive:
    content, package, version = ArchiveContent.UNKNOWN, None, None
    if "pyvenv.cfg" in names:
        content = ArchiveContent.ENVIRONMENT
    else:
        stems = [n.removesuffix(_DIST_INFO) for n in names if n.endswith(_DIST_INFO)]
        if len(stems) == 1 and "-" in stems[0]:
            content = ArchiveContent.WHEEL
            package, _, version = stems[0].partition("-")
            package = normalized(package)
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


def _list(folder_fd: int, name: str) -> list[str]:
    fd = open_directory(name, folder_fd)
    try:
        return os.listdir(fd)
    finally:
        os.close(fd)


def _newest(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)
