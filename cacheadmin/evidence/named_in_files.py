"""Uses that are written down in files: Jupyter kernels, systemd units, crontabs.

A notebook that no user has opened since spring, a unit that is stopped, a job
that runs once a month: no process and perhaps no environment that any user
knows, and yet a file says which Python they will start. That costs next to
nothing to read. What such a file does not say proves nothing.

The files are their owners' to write: they are read within bounds, never run. A link
of a user is followed where its owner may read what it leads to: people keep such
files with others of theirs, and link them.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import stat
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, NamedEntry, Unseen
from cacheadmin.evidence.files_behind_links import open_folder_of, read_behind
from cacheadmin.evidence.kinds import holds_distributions, kind_of
from cacheadmin.evidence.targets import CacheLocator, TargetPlace
from cacheadmin.fs.presence import may_be_there
from cacheadmin.fs.resolution import resolve
from cacheadmin.fs.small_files import (
    ReadFailure,
    open_directory,
    read_file_and_status,
    read_linked_file,
)
from cacheadmin.fs.walk import files_below
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.readers import Unreadable

_MAX_FILES = 2_000
_MAX_BYTES = 64 * 1024
_MAX_BYTES_IN_ALL = 16 * 1024 * 1024
_MAX_PATHS = 500

# What ends a path in a unit, a crontab, or a line of shell.
_BETWEEN = re.compile(r"[\s\"'`=:;,|&<>(){}\[\]]+")

# Where no environment and no cache lies, nor a link to one; most paths in units do.
_OF_THE_SYSTEM = (
    *("/bin/", "/sbin/", "/lib/", "/usr/bin/", "/usr/sbin/", "/usr/lib/"),
    *("/dev/", "/proc/", "/sys/", "/run/"),
)

_UNITS = (".service", ".conf", ".timer", ".path", ".socket")


@frozen
class PlaceOfFiles:
    """A folder, or one file, where such files lie."""

    path: str
    """Absolute path of the folder or file."""

    depth: int = 0
    """How many levels of folders below it are looked into."""

    endings: tuple[str, ...] = ("",)
    """How names of files end that matter here."""

    home: str | None = None
    """What ``~``, ``$HOME`` and ``%h`` mean in these files; None: the home of a file's owner."""


Found = NamedEntry | Candidate | Unseen


def usual_places(homes: Iterable[str] = ()) -> Iterator[PlaceOfFiles]:
    """Yield all places where such files usually lie, on this host and in these homes."""
    listed = tuple(homes)
    yield from kernel_places(listed)
    yield from unit_places(listed)
    yield from crontab_places()


def kernel_places(homes: Iterable[str] = ()) -> Iterator[PlaceOfFiles]:
    """Yield where Jupyter looks for kernels: those of the system, and of these homes."""
    for base in ("/usr/local", "/usr"):
        yield PlaceOfFiles(f"{base}/share/jupyter/kernels", 1, ("kernel.json",))
    for home in homes:
        yield PlaceOfFiles(f"{home}/.local/share/jupyter/kernels", 1, ("kernel.json",), home)


def unit_places(homes: Iterable[str] = ()) -> Iterator[PlaceOfFiles]:
    """Yield where systemd looks for units: those of the system, and of these homes."""
    # Not /usr/lib: what packages of the system bring names no user's cache.
    for folder in ("/etc", "/usr/local/lib"):
        yield PlaceOfFiles(f"{folder}/systemd/system", 1, _UNITS, "/root")
        yield PlaceOfFiles(f"{folder}/systemd/user", 1, _UNITS)
    for home in homes:
        yield PlaceOfFiles(f"{home}/.config/systemd/user", 1, _UNITS, home)


def crontab_places() -> Iterator[PlaceOfFiles]:
    """Yield where cron looks: tables of the system and of users, and scripts by the day."""
    yield PlaceOfFiles("/etc/crontab")
    yield PlaceOfFiles("/etc/anacrontab")
    yield PlaceOfFiles("/etc/cron.d")
    for period in ("hourly", "daily", "weekly", "monthly"):
        yield PlaceOfFiles(f"/etc/cron.{period}")
    yield PlaceOfFiles("/var/spool/cron", 1)


@frozen
class NamedThere:
    """What the files in one place name."""

    entries: tuple[NamedEntry, ...] = ()
    """Entries of the cache."""
    environments: tuple[Candidate, ...] = ()
    """Environments elsewhere."""
    unseen: tuple[Unseen, ...] = ()
    """What could not be read, or was too much."""


def named_in_files(place: PlaceOfFiles, locator: CacheLocator, source: str) -> NamedThere:
    """Return what files in a place name: entries of the cache, and environments elsewhere.

    ``source`` is noted in environments. A place that does not exist holds
    nothing. How much is read of one place is limited: it is mostly one account's.
    """
    found = tuple(_NamingReader(locator, source).read(place))
    return NamedThere(
        tuple(one for one in found if isinstance(one, NamedEntry)),
        tuple(one for one in found if isinstance(one, Candidate)),
        tuple(one for one in found if isinstance(one, Unseen)),
    )


def unread(place: PlaceOfFiles, failed: Unreadable) -> NamedThere:
    """Return what is known of a place that no reader could read: it may name anything."""
    return NamedThere(
        unseen=(Unseen("named-in-file", place.path, failed.reason, True, failed.uid),)
    )


class _NamingReader:
    def __init__(self, locator: CacheLocator, source: str) -> None:
        self._locator = locator
        self._source = source
        self._files = 0
        self._bytes = 0

    def read(self, place: PlaceOfFiles) -> Iterator[Found]:
        for path, fd, name, status in _files(place):
            if isinstance(status, str):
                yield _unseen(path, status)
                continue
            if not name.endswith(place.endings):
                continue
            self._files += 1
            if self._files > _MAX_FILES or self._bytes > _MAX_BYTES_IN_ALL:
                yield _unseen(place.path, "there is too much of it to be read")
                return
            read = _read(path, fd, name, status)
            if read is None:
                continue
            if isinstance(read, ReadFailure):
                if not read.missing:
                    yield _unseen(path, read.reason)
                continue
            content, uid = read
            self._bytes += len(content)
            home = place.home if place.home is not None else _home_of(uid)
            yield from self._named(os.fsdecode(content), path, uid, home)

    def _named(self, text: str, file: str, uid: int, home: str | None) -> Iterator[Found]:
        found: set[str] = set()
        for number, path in enumerate(dict.fromkeys(_paths_in(text, file, home))):
            if number == _MAX_PATHS:
                yield _unseen(file, f"it names more than {_MAX_PATHS} paths")
                return
            located = self._locator.follow(path, "/")
            if located.place is TargetPlace.INSIDE and located.entry is not None:
                if located.entry not in found:
                    found.add(located.entry)
                    yield NamedEntry(located.entry, file, uid)
                continue
            for environment in _environments(path):
                if environment not in found:
                    found.add(environment)
                    kind = kind_of(environment) or EnvironmentKind.VENV
                    yield Candidate(environment, kind, (self._source,), uid)


def _files(place: PlaceOfFiles) -> Iterator[tuple[str, int, str, os.stat_result | str]]:
    """Yield (path, folder's descriptor, name, status) of files; a reason in place of a status."""
    folder, _, name = place.path.rpartition("/")
    try:
        if place.home is not None and folder.startswith(f"{place.home}/"):
            parent = open_folder_of(folder, place.home)
        else:
            # The system's: what leads there is root's, whether or not root has a home.
            parent = open_directory(folder or "/", follow=True)
    except FileNotFoundError:
        return
    except OSError as error:
        yield folder, -1, "", error.strerror or "it can't be read"
        return
    try:
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        except OSError:
            return
        if not stat.S_ISDIR(status.st_mode):
            yield place.path, parent, name, status
            return
        failures: list[ReadFailure] = []
        yield from files_below(parent, name, place.path, depth=place.depth, failures=failures)
        for problem in failures:
            yield problem.path, -1, "", problem.reason
    finally:
        os.close(parent)


def _read(
    path: str, fd: int, name: str, status: os.stat_result
) -> tuple[bytes, int] | ReadFailure | None:
    """Return a file's content and owner; None for what is no file to be read."""
    if stat.S_ISREG(status.st_mode):
        read = read_file_and_status(name, _MAX_BYTES, fd)
        return read if isinstance(read, ReadFailure) else (read[0], read[1].st_uid)
    # `systemctl enable /opt/app/app.service` leaves a link of root's.
    if stat.S_ISLNK(status.st_mode) and status.st_uid == 0:
        if resolve(path) == "/dev/null":
            # A masked unit: it starts nothing.
            return None
        content = read_linked_file(path, _MAX_BYTES)
        return content if isinstance(content, ReadFailure) else (content, 0)
    if stat.S_ISLNK(status.st_mode):
        content = read_behind(path, _MAX_BYTES)
        if isinstance(content, ReadFailure):
            return content if content.blocked else None
        return content, status.st_uid
    return None


def _paths_in(text: str, file: str, home: str | None) -> Iterator[str]:
    """Yield the absolute paths a file's text names, as far as they stand there."""
    whole = list(_json_strings(text)) if file.endswith(".json") else []
    if whole:
        # A path with spaces is one string there.
        yield from (one for one in whole if one.startswith("/") and "\0" not in one)
        text = "\n".join(whole)
    text = text.replace("\0", " ")
    if home is not None:
        for word in ("${HOME}", "$HOME", "%h"):
            text = text.replace(word, home)
    for word in _BETWEEN.split(text):
        if home is not None and word.startswith("~/"):
            yield f"{home}{word[1:]}"
        # systemd allows signs before a program.
        path = word.lstrip("@-+!")
        if path.startswith("/") and len(path) > 1 and not path.startswith(_OF_THE_SYSTEM):
            yield path


def _json_strings(text: str) -> Iterator[str]:
    try:
        waiting = [json.loads(text)]
    except (ValueError, RecursionError):
        return
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _environments(path: str) -> Iterator[str]:
    """Yield the environments that a path means.

    That which it is, or lies in ``bin`` of; the ``.venv`` in it or, of a script, beside it; and a
    folder of packages, as ``PYTHONPATH`` names it (``uv pip install --target``).
    """
    path = path.rstrip("/")
    outer = path.rpartition("/bin/")[0]
    for folder in (path, outer):
        if folder and may_be_there(f"{folder}/pyvenv.cfg"):
            yield folder
    for project in (f"{path}/.venv", f"{os.path.dirname(path).rstrip('/')}/.venv"):
        if may_be_there(project):
            yield project
    if holds_distributions(path):
        yield path


def _home_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_dir or None
    except (KeyError, OverflowError):
        return None


def _unseen(path: str, reason: str) -> Unseen:
    return Unseen("named-in-file", path, reason, hides_archives=False)
