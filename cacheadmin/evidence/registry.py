"""The registry: a folder of links, one an environment, made by the users themselves.

The folder is sticky and world-writable, like ``/tmp``: everybody may add a
link to an environment and only its owner may remove it. A link can only keep
something alive; how much time it may cost is limited for each account.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Container, Iterator, Mapping
from itertools import islice

from cacheadmin.accounts import account_name
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import kind_of
from cacheadmin.fs.reading import failure

_MAX_ENTRIES = 100_000

# Links looked at of each account.
_MAX_OF_ONE = 10_000

Identity = tuple[int, int]

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


def registered(
    folder: str, known: Container[Identity] = frozenset()
) -> Iterator[Candidate | Unseen]:
    """Yield what a registry folder names; a link's owner is the registrant.

    Links of one account to one folder are one, by whatever path; folders in
    ``known`` (device, inode) are left out. Of each account so many links are
    looked at: what is beyond is said, with its name.
    """
    owners = _Owners(known)
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _MAX_ENTRIES:
                    reason = f"more than {_MAX_ENTRIES} entries"
                    yield Unseen("registry", folder, reason, hides_archives=True)
                    break
                yield from _entry(entry, owners)
    except OSError as error:
        problem = failure(folder, error)
        yield Unseen("registry", folder, problem.reason, hides_archives=True)
    for uid in owners.beyond:
        reason = f"{account_name(uid)} has more than {_MAX_OF_ONE} links in it"
        yield Unseen("registry", folder, reason, hides_archives=True, uid=uid)


class _Owners:
    """What was seen of each account: so many links, and folders that they lead to."""

    def __init__(self, known: Container[Identity]) -> None:
        self.beyond: set[int] = set()
        self._known = known
        self._links: dict[int, int] = {}
        self._seen: set[tuple[int, Identity]] = set()

    def may_have(self, uid: int) -> bool:
        """Count a link; whether it is still to be looked at."""
        self._links[uid] = self._links.get(uid, 0) + 1
        if self._links[uid] > _MAX_OF_ONE:
            self.beyond.add(uid)
            return False
        return True

    def is_new(self, uid: int, path: str) -> bool:
        """Whether a path leads to something that no link of this account led to before."""
        try:
            status = os.stat(path)
        except OSError:
            # Gone, or closed: what it may be is told by whoever scans it.
            return True
        identity = (status.st_dev, status.st_ino)
        if identity in self._known or (uid, identity) in self._seen:
            return False
        self._seen.add((uid, identity))
        return True


def _entry(entry: os.DirEntry[str], owners: _Owners) -> Iterator[Candidate]:
    try:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode) or not owners.may_have(status.st_uid):
            return
        target = os.readlink(entry.path)
    except OSError:
        return
    path = os.path.normpath(os.path.join(os.path.dirname(entry.path), target))
    if owners.is_new(status.st_uid, path):
        yield Candidate(path, kind_of(path) or EnvironmentKind.VENV, ("registry",), status.st_uid)
