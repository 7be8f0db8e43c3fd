"""Look at one compiled file that no RECORD lists, and at its source."""

from __future__ import annotations

import os

from cacheadmin.findings import Severity
from cacheadmin.fs.small_files import ReadFailure, open_file, read_file
from cacheadmin.verify.bytecode import (
    HEADER_BYTES,
    Bytecode,
    SourceFile,
    is_cached,
    judge,
    needs_content,
)
from cacheadmin.verify.comparison import unreadable
from cacheadmin.verify.problems import Problem, VerifyRule
from cacheadmin.verify.rights import touched

_LARGEST_SOURCE = 4 * 1024 * 1024


def inspect_compiled(fd: int, name: str, path: str, owner: int) -> Problem | None:
    """Return what is to be said of a ``.pyc`` in an open folder; ``owner`` is the archive's.

    One that fits its source is remarked on. Who may compile into an archive
    may put any code there under the source's time stamp, so one that is
    neither the owner's nor root's is warned of. None when it is gone.
    """
    opened = open_file(name, fd)
    if isinstance(opened, ReadFailure):
        return None if opened.missing else unreadable(path, opened)
    compiled, status = opened
    try:
        header = os.read(compiled, HEADER_BYTES)
    finally:
        os.close(compiled)
    verdict = judge(header, path, _source(fd, name, path, content_too=needs_content(header)))
    rule, severity, what = _of_bytecode(verdict)
    used = verdict in (Bytecode.FITS, Bytecode.OTHER_PYTHON)
    if used and status.st_uid not in (owner, 0):
        rule, severity = VerifyRule.BYTECODE_STALE, Severity.WARNING
        what = "not compiled by the archive's owner: nothing tells what is in it"
    return Problem(rule, severity, path, what, touched(status, name, fd))


def _of_bytecode(verdict: Bytecode) -> tuple[VerifyRule, Severity, str]:
    if verdict in (Bytecode.FITS, Bytecode.OTHER_PYTHON, Bytecode.ORPHAN):
        return VerifyRule.FILE_EXTRA, Severity.INFO, verdict.value
    dangerous = verdict in (Bytecode.UNCHECKED, Bytecode.WITHOUT_SOURCE)
    severity = Severity.ERROR if dangerous else Severity.WARNING
    return VerifyRule.BYTECODE_STALE, severity, verdict.value


def _source(fd: int, name: str, path: str, *, content_too: bool) -> SourceFile | None:
    """Return what is known of a compiled file's source, beside it or one folder up."""
    if is_cached(path):
        # The folder's own parent, whatever its name was changed to meanwhile.
        source = f"../{name.split('.', 1)[0]}.py"
    else:
        source = f"{name.removesuffix('.pyc')}.py"
    try:
        # Python reads it through the links of a cached environment, too.
        status = os.stat(source, dir_fd=fd)
    except OSError:
        return None
    content = None
    if content_too:
        read = read_file(source, _LARGEST_SOURCE, fd)
        content = None if isinstance(read, ReadFailure) else read
    return SourceFile(status.st_mtime_ns, status.st_size, content)
