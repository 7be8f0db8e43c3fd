"""Programs that prove an environment which no source knows. Pure.

A program that has a compiled module of an archive loaded runs from something that
links to that archive: the kernel's own word. Where no known environment does, its
own is unknown, as of a server that embeds Python and is told of its packages by a file
of its own (mod_wsgi, uwsgi), or of a program that changes ``sys.path``.

Whatever else that environment links to was imported when the program started, and is
not looked up again before its next start: no silence of tripwires says that it is unused.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.inventory.entries import ArchiveContent, ArchiveId, archive_in
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count, verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from cacheadmin.evidence.facts import Environment, Process
    from cacheadmin.inventory.entries import Archive

#: How a process shows a module that it has loaded (``UseOfEntry.through``).
MAPPED = "mapped file"


def unknown_environments(
    processes: Iterable[Process],
    environments: Iterable[Environment],
    archives: Mapping[ArchiveId, Archive],
) -> Iterator[Gap]:
    """Yield a gap for each account with programs whose environment no source knows."""
    linked: set[ArchiveId] = set()
    ours: set[str] = set()
    for environment in environments:
        linked |= environment.archives | environment.hardlinked_archives
        if environment.archives or environment.hardlinked_archives or environment.entries:
            ours.add(environment.path)
    found: dict[int, list[tuple[Process, ArchiveId]]] = defaultdict(list)
    for process in processes:
        if any(place.path in ours for place in process.environments):
            # What it has loaded may be of before its environment was last brought up to date.
            continue
        loaded = _loaded_alone(process, archives)
        unknown = sorted(loaded - linked)
        if unknown and not loaded & linked:
            found[process.uid].append((process, unknown[0]))
    for uid, programs in found.items():
        yield _gap(uid, programs, archives)


def _loaded_alone(process: Process, archives: Mapping[ArchiveId, Archive]) -> set[ArchiveId]:
    """Return the wheels that a process has modules of; none where it shows an environment too."""
    loaded: set[ArchiveId] = set()
    for use in process.uses:
        archive = archive_in(use.entry)
        known = None if archive is None else archives.get(archive)
        if archive is None or (known is not None and known.content is ArchiveContent.ENVIRONMENT):
            # A cached environment, or a build.
            return set()
        if use.through == MAPPED:
            loaded.add(archive)
    return loaded


def _gap(
    uid: int,
    programs: list[tuple[Process, ArchiveId]],
    archives: Mapping[ArchiveId, Archive],
) -> Gap:
    process, archive = programs[0]
    known = archives.get(archive)
    module = archive if known is None or known.package is None else known.package
    others = len(programs) - 1
    more = f" and {format_count(others, 'other program')}" if others else ""
    return Gap(
        "environments.unknown",
        GapKind.RIGHTS,
        account_name(uid),
        f"process {process.pid} of {account_name(uid)} ({process.command}){more} "
        f"{verb(len(programs), 'has', 'have')} {module} of this cache loaded, and no known "
        "environment links to it: what else theirs links to can't be told",
        "name that environment: `cacheadmin venv add`, venvs.include or venvs.discover",
        uid,
    )
