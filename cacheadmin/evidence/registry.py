"""The registry: a folder of links, one an environment, made by the users themselves.

The folder is sticky and world-writable, like ``/tmp``: everybody may add a
link to an environment and only its owner may remove it. A link can only keep
something alive, so nobody's link can do harm.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.fs.reading import failure

_MAX_ENTRIES = 100_000


def registered(folder: str) -> Iterator[Candidate | Unseen]:
    """Yield what a registry folder names; a link's owner is the registrant."""
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _MAX_ENTRIES:
                    reason = f"more than {_MAX_ENTRIES} entries"
                    yield Unseen("registry", folder, reason, hides_archives=True)
                    return
                yield from _entry(entry)
    except OSError as error:
        problem = failure(folder, error)
        yield Unseen("registry", folder, problem.reason, hides_archives=True)


def _entry(entry: os.DirEntry[str]) -> Iterator[Candidate]:
    try:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return
        target = os.readlink(entry.path)
    except OSError:
        return
    path = os.path.normpath(os.path.join(os.path.dirname(entry.path), target))
    yield Candidate(path, kind_of(path) or EnvironmentKind.VENV, ("registry",), status.st_uid)
