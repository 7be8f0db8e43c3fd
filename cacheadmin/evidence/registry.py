"""The registry: a folder of links, one an environment, made by the users themselves.

The folder is sticky and world-writable, like ``/tmp``: every user may add a
link to an environment and only its owner may remove it. A link can only keep
something alive; how much time it may cost is limited for each account.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import NamedFolder, folder_identity, folder_kind
from cacheadmin.fs.reading import failure
from cacheadmin.readers import Unreadable
from cacheadmin.text.accounts import account_name

MAX_ENTRIES = 1_000_000

# Each takes a few microseconds; under the lock there is no time for a million.
MAX_ENTRIES_UNDER_LOCK = 100_000

# Links looked at of each account.
_MAX_OF_ONE = 10_000

_NAME = re.compile(r"(\d{1,10})-[0-9a-f]{16}", re.ASCII)


def entry_name(uid: int, path: str) -> str:
    """Return what an account's link to an environment is called: ``61001-<16 hex digits>``.

    Any user can work it out, and make a link of that name first. Then it does
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
            for entry in islice(entries, MAX_ENTRIES):
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


class Eyes(Protocol):
    """Looks at folders that registry links lead to: they may be anything."""

    def identities(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[tuple[int, int] | Unreadable | None]:
        """Return each folder's device and inode; None for one that is gone, or closed."""

    def kinds(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[EnvironmentKind | Unreadable | None]:
        """Return what sort of environment each is."""


class OwnEyes:
    """Looks in this process: for what is one's own."""

    def identities(self, folders: Sequence[NamedFolder]) -> Sequence[tuple[int, int] | None]:
        """Return each folder's device and inode."""
        return [folder_identity(one) for one in folders]

    def kinds(self, folders: Sequence[NamedFolder]) -> Sequence[EnvironmentKind | None]:
        """Return what sort of environment each is."""
        return [folder_kind(one) for one in folders]


def registered(
    folder: str,
    known: Container[str] = (),
    eyes: Eyes | None = None,
    *,
    most: int = MAX_ENTRIES,
) -> Iterator[Candidate | Unseen]:
    """Yield what a registry folder names; a link's owner is the registrant.

    Links of one account to one folder are one, by whatever path; those to paths
    in ``known``, and to where these lead, are left out. Of each account so many
    links are looked at: what is beyond is said, with its name. ``most`` names are
    looked at in all.
    """
    targets: list[tuple[int, str]] = []
    links: Counter[int] = Counter()
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= most:
                    yield _crowded(folder, most, links)
                    break
                target = _target(entry, links)
                if target is not None:
                    targets.append(target)
    except OSError as error:
        problem = failure(folder, error)
        yield Unseen("registry", folder, problem.reason, hides_archives=True)
    for uid in (uid for uid, number in links.items() if number > _MAX_OF_ONE):
        reason = f"{account_name(uid)} has more than {_MAX_OF_ONE} links in it"
        yield Unseen("registry", folder, reason, hides_archives=True, uid=uid)
    eyes = OwnEyes() if eyes is None else eyes
    new = list(_new(targets, known, eyes))
    for named, kind in zip(new, eyes.kinds(new), strict=True):
        known_kind = None if isinstance(kind, Unreadable) else kind
        yield Candidate(named.path, known_kind or EnvironmentKind.VENV, ("registry",), named.uid)


def _new(
    targets: list[tuple[int, str]], known: Container[str], eyes: Eyes
) -> Iterator[NamedFolder]:
    """Yield the folders that links lead to, of each account once, but for those that are known."""
    # First those that are known: another link to one of them is known, too.
    targets.sort(key=lambda one: one[1] not in known)
    named = [NamedFolder(path, uid) for uid, path in targets]
    seen: set[object] = set()
    for one, identity in zip(named, eyes.identities(named), strict=True):
        found = None if isinstance(identity, Unreadable) else identity
        key = (one.uid, found or one.path)
        if key not in seen and one.path not in known:
            yield one
        seen.add(key)


def _crowded(folder: str, most: int, links: Counter[int]) -> Unseen:
    """Return what a registry with too many entries hides, with who made most of them."""
    reason = f"more than {most} entries"
    uid = None
    if links:
        ((uid, count),) = links.most_common(1)
        reason += f", {count} of the first ones links of {account_name(uid)}"
    return Unseen("registry", folder, reason, hides_archives=True, uid=uid)


def _target(entry: os.DirEntry[str], links: Counter[int]) -> tuple[int, str] | None:
    """Return a link's owner and where it leads; None for what is none, or one too many."""
    try:
        status = entry.stat(follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            return None
        links[status.st_uid] += 1
        if links[status.st_uid] > _MAX_OF_ONE:
            return None
        target = os.readlink(entry.path)
    except OSError:
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(entry.path), target))
    return status.st_uid, path
