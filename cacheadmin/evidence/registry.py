"""The registry: a folder of links, one an environment, made by the users themselves.

The folder is sticky and world-writable, like ``/tmp``: everybody may add a
link to an environment and only its owner may remove it. A link can only keep
something alive, so nobody's link can do harm.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from itertools import islice

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.fs.reading import failure

_MAX_ENTRIES = 100_000

_NAME = re.compile(r"(\d{1,10})-[0-9a-f]{16}", re.ASCII)


def entry_name(uid: int, path: str) -> str:
    """Return what an account's link to an environment is called: ``61001-<16 hex digits>``.

    Anybody can work it out, and make a link of that name first. Then it does
    not belong to the account that it names, which is how that is noticed.
    """
    return f"{uid}-{_digest(path)}"


def old_entry_name(path: str) -> str:
    """Return what links to an environment were called before they held a uid."""
    return _digest(path)


def named_account(name: str) -> int | None:
    """Return whose link a name says it is; None for a name of another form."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found is not None else None


def taken_names(folder: str, paths: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """Yield (name, its owner, whose it should be) of links that stand in another's place.

    ``paths`` are known environments with their owners: names of the old form
    say nothing themselves.
    """
    old = {old_entry_name(path): (path, uid) for path, uid in paths.items()}
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, _MAX_ENTRIES):
                try:
                    owner = entry.stat(follow_symlinks=False).st_uid
                    meant = named_account(entry.name)
                    if meant is None and entry.name in old:
                        path, uid = old[entry.name]
                        to_it = entry.is_symlink() and os.readlink(entry.path) == path
                        meant = owner if to_it else uid
                except OSError:
                    continue
                if meant is not None and meant != owner:
                    yield entry.name, owner, meant
    except OSError:
        # An unreadable registry is told by everything that looks for environments.
        return


def _digest(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


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
