"""Who comes back together: one sprung tripwire proves a whole environment.

A program imports only part of what is installed with it, so the archives it
touched are not all it needs. What belongs to the same environment is recorded
nowhere; three things tell it well enough, and err to the safe side:

- what the package requires, and what those require, by ``Requires-Dist``, over
  all archives of the cache, on trial or not;
- what the same owner unpacked within the same minutes: one ``uv sync`` does that;
- for a cached environment, every archive that its links name.

Who is known is seen as a whole, but for what lies in an entry on trial: no look goes
there. So of what comes back for the sake of a user who is known, the last holds too.
"""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Collection, Iterator
from functools import partial
from itertools import islice

from cacheadmin.evidence.tools import requirements_in
from cacheadmin.fs.small_files import ReadFailure, open_directory_beneath, read_file
from cacheadmin.fs.walk import files_below
from cacheadmin.packages.names import normalized
from cacheadmin.readers import Question, Readers, Unreadable, note_step
from cacheadmin.text.timestamps import NANOSECONDS
from cacheadmin.trial.folder import PLACE, TrialFolder
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER, trial_name

_METADATA_BYTES = 1024 * 1024
_SAME_MINUTES_NS = 5 * 60 * NANOSECONDS

# A user may make an environment of any size; in real ones a link of each
# distribution lies no deeper than this, and there are fewer.
_LINK_DEPTH = 6
_MAX_LINKS = 200_000

_DIST_INFO = ".dist-info"
_LINKED = re.compile(r"/archive-v0/(?:cacheadmin\.trial/)?([A-Za-z0-9_-]{1,64})/")


def kin_of(
    folder: TrialFolder,
    used: Collection[str],
    on_trial: Collection[str],
    known: Collection[str] = (),
) -> dict[str, str]:
    """Return which entries on trial come back with those that were used, each with why.

    ``on_trial`` are all entries on trial; none of ``used`` is in the answer. ``known`` come
    back for a user who is known, and so with what they link. A reader looks: the user who
    unpacked an archive can write in it. Where none can, all come back.
    """
    others = frozenset(on_trial).difference(used, known)
    if not others or not (used or known):
        return {}
    question: Question[frozenset[str], dict[str, str]] = Question(
        partial(_kin_among, folder, tuple(used), tuple(known)), dict[str, str]
    )
    with Readers(keep=(folder.cache_fd, folder.fd)) as readers:
        answer = readers.ask(question, others)
    if isinstance(answer, Unreadable):
        first = next(iter((*used, *known)))
        why = f"what belongs to {first} could not be told: {answer.reason}"
        return dict.fromkeys(others, why)
    # Of what was asked for, whatever a reader says.
    return {entry: why for entry, why in answer.items() if entry in others}


def _kin_among(
    folder: TrialFolder, used: Collection[str], known: Collection[str], others: Collection[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for entry, why in (
        *_unpacked_together(folder, used, others),
        *_required(folder, used, others),
        *_linked(folder, (*used, *known), others),
    ):
        found.setdefault(entry, why)
    return found


def _unpacked_together(
    folder: TrialFolder, used: Collection[str], others: Collection[str]
) -> Iterator[tuple[str, str]]:
    moments: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for entry in used:
        status = _status(folder, entry)
        if status is not None:
            moments[status.st_uid].append((status.st_mtime_ns, entry))
    for entry in others:
        status = _status(folder, entry)
        if status is None:
            continue
        for moment_ns, other in moments[status.st_uid]:
            if abs(moment_ns - status.st_mtime_ns) <= _SAME_MINUTES_NS:
                yield entry, f"unpacked within the same minutes as {other}"
                break


def _required(
    folder: TrialFolder, used: Collection[str], others: Collection[str]
) -> Iterator[tuple[str, str]]:
    archives = _archives_by_package(folder)
    places = {place: package for package, all_of in archives.items() for place, _ in all_of}
    waiting = [place for place in map(_place, used) if place in places]
    seen = set(waiting)
    while waiting:
        place = waiting.pop()
        for name in _requirements(folder, place):
            for other, entry in archives.get(name, ()):
                if other in seen:
                    continue
                seen.add(other)
                waiting.append(other)
                if entry in others:
                    yield entry, f"required by {places[place]}"


def _linked(
    folder: TrialFolder, used: Collection[str], others: Collection[str]
) -> Iterator[tuple[str, str]]:
    for environment in used:
        place = _place(environment)
        try:
            parent_fd = open_directory_beneath(folder.cache_fd, os.path.dirname(place))
        except OSError:
            continue
        try:
            name = os.path.basename(place)
            files = files_below(parent_fd, name, name, depth=_LINK_DEPTH, failures=[])
            for _, fd, link, status in islice(files, _MAX_LINKS):
                if not stat.S_ISLNK(status.st_mode):
                    continue
                found = _LINKED.search(_text(link, fd))
                entry = f"{ARCHIVES}/{found[1]}" if found else ""
                if entry in others:
                    yield entry, f"{environment} links to it"
        finally:
            os.close(parent_fd)


def _archives_by_package(folder: TrialFolder) -> dict[str, list[tuple[str, str]]]:
    """Return (place, entry) of every archive of the cache, by the package it holds.

    The place is where it lies now, which is never reached through a tripwire.
    """
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for where in (ARCHIVES, PLACE):
        fd = open_directory_beneath(folder.cache_fd, where)
        try:
            with os.scandir(fd) as listing:
                names = [
                    one.name
                    for one in listing
                    if one.name != TRIAL_FOLDER and one.is_dir(follow_symlinks=False)
                ]
            for name in names:
                note_step()
                dist_info = _dist_info(fd, name)
                if dist_info is not None:
                    package = normalized(dist_info.partition("-")[0])
                    found[package].append((f"{where}/{name}", f"{ARCHIVES}/{name}"))
        finally:
            os.close(fd)
    return found


def _requirements(folder: TrialFolder, place: str) -> frozenset[str]:
    where, _, name = place.rpartition("/")
    try:
        fd = open_directory_beneath(folder.cache_fd, where)
    except OSError:
        return frozenset()
    try:
        dist_info = _dist_info(fd, name)
        if dist_info is None:
            return frozenset()
        inner = open_directory_beneath(fd, f"{name}/{dist_info}")
        try:
            content = read_file("METADATA", _METADATA_BYTES, inner)
        finally:
            os.close(inner)
    except OSError:
        return frozenset()
    finally:
        os.close(fd)
    return frozenset() if isinstance(content, ReadFailure) else requirements_in(content)


def _dist_info(parent_fd: int, name: str) -> str | None:
    try:
        fd = open_directory_beneath(parent_fd, name)
    except OSError:
        return None
    try:
        with os.scandir(fd) as listing:
            return next((one.name for one in listing if one.name.endswith(_DIST_INFO)), None)
    except OSError:
        return None
    finally:
        os.close(fd)


def _status(folder: TrialFolder, entry: str) -> os.stat_result | None:
    try:
        return os.stat(trial_name(entry) or "", dir_fd=folder.fd, follow_symlinks=False)
    except OSError:
        return None


def _place(entry: str) -> str:
    return f"{PLACE}/{trial_name(entry)}"


def _text(link: str, folder_fd: int) -> str:
    try:
        return os.readlink(link, dir_fd=folder_fd)
    except OSError:
        return ""
