"""Check many archives at once, in readers: what lies in an archive is its owner's to choose.

One archive is one piece of work; its largest files are pieces of their own, so
that one huge wheel does not leave all but one core idle. Opening and reading a
small file is mostly Python, so threads would check a cache of small files
*slower* than one process (`make bench ARGS=verifying`); readers are processes.
One that hangs, grows or is killed costs one archive its check, which is a
finding: it could not be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.targets import TargetPlace
from cacheadmin.findings import Severity
from cacheadmin.inventory.entries import Archive
from cacheadmin.readers import Question, Readers, Unreadable
from cacheadmin.values import frozen
from cacheadmin.verify.check import CheckedArchive, ProblemGroup, check_archive, check_deferred
from cacheadmin.verify.problems import Problem, VerifyRule
from cacheadmin.verify.records import Line

if TYPE_CHECKING:
    from cacheadmin.evidence.targets import CacheLocator
    from cacheadmin.readers import ReaderLimits

# Hashing the largest files of the largest wheels takes so long, on a slow core.
_CPU_SECONDS = 600.0


@frozen
class Workplace:
    """What every worker needs: the open cache, its path, and where links lead."""

    cache_fd: int
    """Descriptor of the cache's root."""
    cache_path: str
    """Absolute path of the cache."""
    locator: CacheLocator
    """Finds where a link's text leads."""
    limits: ReaderLimits
    """How much one answer may cost."""


@frozen
class LargeFile:
    """A file of an archive that is checked by itself."""

    archive: Archive
    """The archive that it is in."""
    path: str
    """Its path, relative to the archive."""
    line: Line
    """What RECORD says of it."""


@frozen
class ArchiveAnswer:
    """What a reader says of an archive: `CheckedArchive`, without what the asker knows."""

    found: tuple[ProblemGroup, ...]
    """What is wrong, by rule and severity: each has an example."""
    files: int
    """How many files were compared with RECORD, the deferred ones included."""
    bytes: int
    """The bytes of these files, as RECORD has them."""
    deferred: tuple[tuple[str, Line], ...]
    """Large files that are still to be checked: (path, line)."""
    gone: bool
    """Whether the archive was removed meanwhile."""
    name: str | None
    """The name in a wheel's METADATA; None where unknown, or for an environment."""
    version: str | None
    """The version in a wheel's METADATA; None where unknown, or for an environment."""
    lists_compiled: bool
    """Whether compiled files are part of it, or may be."""


def check_all(
    place: Workplace,
    archives: Sequence[Archive],
    jobs: int,
    done: Callable[[int], None],
) -> list[CheckedArchive]:
    """Return each archive checked, with its large files, by so many workers.

    ``done`` is told how many archives are finished, but for their large files.
    """
    limits = replace(place.limits, cpu_seconds=max(place.limits.cpu_seconds, _CPU_SECONDS))
    questions = _Questions(place)
    with Readers(limits, keep=(place.cache_fd,), workers=min(jobs, len(archives) or 1)) as readers:
        readers.learn((questions.archive, questions.large_file))
        answers = readers.ask_all(questions.archive, archives, done=done)
        checked = [_checked(*pair) for pair in zip(archives, answers, strict=True)]
        later = [
            (one, LargeFile(one.archive, path, line))
            for one in checked
            for path, line in one.deferred
        ]
        problems = readers.ask_all(questions.large_file, [file for _, file in later])
    for (one, file), found in zip(later, problems, strict=True):
        for problem in (_unread(file.path, found),) if isinstance(found, Unreadable) else found:
            one.add(problem)
    return checked


class _Questions:
    """What readers are asked about the archives of one cache."""

    def __init__(self, place: Workplace) -> None:
        self._place = place
        self.archive: Question[Archive, ArchiveAnswer] = Question(
            self._check, ArchiveAnswer, whose=_owner, blame=_owner
        )
        self.large_file: Question[LargeFile, tuple[Problem, ...]] = Question(
            self._check_later,
            tuple[Problem, ...],
            whose=_owner_of_file,
            blame=_owner_of_file,
            together=1,
        )

    def _check(self, archive: Archive) -> ArchiveAnswer:
        place = self._place
        found = check_archive(place.cache_fd, place.cache_path, archive, self._where_in_cache)
        return ArchiveAnswer(
            tuple(found.found.values()),
            found.files,
            found.bytes,
            tuple(found.deferred),
            found.gone,
            found.name,
            found.version,
            found.lists_compiled,
        )

    def _check_later(self, file: LargeFile) -> tuple[Problem, ...]:
        fd = self._place.cache_fd
        return tuple(check_deferred(fd, file.archive, file.path, file.line))

    def _where_in_cache(self, text: str, folder: str) -> str | None:
        located = self._place.locator.locate(text, folder)
        return located.path if located.place is TargetPlace.INSIDE else None


def _checked(archive: Archive, answer: ArchiveAnswer | Unreadable) -> CheckedArchive:
    if isinstance(answer, Unreadable):
        checked = CheckedArchive(archive)
        checked.add(_unread("", answer))
        return checked
    return CheckedArchive(
        archive,
        {
            (one.examples[0].rule, one.examples[0].severity): one
            for one in answer.found
            if one.examples
        },
        answer.files,
        answer.bytes,
        list(answer.deferred),
        answer.gone,
        answer.name,
        answer.version,
        answer.lists_compiled,
    )


def _unread(path: str, failed: Unreadable) -> Problem:
    return Problem(VerifyRule.UNREADABLE, Severity.ERROR, path, failed.reason)


def _owner(archive: Archive) -> int | None:
    return archive.uid


def _owner_of_file(file: LargeFile) -> int | None:
    return file.archive.uid
