"""One walk over a whole cache, for all rules that ask about its files.

SurveyProblem: a cache has millions of files, a dozen rules want to know something of
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
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

from cacheadmin.audit.shared_rights import Sharing, sharing_of
from cacheadmin.audit.survey.tallies import SentTallies, SurveyProblem, Tallies
from cacheadmin.audit.survey.verdicts import LOCK, MARKER, Judge, Standard, joined
from cacheadmin.audit.survey.zones import FolderPlace, Zone
from cacheadmin.audit.survey_links import LinkJudge
from cacheadmin.evidence.questions import locator_for
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.small_files import ReadFailure, failure, open_directory, open_directory_beneath
from cacheadmin.readers import Question, note_owner
from cacheadmin.uv.layout import ARCHIVES, TRIAL_FOLDER
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.readers import Reply
    from cacheadmin.snapshot.snapshot import Snapshot

# Each level holds a descriptor; real caches are 30 deep.
_MAX_DEPTH = 64

# What one part of an answer counts; a slow disk is none that hangs.
_PART_ENTRIES = 50_000
_PART_SECONDS = 2.0

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


def take_survey(snapshot: Snapshot) -> Survey:
    """Walk over the cache of an audit. Raises OSError when its root can't be read."""
    sharing = sharing_of(snapshot.cache.fd, snapshot.evidence.filesystem)
    surveyor = Surveyor(snapshot, sharing)
    ask = partial(snapshot.readers.replies, surveyor.question)
    tallies = Tallies()
    # The root and the archive buckets first, then all below: each folder is one answer.
    pending: list[Folder] = []
    for folder in _add(ask([SurveyTask(Folder("", FolderPlace()), deep=False)]), tallies):
        if folder.place.kind == "archive":
            pending += _add(ask([SurveyTask(folder, deep=False)]), tallies)
        else:
            pending.append(folder)
    _add(ask([SurveyTask(folder, deep=True) for folder in pending]), tallies)
    tallies.settle_links()
    return Survey(sharing, tallies)


def _add(replies: Iterable[Reply[SurveyTask, SurveyPart]], tallies: Tallies) -> list[Folder]:
    """Add what readers counted; return the folders that they have not looked into."""
    folders: list[Folder] = []
    for reply in replies:
        for part in reply.parts:
            folders += part.folders
            tallies.merge(Tallies.received(part.counted))
        if reply.failed is not None:
            path = reply.item.folder.path
            tallies.add_unread(ReadFailure(path, reply.failed.reason, blocked=True))
    return folders


@frozen
class Folder:
    """A folder that is to be looked into."""

    path: str
    """Its path relative to the cache; empty for the root."""
    place: FolderPlace
    """Where it lies."""


@frozen
class SurveyTask:
    """What a reader is to look into."""

    folder: Folder
    """The folder."""
    deep: bool
    """Whether with everything below it."""


@frozen
class SurveyPart:
    """A part of what a reader counted."""

    counted: SentTallies
    """The counts."""
    folders: tuple[Folder, ...] = ()
    """Folders that were met and not looked into."""


class Surveyor:
    """Looks into folders of a cache, in a reader."""

    def __init__(self, snapshot: Snapshot, sharing: Sharing) -> None:
        self._snapshot = snapshot
        self._sharing = sharing
        self._root_fd = root_fd = snapshot.cache.fd
        self.question: Question[SurveyTask, SurveyPart] = Question(
            self.look,
            SurveyPart,
            in_parts=True,
            whose=lambda task: _owner_of(root_fd, task.folder.path),
            together=64,
        )

    @cached_property
    def standard(self) -> Standard:
        """What entries are held against; made in the reader, since it looks at folders."""
        snapshot = self._snapshot
        identity = snapshot.cache.identity
        return Standard(
            sharing=self._sharing,
            device=os.fstat(self._root_fd).st_dev,
            mounts=_mounts_below(identity.path),
            links=LinkJudge(
                identity.path,
                snapshot.policy.aliases,
                locator_for(snapshot.policy, snapshot.inventory),
            ),
            explained=frozenset(
                archive
                for environment in snapshot.evidence.environments
                for archive in environment.hardlinked_archives
            ),
            on_trial=snapshot.inventory.on_trial,
        )

    def look(self, task: SurveyTask) -> Iterator[SurveyPart]:
        """Yield what was counted, in parts."""
        walk = _CacheWalk(self.standard, Tallies())
        folder = task.folder
        if not task.deep:
            inner = (
                walk.visit(self._root_fd, folder)
                if folder.path
                else walk.look_into(self._root_fd, folder)
            )
            yield SurveyPart(walk.tallies.sent(), tuple(inner))
            return
        since = time.monotonic()
        for _ in walk.descend(self._root_fd, folder, folder.path, 0):
            if walk.tallies.entries >= _PART_ENTRIES or time.monotonic() - since > _PART_SECONDS:
                yield SurveyPart(walk.taken())
                since = time.monotonic()
        yield SurveyPart(walk.taken())


def _owner_of(root_fd: int, path: str) -> int | None:
    return os.stat(path or ".", dir_fd=root_fd, follow_symlinks=False).st_uid


@dataclass(slots=True)
class _CacheWalk:
    standard: Standard
    tallies: Tallies
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.standard, self.tallies)

    def visit(self, parent_fd: int, folder: Folder) -> list[Folder]:
        """Look into one folder, by its path from an open one; return the folders in it."""
        fd = self._open(parent_fd, folder.path, folder)
        if fd is None:
            return []
        try:
            return self.look_into(fd, folder)
        finally:
            os.close(fd)

    def taken(self) -> SentTallies:
        """Return what was counted, and count again from nothing."""
        sent = self.tallies.sent()
        self.tallies = Tallies()
        self.judge = Judge(self.standard, self.tallies)
        return sent

    def descend(self, parent_fd: int, folder: Folder, name: str, depth: int) -> Iterator[None]:
        """Look into a folder and everything below it; yields after each folder.

        ``name`` leads there from the open parent; only the first one has
        several parts, through folders the walk has been in.
        """
        fd = self._open(parent_fd, name, folder)
        if fd is None:
            return
        try:
            inner = self.look_into(fd, folder)
            yield
            if inner and depth >= _MAX_DEPTH:
                reason = "deeper than any uv release writes"
                self.tallies.add_unread(ReadFailure(folder.path, reason, blocked=True))
                return
            for found in inner:
                yield from self.descend(fd, found, found.path.rpartition("/")[2], depth + 1)
        finally:
            os.close(fd)

    def look_into(self, fd: int, folder: Folder) -> list[Folder]:
        """Judge an open folder and what it holds that is no folder; return those in it."""
        inner: list[Folder] = []
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
                            inner.append(Folder(joined(path, name), place.below(name)))
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
            self.tallies.add(SurveyProblem.OWNED, uid, place.bucket, owners[uid], count)
            self.tallies.entries += count
        return inner

    def _open(self, parent_fd: int, name: str, folder: Folder) -> int | None:
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
        status = os.fstat(fd)
        if status.st_dev == self.standard.device:
            note_owner(status.st_uid)
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

    def _judge(self, fd: int, folder: Folder, name: str, status: os.stat_result) -> None:
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
