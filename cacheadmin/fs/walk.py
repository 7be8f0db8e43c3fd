"""Visit the files below a folder, a few folders deep, through descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cacheadmin.fs.small_files import ReadFailure, failure, open_directory


def files_below(
    parent_fd: int,
    name: str,
    path: str,
    *,
    depth: int,
    failures: list[ReadFailure],
    folders: dict[str, int] | None = None,
    leave_out: str = "",
) -> Iterator[tuple[str, int, str, os.stat_result]]:
    """Yield (path, folder's descriptor, name, status) of all that is no folder.

    ``path`` is what ``name`` is called in the paths that are yielded. No link
    is followed; files in ``depth`` levels of folders are yielded, deeper ones
    are not. What could not be looked at goes into ``failures``; ``folders``
    receives each folder's modification time in ns. A folder ``leave_out`` right
    below is not entered.
    """
    try:
        fd = open_directory(name, parent_fd)
    except OSError as error:
        _note(failures, path, error)
        return
    try:
        if folders is not None:
            # Before the listing: a change during it must look like a later one.
            folders[path] = os.fstat(fd).st_mtime_ns
        inner = []
        with os.scandir(fd) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != leave_out:
                        inner.append(entry.name)
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError as error:
                    _note(failures, f"{path}/{entry.name}", error)
                    continue
                yield f"{path}/{entry.name}", fd, entry.name, status
        if depth > 0:
            for folder in inner:
                yield from files_below(
                    fd,
                    folder,
                    f"{path}/{folder}",
                    depth=depth - 1,
                    failures=failures,
                    folders=folders,
                )
    except OSError as error:
        _note(failures, path, error)
    finally:
        os.close(fd)


def _note(failures: list[ReadFailure], path: str, error: OSError) -> None:
    # Gone meanwhile is no riddle; what is there and can't be read is.
    problem = failure(path, error)
    if not problem.missing:
        failures.append(problem)
