"""What an archive should hold, by the RECORDs in it.

A wheel's archive has one ``*.dist-info`` at its root, whose RECORD lists all
of it: uv adds nothing and takes nothing away [run 0.5.10, 0.13.8]. A cached
environment (``pyvenv.cfg`` at the root) has a RECORD for each distribution in
its site-packages, as uv wrote it there, and a few files of the environment
itself that nothing lists.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from cacheadmin.findings import Severity
from cacheadmin.fs.small_files import (
    ReadFailure,
    open_directory,
    open_directory_beneath,
    read_file,
    read_file_and_status,
)
from cacheadmin.text.numbers import format_count
from cacheadmin.verify.problems import Problem, VerifyRule
from cacheadmin.verify.records import MAX_BYTES, MAX_LINES, Line, Record, parse_record

_DIST_INFO = ".dist-info"
_MAX_METADATA = 1024 * 1024

# A file takes no room under a second name, and may have a thousand: one that is
# larger than any real RECORD but a few, and has several, is read once by each worker.
_MAX_SHARED = 1024 * 1024

# Those files (device, inode), with the archive that they were read in.
_large_shared: dict[tuple[int, int], tuple[int, int]] = {}

# What uv writes into an environment and no RECORD lists [run 0.5.10, 0.8.5, 0.13.8].
_OF_ENVIRONMENT = re.compile(
    r"pyvenv\.cfg|CACHEDIR\.TAG|\.gitignore|\.lock|lib64"
    r"|bin/(de)?activate(\.[a-z0-9]+|_this\.py)?|bin/pydoc\.bat"
    r"|bin/(python|pypy)[0-9.]*t?"
    r"|lib/[^/]+/site-packages/(_virtualenv\.(py|pth)|_uv_ephemeral_overlay\.pth)",
    re.ASCII,
)


@dataclass(slots=True)
class ExpectedContents:
    """What an archive should hold, by its RECORDs."""

    is_environment: bool
    """Whether it is a cached environment; else a wheel."""
    lines: dict[str, Line] = field(default_factory=dict)
    """What RECORD says of each file, by path in the archive."""
    others: dict[str, list[Line]] = field(default_factory=dict)
    """What further RECORDs say differently of a file, by its path.

    Distributions that share a file overwrite each other in an environment, in an order that nothing
    tells.
    """
    problems: list[Problem] = field(default_factory=list)
    """What is wrong with the RECORDs."""
    name: str | None = None
    """The name in a wheel's METADATA; None where it has none."""
    version: str | None = None
    """The version in a wheel's METADATA; None where it has none."""
    read_bytes: int = 0
    """How many bytes of RECORDs were read."""
    read_rows: int = 0
    """How many lines of RECORDs were read."""

    @property
    def lists_compiled(self) -> bool:
        """Whether RECORDs list compiled files, or may: what can't be read of them is not known."""
        return bool(self.problems) or any(path.endswith(".pyc") for path in self.lines)

    def belongs_to_environment(self, path: str) -> bool:
        """Whether a file that no RECORD lists is one of an environment's own."""
        return self.is_environment and _OF_ENVIRONMENT.fullmatch(path) is not None


def read_contents(archive_fd: int, uid: int) -> ExpectedContents:
    """Return what an open archive, whose folder belongs to ``uid``, should hold.

    Raises OSError when it can't be listed.
    """
    names = os.listdir(archive_fd)
    contents = ExpectedContents("pyvenv.cfg" in names)
    if contents.is_environment:
        for base, infos in _site_packages(archive_fd, contents):
            for info in infos:
                _add_record(contents, archive_fd, f"{base}/{info}", base, uid)
        return contents
    infos = sorted(name for name in names if name.endswith(_DIST_INFO))
    for info in infos:
        _add_record(contents, archive_fd, info, "", uid)
    if not infos:
        what = "no dist-info folder: an unpacked wheel has one"
        contents.problems.append(Problem(VerifyRule.HALF_WRITTEN, Severity.ERROR, "", what))
    elif len(infos) > 1:
        what = "another dist-info folder: no uv release unpacks such a wheel"
        contents.problems += [
            Problem(VerifyRule.FILE_EXTRA, Severity.ERROR, info, what) for info in infos[1:]
        ]
    else:
        contents.name, contents.version = _named(archive_fd, infos[0])
    return contents


def _site_packages(archive_fd: int, contents: ExpectedContents) -> Iterator[tuple[str, list[str]]]:
    """Yield each site-packages folder of an environment with its dist-info folders."""
    for python in sorted(_listed(archive_fd, "lib", contents)):
        base = f"lib/{python}/site-packages"
        names = _listed(archive_fd, base, contents)
        yield base, sorted(name for name in names if name.endswith(_DIST_INFO))


def _listed(archive_fd: int, path: str, contents: ExpectedContents) -> list[str]:
    try:
        fd = open_directory_beneath(archive_fd, path)
        try:
            return os.listdir(fd)
        finally:
            os.close(fd)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        what = error.strerror or "it can't be listed"
        contents.problems.append(Problem(VerifyRule.UNREADABLE, Severity.WARNING, path, what))
        return []


def _add_record(
    contents: ExpectedContents, archive_fd: int, info: str, base: str, uid: int
) -> None:
    path = f"{info}/RECORD"
    folder, _, _ = path.rpartition("/")
    try:
        fd = open_directory_beneath(archive_fd, folder)
    except OSError:
        # Not a folder, or closed: the walk says so.
        return
    try:
        # One RECORD's bounds hold for all of an archive: who makes a thousand of
        # them, by hardlink and for no room, must not take all memory.
        found = read_file_and_status("RECORD", MAX_BYTES - contents.read_bytes, fd)
    finally:
        os.close(fd)
    if isinstance(found, ReadFailure):
        rule = VerifyRule.UNREADABLE if found.blocked else VerifyRule.RECORD_MISSING
        severity = Severity.WARNING if found.blocked else Severity.ERROR
        what = "there is none" if found.missing else found.reason
        contents.problems.append(Problem(rule, severity, path, what))
        return
    content, status = found
    if status.st_nlink > 1 and len(content) > _MAX_SHARED:
        here = _identity(archive_fd)
        if _large_shared.setdefault((status.st_dev, status.st_ino), here) != here:
            what = "it is the same large file as the RECORD of another archive: not read again"
            contents.problems.append(Problem(VerifyRule.UNREADABLE, Severity.WARNING, path, what))
            return
    if not content:
        what = "empty"
        contents.problems.append(Problem(VerifyRule.HALF_WRITTEN, Severity.ERROR, path, what))
        return
    record = parse_record(content, base, MAX_LINES - contents.read_rows)
    contents.read_bytes += len(content)
    contents.read_rows += record.rows
    for name, line in record.lines.items():
        if contents.lines.setdefault(name, line) != line:
            contents.others.setdefault(name, []).append(line)
    contents.problems += _problems_of(record, path)
    if status.st_uid not in (uid, 0):
        what = "it does not belong to the archive's owner: it may have been rewritten"
        contents.problems.append(Problem(VerifyRule.RECORD_UNSAFE, Severity.WARNING, path, what))


def _identity(fd: int) -> tuple[int, int]:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _problems_of(record: Record, path: str) -> Iterator[Problem]:
    rule, error, warning = VerifyRule.RECORD_UNSAFE, Severity.ERROR, Severity.WARNING
    for name in record.unsafe:
        yield Problem(rule, error, name, f"{path} leads out of the archive with it")
    for name in record.repeated:
        yield Problem(rule, error, name, f"{path} has two lines for it that differ")
    for name in record.unhashed:
        yield Problem(rule, warning, name, f"{path} gives no hash of it that can be relied on")
    if record.too_long:
        yield Problem(rule, error, path, f"more than the {MAX_LINES} lines that any archive has")
    if record.unreadable:
        lines = format_count(record.unreadable, "line")
        yield Problem(rule, warning, path, f"{lines} can't be read as RECORD has them")


def _named(archive_fd: int, info: str) -> tuple[str | None, str | None]:
    """Return name and version in METADATA's head."""
    try:
        fd = open_directory(info, archive_fd)
    except OSError:
        return None, None
    try:
        content = read_file("METADATA", _MAX_METADATA, fd)
    finally:
        os.close(fd)
    if isinstance(content, ReadFailure):
        return None, None
    found: dict[str, str] = {}
    for line in os.fsdecode(content).splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        found.setdefault(key.strip().lower(), value.strip())
    return found.get("name"), found.get("version")
