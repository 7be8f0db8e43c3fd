"""Git databases and checkouts: ``git-v*/db/<digest>`` and ``git-v*/checkouts/<digest>/<commit>``.

A checkout is complete when ``.ok`` says so: a file in it, since 0.12.19 (git-v1)
one beside it. Which database it was cloned from stands in its git configuration,
which its owner can write: it is searched for one line, and decides about names and
order alone, never about use.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from itertools import islice

from cacheadmin.fs.small_files import ReadFailure, open_directory_beneath, read_file
from cacheadmin.inventory.entries import GitSource
from cacheadmin.uv.layout import GIT_CHECKOUTS, GIT_DATABASES

# A site has hundreds; more are there to keep a look busy, and stay as they are.
_MAX_SOURCES = 20_000

_COMMIT = re.compile(r"[0-9a-f]{4,64}", re.ASCII)
_MAX_CONFIG_BYTES = 64 * 1024
_ORIGIN = re.compile(rb"^\s*url = .*/(git-v\d{1,6}/db/[0-9A-Za-z_-]{1,64})/?\s*$", re.MULTILINE)
_COMPLETE = ".ok"


def read_git_sources(bucket_fd: int, bucket: str) -> Iterator[GitSource]:
    """Yield what is in an open bucket of git sources; what is no folder of uv's is left out."""
    yield from islice(_databases(bucket_fd, bucket), _MAX_SOURCES)
    yield from islice(_checkouts(bucket_fd, bucket), _MAX_SOURCES)


def _databases(bucket_fd: int, bucket: str) -> Iterator[GitSource]:
    for name, status in _folders(bucket_fd, GIT_DATABASES):
        path = f"{bucket}/{GIT_DATABASES}/{name}"
        yield GitSource(path, bucket, None, None, (), status.st_uid, status.st_mtime_ns)


def _checkouts(bucket_fd: int, bucket: str) -> Iterator[GitSource]:
    for digest, _ in _folders(bucket_fd, GIT_CHECKOUTS):
        folder = f"{GIT_CHECKOUTS}/{digest}"
        for name, status in _folders(bucket_fd, folder):
            if _COMMIT.fullmatch(name) is None:
                continue
            complete = f"{folder}/{name}{_COMPLETE}"
            files = (f"{bucket}/{complete}",) if _is_there(bucket_fd, complete) else ()
            yield GitSource(
                f"{bucket}/{folder}/{name}",
                bucket,
                name,
                _database_of(bucket_fd, bucket, digest, f"{folder}/{name}"),
                files,
                status.st_uid,
                status.st_mtime_ns,
            )


def _folders(bucket_fd: int, relative: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the folders in a folder; nothing where it is no folder, or can't be read."""
    try:
        fd = open_directory_beneath(bucket_fd, relative)
    except OSError:
        return
    try:
        for name in sorted(os.listdir(fd)):
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                yield name, status
    finally:
        os.close(fd)


def _is_there(bucket_fd: int, relative: str) -> bool:
    folder, _, name = relative.rpartition("/")
    try:
        fd = open_directory_beneath(bucket_fd, folder)
    except OSError:
        return False
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
    except OSError:
        return False
    finally:
        os.close(fd)


def _database_of(bucket_fd: int, bucket: str, digest: str, checkout: str) -> str | None:
    try:
        fd = open_directory_beneath(bucket_fd, f"{checkout}/.git")
    except OSError:
        return None
    try:
        config = read_file("config", _MAX_CONFIG_BYTES, fd)
    finally:
        os.close(fd)
    found = None if isinstance(config, ReadFailure) else _ORIGIN.search(config)
    named = f"{bucket}/{GIT_DATABASES}/{digest}" if found is None else found[1].decode()
    return named if _is_folder(bucket_fd, bucket, named) else None


def _is_folder(bucket_fd: int, bucket: str, path: str) -> bool:
    if not path.startswith(f"{bucket}/"):
        return False
    try:
        os.close(open_directory_beneath(bucket_fd, path.removeprefix(f"{bucket}/")))
    except OSError:
        return False
    return True
