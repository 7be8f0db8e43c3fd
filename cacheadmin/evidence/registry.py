"""The registry: a folder of links, one an environment, made by the users themselves.

The folder is sticky and world-writable, like ``/tmp``: every user may add a
link to an environment and only its owner may remove it. A link can only keep
something alive; how much time it may cost is limited for each account.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from itertools import chain, islice
from typing import TYPE_CHECKING, Protocol

from cacheadmin.evidence.away import why_registry_is_empty
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import EnvironmentKind, Unseen
from cacheadmin.evidence.kinds import (
    IDENTITY,
    KIND,
    NamedFolder,
    folder_identity,
    folder_kind,
)
from cacheadmin.fs.small_files import failure
from cacheadmin.readers import Question, Unreadable
from cacheadmin.text.accounts import account_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.readers import Readers

MAX_ENTRIES = 1_000_000

# Each takes a few microseconds; under the lock there is no time for a million.
MAX_ENTRIES_UNDER_LOCK = 25_000

# Links of one account that came since the plan, and are looked at under the lock.
MAX_NEW_OF_ONE = 100

# Links looked at of each account.
_MAX_OF_ONE = 10_000

# Names in one part of an answer.
_PART = 5_000

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


@frozen
class RegistryName:
    """A name in a registry folder."""

    name: str
    """The name."""
    uid: int
    """Its owner."""
    target: str | None
    """Where it leads, as the link says; None for what is no link."""


def list_names(folder: str) -> Iterator[tuple[RegistryName, ...]]:
    """Yield the names of a registry folder, in parts; what can't be looked at is left out."""
    found: list[RegistryName] = []
    try:
        with os.scandir(folder) as entries:
            for entry in islice(entries, MAX_ENTRIES):
                try:
                    owner = entry.stat(follow_symlinks=False).st_uid
                    target = os.readlink(entry.path) if entry.is_symlink() else None
                except OSError:
                    continue
                found.append(RegistryName(entry.name, owner, target))
                if len(found) >= _PART:
                    yield tuple(found)
                    found.clear()
    except OSError:
        # An unreadable registry is told by everything that looks for environments.
        pass
    yield tuple(found)


NAMES: Question[str, tuple[RegistryName, ...]] = Question(
    list_names, tuple[RegistryName, ...], in_parts=True
)


def taken_names(
    folder: str, paths: Mapping[str, int], readers: Readers
) -> Iterator[tuple[str, int, int]]:
    """Yield (name, its owner, whose it should be) of links that stand in another's place.

    ``paths`` are known environments with their owners: names of the old form
    say nothing themselves.
    """
    old = {old_entry_name(path): (path, uid) for path, uid in paths.items()}
    (reply,) = readers.replies(NAMES, [folder])
    # What it hides is told by the source, which lists the registry before.
    for entry in chain.from_iterable(reply.parts):
        meant = named_account(entry.name)
        if meant is None and entry.name in old:
            path, uid = old[entry.name]
            meant = entry.uid if entry.target == path else uid
        if meant is not None and meant != entry.uid:
            yield entry.name, entry.uid, meant


def _digest(path: str) -> str:
    return hashlib.blake2b(os.fsencode(path), digest_size=8).hexdigest()


@frozen
class Listed:
    """What a registry folder holds, or a part of it."""

    targets: tuple[tuple[int, str], ...] = ()
    """Each link's owner, and the absolute path that it leads to."""
    links: Mapping[int, int] = field(default_factory=dict)
    """How many links each account has; more than are in ``targets`` where it has too many."""
    is_cut: bool = False
    """Whether there are more entries than were looked at."""
    reason: str = ""
    """Why it can't be listed; empty where it can."""
    uid: int | None = None
    """The account that is the reason; None where none is, or it is unknown."""
    changed_ns: int | None = None
    """Modification time of the folder before it was listed, in ns; None where it has none."""


@frozen
class RegistryFolder:
    """A registry folder to be listed."""

    path: str
    """Its absolute path."""
    most: int = MAX_ENTRIES
    """So many names are looked at."""


def list_registry(registry: RegistryFolder) -> Iterator[Listed]:
    """Yield what a registry folder holds, in parts."""
    links: Counter[int] = Counter()
    targets: list[tuple[int, str]] = []
    is_cut, is_empty, reason = False, True, ""
    changed_ns = None
    try:
        # Before the listing: a change during it must look like a later one.
        changed_ns = os.stat(registry.path).st_mtime_ns
        with os.scandir(registry.path) as entries:
            for number, entry in enumerate(entries):
                is_empty = False
                if number >= registry.most:
                    is_cut = True
                    break
                target = _target(entry, links)
                if target is not None:
                    targets.append(target)
                    if len(targets) >= _PART:
                        yield Listed(tuple(targets))
                        targets.clear()
        if is_empty:
            reason = why_registry_is_empty(registry.path)
    except OSError as error:
        # Of the folder, or of a link in it: that one may lead to any environment.
        reason = failure(registry.path, error).reason
    yield Listed(tuple(targets), dict(links), is_cut, reason, changed_ns=changed_ns)


REGISTRY: Question[RegistryFolder, Listed] = Question(list_registry, Listed, in_parts=True)


class Eyes(Protocol):
    """Looks at a registry, and at folders that its links lead to: they may be anything."""

    def listing(self, registry: RegistryFolder) -> Listed:
        """Return what a registry folder holds."""

    def identities(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[tuple[int, int] | Unreadable | None]:
        """Return each folder's device and inode; None for one that is gone, or closed."""

    def kinds(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[EnvironmentKind | Unreadable | None]:
        """Return what sort of environment each is."""


@frozen
class ReaderEyes:
    """Looks in readers."""

    readers: Readers
    """The readers."""
    deadline_seconds: float | None = None
    """The time for each answer, if it is less than the readers' own."""

    def listing(self, registry: RegistryFolder) -> Listed:
        """Return what a registry folder holds."""
        (reply,) = self.readers.replies(
            REGISTRY, [registry], deadline_seconds=self.deadline_seconds
        )
        listed = _joined(reply.parts)
        if reply.failed is None:
            return listed
        return replace(listed, reason=reply.failed.reason, uid=reply.failed.uid)

    def identities(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[tuple[int, int] | Unreadable | None]:
        """Return each folder's device and inode."""
        return self.readers.ask_all(IDENTITY, folders, deadline_seconds=self.deadline_seconds)

    def kinds(
        self, folders: Sequence[NamedFolder]
    ) -> Sequence[EnvironmentKind | Unreadable | None]:
        """Return what sort of environment each is."""
        return self.readers.ask_all(KIND, folders, deadline_seconds=self.deadline_seconds)


class OwnEyes:
    """Looks in this process: for what is one's own."""

    def listing(self, registry: RegistryFolder) -> Listed:
        """Return what a registry folder holds."""
        return _joined(list_registry(registry))

    def identities(self, folders: Sequence[NamedFolder]) -> Sequence[tuple[int, int] | None]:
        """Return each folder's device and inode."""
        return [folder_identity(one) for one in folders]

    def kinds(self, folders: Sequence[NamedFolder]) -> Sequence[EnvironmentKind | None]:
        """Return what sort of environment each is."""
        return [folder_kind(one) for one in folders]


def _joined(parts: Iterable[Listed]) -> Listed:
    """Return parts as one; the last one has the counts."""
    targets: list[tuple[int, str]] = []
    last = Listed()
    for part in parts:
        targets += part.targets
        last = part
    return replace(last, targets=tuple(targets))


def registered(
    folder: str,
    known: Container[str] = (),
    eyes: Eyes | None = None,
    *,
    most: int = MAX_ENTRIES,
) -> Iterator[Candidate | Unseen]:
    """Yield what a registry folder names, as `named_by` with nothing known before."""
    eyes = OwnEyes() if eyes is None else eyes
    yield from named_by(eyes.listing(RegistryFolder(folder, most)), folder, known, eyes, most=most)


def named_by(
    listed: Listed,
    folder: str,
    known: Container[str],
    eyes: Eyes,
    *,
    most: int,
    most_new: int | None = None,
) -> Iterator[Candidate | Unseen]:
    """Yield what a listed registry folder names; a link's owner is the registrant.

    Links of one account to one folder are one, by whatever path; those to paths
    in ``known``, and to where these lead, are left out. Of each account so many
    links are looked at: what is beyond is said, with its name. ``most`` names are
    looked at in all; with ``most_new``, where there is little time, those in ``known``
    not at all, and so many others of each account.
    """
    if listed.is_cut:
        yield _crowded(folder, most, Counter(listed.links))
    if listed.reason:
        yield Unseen("registry", folder, listed.reason, hides_archives=True, uid=listed.uid)
    for uid in (uid for uid, number in listed.links.items() if number > _MAX_OF_ONE):
        reason = f"{account_name(uid)} has more than {_MAX_OF_ONE} links in it"
        yield Unseen("registry", folder, reason, hides_archives=True, uid=uid)
    targets = list(listed.targets)
    if most_new is not None:
        targets = []
        counts: Counter[int] = Counter()
        for uid, path in listed.targets:
            if path not in known:
                counts[uid] += 1
                if counts[uid] <= most_new:
                    targets.append((uid, path))
        for uid in (uid for uid, number in counts.items() if number > most_new):
            reason = f"{account_name(uid)} has just made more than {most_new} links in it"
            yield Unseen("registry", folder, reason, hides_archives=True, uid=uid)
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
    """Return a link's owner and where it leads; None for what is none, or one too many.

    Raises OSError for one that is there and can't be read.
    """
    try:
        if not entry.is_symlink():
            return None
        status = entry.stat(follow_symlinks=False)
        links[status.st_uid] += 1
        if links[status.st_uid] > _MAX_OF_ONE:
            return None
        target = os.readlink(entry.path)
    except FileNotFoundError:
        return None
    path = os.path.normpath(os.path.join(os.path.dirname(entry.path), target))
    return status.st_uid, path
