"""Compare one file with its line in RECORD, reading no further than it says.

The file is opened once, without following a link or waiting for a FIFO's other
end; all that is said of it is said of what was opened, even if a user swaps it
meanwhile.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from typing import TYPE_CHECKING

from cacheadmin.findings import Severity
from cacheadmin.fs.small_files import (
    ReadFailure,
    failure,
    kind_words,
    open_file,
    read_file_and_status,
)
from cacheadmin.readers import note_step
from cacheadmin.verify.problems import Problem, Touched, VerifyRule
from cacheadmin.verify.rights import touched

if TYPE_CHECKING:
    from cacheadmin.verify.records import Line

# Read whole, in one go; nearly all files.
_SMALL = 1024 * 1024

# No file of a wheel comes near: a user who could write here can also have written RECORD.
_LARGEST = 16 * 1024**3

_CHUNK = 1024 * 1024


def compare(fd: int, name: str, path: str, line: Line) -> Problem | None:
    """Return what is wrong with the file ``name`` in an open folder; None: nothing.

    ``path`` is what it is called in the problem.
    """
    size = line.size_bytes
    if size is not None and size <= _SMALL and line.digest is not None:
        return _compare_small(fd, name, path, line)
    return _compare_large(fd, name, path, line)


def _compare_small(fd: int, name: str, path: str, line: Line) -> Problem | None:
    """Compare a file that should be small, at the cost of one read."""
    found = read_file_and_status(name, _SMALL, fd)
    if isinstance(found, ReadFailure):
        return _not_read(fd, name, path, line, found)
    content, status = found
    if len(content) != line.size_bytes:
        return _other_size(fd, name, path, line, status, len(content))
    if hashlib.new(line.algorithm, content).digest() == line.digest:
        return None
    return _other_content(fd, name, path, status)


def _compare_large(fd: int, name: str, path: str, line: Line) -> Problem | None:
    """Compare a file piece by piece, never further than its RECORD's size."""
    opened = open_file(name, fd)
    if isinstance(opened, ReadFailure):
        return _not_read(fd, name, path, line, opened)
    file, status = opened
    try:
        if line.size_bytes not in (None, status.st_size):
            return _other_size(fd, name, path, line, status, status.st_size)
        if status.st_size > _LARGEST:
            what = f"{status.st_size} bytes, more than any wheel's file has"
            return Problem(VerifyRule.UNREADABLE, Severity.ERROR, path, what)
        if line.digest in (None, _digest(file, line, status.st_size)):
            return None
    except OSError as error:
        return unreadable(path, failure(path, error))
    finally:
        os.close(file)
    return _other_content(fd, name, path, status)


def _digest(file: int, line: Line, size: int) -> bytes | None:
    if line.digest is None:
        return None
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    hashing = hashlib.new(line.algorithm)
    piece = memoryview(bytearray(min(_CHUNK, size + 1)))
    # One byte more than expected: a file that grows meanwhile has another hash.
    left = size + 1
    while left > 0:
        got = os.readv(file, [piece[: min(left, _CHUNK)]])
        if not got:
            break
        hashing.update(piece[:got])
        note_step()
        left -= got
    return hashing.digest()


def _not_read(fd: int, name: str, path: str, line: Line, problem: ReadFailure) -> Problem | None:
    if problem.missing:
        return Problem(VerifyRule.FILE_MISSING, Severity.ERROR, path, "not there")
    if problem.blocked:
        return unreadable(path, problem)
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError as error:
        return _not_read(fd, name, path, line, failure(path, error))
    if stat.S_ISREG(status.st_mode):
        return _other_size(fd, name, path, line, status, status.st_size)
    when = touched(status, name, fd)
    what = kind_words(status.st_mode)
    return Problem(VerifyRule.FILE_CHANGED, Severity.ERROR, path, what, when)


def _other_size(
    fd: int, name: str, path: str, line: Line, status: os.stat_result, size: int
) -> Problem:
    when = touched(status, name, fd)
    if size == 0:
        # What a crash leaves of files that were written and not yet on the disk.
        what = f"empty, not {line.size_bytes} bytes"
        return Problem(VerifyRule.HALF_WRITTEN, Severity.ERROR, path, what, when)
    what = f"{size} bytes, not {line.size_bytes}"
    return Problem(VerifyRule.FILE_CHANGED, Severity.ERROR, path, what, when)


def _other_content(fd: int, name: str, path: str, status: os.stat_result) -> Problem:
    when = touched(status, name, fd)
    what = "other content of the same size"
    return Problem(VerifyRule.FILE_CHANGED, Severity.ERROR, path, what, when)


def unreadable(path: str, problem: ReadFailure) -> Problem:
    """Return what could not be read as a problem."""
    # Rights are the caller's to have; anything else is a fault of the disk, or was made by hand.
    rights = (os.strerror(errno.EACCES), os.strerror(errno.EPERM))
    severity = Severity.WARNING if problem.reason in rights else Severity.ERROR
    return Problem(VerifyRule.UNREADABLE, severity, path, problem.reason)


def touched_now(fd: int, name: str) -> Touched | None:
    """Return who touched what is called so in an open folder; None when it is gone."""
    try:
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    return touched(status, name, fd)
