"""Environments to scan, each once, with all sources that name it."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import EnvironmentKind
from cacheadmin.evidence.kinds import NamedFolder
from cacheadmin.evidence.redirects import NAMES, redirected
from cacheadmin.evidence.targets import TargetPlace, lies_in_another_root, root_of
from cacheadmin.fs.resolution import resolve
from cacheadmin.readers import Unreadable
from cacheadmin.uv.layout import parse_bucket_name
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.environments import Candidate
    from cacheadmin.evidence.targets import CacheLocator


@frozen
class FolderAt:
    """Which folder a path leads to."""

    path: str
    """The folder's own place: no link is on the way, but the last name may be one."""
    identity: tuple[int, int] | None
    """Device and inode of the folder; None for a link, a file, and what is not there."""
    in_bucket: bool
    """Whether it lies in a bucket of the cache."""
    view: str = ""
    """What its links are read in: "" for this process's own root and mounts, else which others."""
    is_unchanged: bool = False
    """Whether it is an environment that is as it was when it was last looked at."""


Places = Callable[[Sequence[NamedFolder]], Sequence[FolderAt | Unreadable]]


def folder_at(path: str, locator: CacheLocator, status: os.stat_result | None = None) -> FolderAt:
    """Return which folder a path leads to; ``status``: what ``lstat`` said of that path.

    A ``.venv`` that is a file leads to the environment that it names; one that names a cached
    environment is a use of that, as a link there is, and leads nowhere else.
    """
    own = _own_place(path)
    known = status if own == path else None
    is_folder = known is not None and stat.S_ISDIR(known.st_mode)
    if not is_folder and os.path.basename(own) in NAMES and os.path.isfile(own):
        named = redirected(own)
        if isinstance(named, str):
            place = _own_place(named)
            if _lies_in_a_bucket(place, locator):
                return FolderAt(own, None, in_bucket=False, view=_view_of(own))
            own, known = place, None
    in_bucket = _lies_in_a_bucket(own, locator)
    return FolderAt(own, _identity(own, known), in_bucket, _view_of(own))


class DistinctCandidates:
    """Candidates without repeats: one for each folder, with all its sources.

    What lies in a bucket of the cache is an environment only as
    ``cached_environments`` names it, however else it was found.

    A path is one way to a folder, and its owner may lead it elsewhere the next
    moment: through a link in a home, to another user's environment and back.
    So links on the way are resolved here, once, and what is looked at from now
    on is the folder's own place. Else a stranger's way could take the place of
    an owner's, and the environment would be judged by what the stranger shows.

    The same folder seen in other mounts is a candidate of its own: its links may lead
    elsewhere there, and any account can make such mounts (``unshare --user --mount``).

    ``places`` resolves: in readers, since what is on the way is its owner's to choose.
    """

    def __init__(self, places: Places) -> None:
        self._places = places
        self._by_identity: dict[object, Candidate] = {}
        self.unreadable: dict[str, Unreadable] = {}
        """Paths that no reader could resolve, each with why."""
        self.identities: dict[str, tuple[int, int]] = {}
        """Device and inode of each folder, by its own place."""
        self.unchanged: set[tuple[int, int]] = set()
        """Environments that are as they were when they were last looked at."""

    def add(self, candidates: Iterable[Candidate]) -> None:
        """Add candidates, each as a new one or as a source of one that is the same folder."""
        listed = tuple(candidates)
        places = self._places_of([NamedFolder(one.path, one.registrant) for one in listed])
        for candidate, place in zip(listed, places, strict=True):
            if isinstance(place, Unreadable):
                self.unreadable[candidate.path] = place
                self._add(candidate, FolderAt(candidate.path, None, in_bucket=False))
            else:
                self._add(replace(candidate, path=place.path), place)

    def _places_of(self, named: Sequence[NamedFolder]) -> list[FolderAt | Unreadable]:
        """Return where each leads: a path that several sources name is looked at once.

        Where that fails it may have failed for who else names it, so then it is
        looked at for each of them; a path leads to the same place for all.
        """
        firsts: dict[str, NamedFolder] = {}
        for one in named:
            # Without an account's name it counts as its owner's.
            if one.path not in firsts or one.uid is None:
                firsts[one.path] = one
        asked = list(firsts.values())
        answers = dict(zip(asked, self._places(asked), strict=True))
        rest = [
            one
            for one in dict.fromkeys(named)
            if one not in answers and isinstance(answers[firsts[one.path]], Unreadable)
        ]
        answers.update(zip(rest, self._places(rest), strict=True))
        best: dict[str, FolderAt | Unreadable] = {}
        for one, answer in answers.items():
            if isinstance(best.setdefault(one.path, answer), Unreadable):
                best[one.path] = answer
        return [best[one.path] for one in named]

    def _add(self, candidate: Candidate, place: FolderAt) -> None:
        # A link to an environment is a use of its own, and so is a file that names one: it may
        # be a project's `.venv` that leads into the cache.
        identity = (place.view, place.identity or place.path)
        if place.identity is not None:
            self.identities[place.path] = place.identity
            if place.is_unchanged:
                self.unchanged.add(place.identity)
        known = self._by_identity.get(identity)
        if known is None:
            if candidate.kind is EnvironmentKind.CACHED or not place.in_bucket:
                self._by_identity[identity] = candidate
            return
        sources = tuple(dict.fromkeys((*known.sources, *candidate.sources)))
        registrant = known.registrant if known.registrant is not None else candidate.registrant
        seen_ns = max(known.seen_ns, candidate.seen_ns)
        self._by_identity[identity] = replace(
            known,
            sources=sources,
            registrant=registrant,
            seen_ns=seen_ns,
            mount_point=known.mount_point or candidate.mount_point,
        )

    def candidates(self) -> tuple[Candidate, ...]:
        """Return what was found, by path."""
        return tuple(sorted(self._by_identity.values(), key=lambda found: found.path))


def _lies_in_a_bucket(path: str, locator: CacheLocator) -> bool:
    root = locator.identity.path.rstrip("/") + "/"
    if path.startswith(root):
        first = path.removeprefix(root).partition("/")[0]
        return parse_bucket_name(first) is not None
    return locator.locate(path, "/").place is TargetPlace.INSIDE


def _own_place(path: str) -> str:
    """Return a path without links on the way; a link at its end stays one.

    As it is where links mean another root, and where there is nothing to resolve.
    """
    if lies_in_another_root(path):
        return path
    folder, name = os.path.split(path.rstrip("/"))
    if name in ("", ".", ".."):
        return path
    try:
        return os.path.join(resolve(folder or "/"), name)
    except (OSError, ValueError):
        return path


def _view_of(path: str) -> str:
    """Return what tells apart where the links in a folder are read; "" for our own root.

    Processes of one container share it: they have the same mounts and the same root.
    """
    root = root_of(path)
    if not root:
        return ""
    try:
        status = os.stat(f"{root}/")
        mounts = os.readlink(f"{os.path.dirname(root)}/ns/mnt")
    except OSError:
        return root
    return f"{mounts} {status.st_dev}:{status.st_ino}"


def _identity(path: str, status: os.stat_result | None) -> tuple[int, int] | None:
    try:
        status = status or os.lstat(path)
    except OSError:
        return None
    return None if stat.S_ISLNK(status.st_mode) else (status.st_dev, status.st_ino)
