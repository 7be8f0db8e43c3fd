"""One walk over a whole cache, for all rules that ask about its files.

Problem: a cache has millions of files, a dozen rules want to know something of
each, and users can write in it while we look, as root. So there is one walk; it
goes through descriptors, follows no link, enters no other mount and no tree
deeper than any release writes; and it counts instead of listing
(``survey_tallies``). What could not be looked at is named, never left out.

Every entry is judged by the status the kernel gave for that very entry:
folders by their open descriptor, everything else as listed. A user who swaps
one for another meanwhile gets the other one judged.

Of our own folders only a quarantine that no other user can write to is left
out. Roots that `cacheadmin protect` plants are looked at as all else: a folder of
that name would be too good a place to hide things.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cacheadmin.audit.sharing import Sharing, sharing_of
from cacheadmin.audit.survey_judging import LOCK, MARKER, Judge, Standard, joined
from cacheadmin.audit.survey_links import LinkJudge
from cacheadmin.audit.survey_tallies import Problem, Tallies
from cacheadmin.audit.survey_zones import Place, Zone
from cacheadmin.evidence.questions import locator_for
from cacheadmin.fs.measuring import in_threads
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.reading import ReadFailure, failure, open_directory, open_directory_beneath
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.audit.subject import Subject

# Each level holds a descriptor, in each of several threads; real caches are 30 deep.
_MAX_DEPTH = 64

# More parts than threads, so that one large part does not leave the others idle.
_PARTS = 64

_OWN_QUARANTINE = ".cacheadmin"
_OWN_TRIALS = f"{ARCHIVES}/{TRIAL_FOLDER}"
_SUSPICIOUS = stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH
_OTHER_FILESYSTEM = "another filesystem is mounted there, which is not looked at"


@frozen
class Survey:
    """What the walk over a cache counted."""

    sharing: Sharing
    """The root's rights, which all entries were held against."""
    tallies: Tallies
    """The counts."""


def take_survey(subject: Subject) -> Survey:
    """Walk over the cache of an audit. Raises OSError when its root can't be read."""
    situation = subject.situation
    evidence = situation.evidence
    root_fd, identity = situation.cache.fd, situation.cache.identity
    standard = Standard(
        sharing=sharing_of(root_fd, evidence.filesystem),
        device=os.fstat(root_fd).st_dev,
        mounts=_mounts_below(identity.path),
        links=LinkJudge(
            identity.path,
            subject.policy.aliases,
            locator_for(subject.policy, situation.inventory),
        ),
        explained=frozenset(
            archive
            for environment in evidence.environments
            for archive in environment.hardlinked_archives
        ),
        on_trial=situation.inventory.on_trial,
    )
    return Survey(standard.sharing, _walk(root_fd, standard))


@frozen
class _Folder:
    """A folder that is still to be looked into; ``path`` is relative to the cache."""

    path: str
    place: Place


def _walk(root_fd: int, standard: Standard) -> Tallies:
    tallies = Tallies()
    top = _Walk(standard, tallies)
    # The root and the archive buckets here, all below in parts of about equal size.
    pending: list[_Folder] = []
    for folder in top.look_into(root_fd, _Folder("", Place())):
        if folder.place.kind == "archive":
            pending += top.visit(root_fd, folder)
        else:
            pending.append(folder)

    def walk_part(part: Sequence[_Folder]) -> Tallies:
        counted = Tallies()
        walk = _Walk(standard, counted)
        for folder in part:
            walk.descend(root_fd, folder, folder.path, 0)
        return counted

    parts = [pending[start::_PARTS] for start in range(min(_PARTS, len(pending)))]
    for counted in in_threads(walk_part, parts):
        tallies.merge(counted)
    tallies.settle_links()
    return tallies


@dataclass(slots=True)
class _Walk:
    standard: Standard
    tallies: Tallies
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.standard, self.tallies)

    def visit(self, parent_fd: int, folder: _Folder) -> list[_Folder]:
        """Look into one folder, by its path from an open one; return the folders in it."""
        fd = self._open(parent_fd, folder.path, folder)
        if fd is None:
            return []
        try:
            return self.look_into(fd, folder)
        finally:
            os.close(fd)

    def descend(self, parent_fd: int, folder: _Folder, name: str, depth: int) -> None:
        """Look into a folder and everything below it.

        ``name`` leads there from the open parent; only the first one has
        several parts, through folders the walk has been in.
        """
        fd = self._open(parent_fd, name, folder)
        if fd is None:
            return
        try:
            inner = self.look_into(fd, folder)
            if inner and depth >= _MAX_DEPTH:
                reason = "deeper than any uv release writes"
                self.tallies.add_unread(ReadFailure(folder.path, reason, blocked=True))
                return
            for found in inner:
                self.descend(fd, found, found.path.rpartition("/")[2], depth + 1)
        finally:
            os.close(fd)

    def look_into(self, fd: int, folder: _Folder) -> list[_Folder]:
        """Judge an open folder and what it holds that is no folder; return those in it."""
        inner: list[_Folder] = []
        owners: dict[int, list[str]] = {}
        counted: dict[int, int] = {}
        path, place = folder.path, folder.place
        needed = place.zone is Zone.NEEDED
        # The names of git's locks have no ending of their own.
        endings = ("",) if place.kind == "git" else (LOCK, MARKER)
        gid = self.standard.gid
        judges_group = gid is not None and place.zone is not Zone.LOOSE
        try:
            self.judge.folder(fd, path, place)
        except OSError as error:
            self._note(path, error)
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    name = entry.name
                    if entry.is_symlink() and joined(path, name) in self.standard.on_trial:
                        continue
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self._note(joined(path, name), error)
                        continue
                    mode, uid = status.st_mode, status.st_uid
                    counted[uid] = counted.get(uid, 0) + 1
                    if uid not in owners:
                        owners[uid] = [joined(path, name)]
                    if stat.S_ISDIR(mode):
                        if self._is_to_be_entered(path, name, status):
                            inner.append(_Folder(joined(path, name), place.below(name)))
                    elif (
                        not stat.S_ISREG(mode)
                        or mode & _SUSPICIOUS
                        or status.st_nlink > 1
                        or self.judge.may_be_unreadable(mode)
                        or (judges_group and status.st_gid != gid)
                        or (needed and name.endswith(endings))
                    ):
                        self._judge(fd, folder, name, status)
        except OSError as error:
            self._note(path, error)
        for uid, count in counted.items():
            self.tallies.add(Problem.OWNED, uid, place.bucket, owners[uid], count)
            self.tallies.entries += count
        return inner

    def _open(self, parent_fd: int, name: str, folder: _Folder) -> int | None:
        try:
            if "/" in name:
                fd = open_directory_beneath(parent_fd, name)
            else:
                fd = open_directory(name, parent_fd)
        except NotADirectoryError:
            # It was a folder when it was listed; uv never puts anything else in its place.
            self.tallies.add_unread(
                ReadFailure(folder.path, "replaced while we looked", blocked=True)
            )
            return None
        except OSError as error:
            self._note(folder.path, error)
            return None
        if os.fstat(fd).st_dev == self.standard.device:
            return fd
        os.close(fd)
        self.tallies.add_unread(ReadFailure(folder.path, _OTHER_FILESYSTEM, blocked=True))
        return None

    def _is_to_be_entered(self, path: str, name: str, status: os.stat_result) -> bool:
        full = joined(path, name)
        if status.st_dev != self.standard.device or full in self.standard.mounts:
            self.tallies.add_unread(ReadFailure(full, _OTHER_FILESYSTEM, blocked=True))
            return False
        ours = (0, os.geteuid())
        return not (
            full in (_OWN_QUARANTINE, _OWN_TRIALS)
            and status.st_uid in ours
            and not status.st_mode & 0o022
        )

    def _judge(self, fd: int, folder: _Folder, name: str, status: os.stat_result) -> None:
        # One at a time: an entry that vanishes here must not hide those after it.
        try:
            if stat.S_ISREG(status.st_mode):
                self.judge.file(fd, folder.path, folder.place, name, status)
            else:
                self.judge.other(fd, folder.path, folder.place, name, status)
        except OSError as error:
            self._note(joined(folder.path, name), error)

    def _note(self, path: str, error: OSError) -> None:
        # Gone, or swapped for something else, meanwhile: that is no riddle.
        problem = failure(path, error)
        if not problem.missing:
            self.tallies.add_unread(problem)


def _mounts_below(cache_path: str) -> frozenset[str]:
    """Return the paths in the cache that something is mounted on, bind mounts included."""
    prefix = cache_path.rstrip("/") + "/"
    return frozenset(
        mount.mount_point.removeprefix(prefix)
        for mount in read_mounts()
        if mount.mount_point.startswith(prefix)
    )
