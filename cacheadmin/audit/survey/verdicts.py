"""What a survey says of one entry of a cache.

A folder is judged by its open descriptor, everything else by the status it was
listed with; access lists are read where they decide. Each judgement is one
count in ``survey_tallies``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from typing import TYPE_CHECKING

from cacheadmin.audit.survey.tallies import Linked, SurveyProblem, Tallies
from cacheadmin.audit.survey.zones import FolderPlace, Zone
from cacheadmin.audit.survey_links import LinkJudge, is_followed, is_interpreter
from cacheadmin.fs.access_lists import (
    ALL,
    ENTER,
    READ,
    WRITE,
    access_of,
    read_access_list_at,
    read_access_lists,
)
from cacheadmin.uv.layout import SOURCE_KINDS
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.audit.shared_rights import Sharing

LOCK, MARKER = ".lock", ".git"
_READ_BY_ALL = stat.S_IRGRP | stat.S_IROTH


@frozen
class Standard:
    """What entries are held against."""

    sharing: Sharing
    """The root's rights, and who the members are."""
    device: int
    """Device number of the cache's filesystem; other filesystems are not entered."""
    mounts: Collection[str]
    """Paths, relative to the cache, that something is mounted on."""
    links: LinkJudge
    """Decides which links lead out of the cache."""
    explained: Collection[str]
    """Ids of archives that known environments hold hard links to."""
    on_trial: Collection[str] = ()
    """Entries on trial, relative to the cache: the links in their places are ours."""

    @property
    def gid(self) -> int | None:
        """The group every entry should have; None where entries' groups don't matter."""
        return self.sharing.root.gid if self.sharing.by_owning_group else None


@frozen
class Judge:
    """Counts what is wrong with entries. Paths are relative to the cache."""

    standard: Standard
    """What entries are held against."""
    tallies: Tallies
    """Where what is wrong is counted."""

    def folder(self, fd: int, path: str, place: FolderPlace) -> None:
        """Judge an open folder. Raises OSError where its access lists can't be read."""
        status = os.fstat(fd)
        sharing, gid = self.standard.sharing, self.standard.gid
        if status.st_mode & stat.S_IWOTH:
            self._count(SurveyProblem.WORLD_WRITABLE, status, place, path)
        if place.zone is Zone.LOOSE or not path:
            return
        listed, default = read_access_lists(fd)
        needed = place.zone is Zone.NEEDED
        if not sharing.members_may(access_of(status, listed), ALL):
            problem = SurveyProblem.CLOSED_FOLDER if needed else SurveyProblem.CLOSED_INNER_FOLDER
            self._count(problem, status, place, path)
            if not needed and not sharing.members_may(access_of(status, listed), READ | ENTER):
                self._count(_unreadable(place), status, place, path)
        elif needed and status.st_mode & stat.S_ISVTX:
            self._count(SurveyProblem.STICKY_FOLDER, status, place, path)
        if gid is not None:
            if status.st_gid != gid:
                self._count(SurveyProblem.OTHER_GROUP, status, place, path)
            elif needed and not status.st_mode & stat.S_ISGID and not sharing.inherits:
                self._count(SurveyProblem.NO_SETGID, status, place, path)
        if sharing.default is not None and not sharing.has_default_for_members(default):
            self._count(SurveyProblem.NO_DEFAULT_LIST, status, place, path)

    def file(
        self, fd: int, folder: str, place: FolderPlace, name: str, status: os.stat_result
    ) -> None:
        """Judge a regular file in an open folder. Raises OSError as `folder` does."""
        path = joined(folder, name)
        mode = status.st_mode
        if mode & (stat.S_ISUID | stat.S_ISGID):
            self._count(SurveyProblem.SETUID, status, place, path)
        is_lock = name.endswith(LOCK) or (place.kind == "git" and folder.endswith("/locks"))
        is_marker = name == MARKER and place.depth == 0 and place.kind in SOURCE_KINDS
        # uv makes its locks 0666 on purpose, and empty; the markers need the same.
        meant = (is_lock or is_marker) and not status.st_size
        if mode & stat.S_IWOTH and not meant:
            self._count(SurveyProblem.WORLD_WRITABLE, status, place, path)
        if self.standard.gid not in (None, status.st_gid) and place.zone is not Zone.LOOSE:
            self._count(SurveyProblem.OTHER_GROUP, status, place, path)
        # uv itself leaves the wheels it built 0600, and needs them no more.
        built = name.endswith(".whl") and place.kind in SOURCE_KINDS
        judged = place.zone is not Zone.LOOSE and not is_lock and not built
        if judged and self.may_be_unreadable(mode):
            listed = read_access_list_at(fd, name)
            if not self.standard.sharing.members_may(access_of(status, listed), READ):
                self._count(_unreadable(place), status, place, path)
        if place.zone is Zone.NEEDED and place.depth >= 0 and (is_lock or is_marker):
            listed = read_access_list_at(fd, name)
            if not self.standard.sharing.members_may(access_of(status, listed), READ | WRITE):
                problem = SurveyProblem.CLOSED_MARKER if is_marker else SurveyProblem.CLOSED_LOCK
                self._count(problem, status, place, path)
        if status.st_nlink > 1:
            explained = place.archive in self.standard.explained
            self.tallies.add_linked(
                status.st_ino,
                Linked(
                    *(status.st_nlink, 1, status.st_uid, place.bucket, status.st_size, path),
                    explained=explained,
                ),
            )

    def may_be_unreadable(self, mode: int) -> bool:
        """Whether members may be unable to read a file of this mode: its list, or group, tells."""
        return self.standard.sharing.is_shared and mode & _READ_BY_ALL != _READ_BY_ALL

    def other(
        self, fd: int, folder: str, place: FolderPlace, name: str, status: os.stat_result
    ) -> None:
        """Judge a link, a device and the like. Raises OSError where a link can't be read."""
        path = joined(folder, name)
        if not stat.S_ISLNK(status.st_mode):
            self._count(SurveyProblem.SPECIAL, status, place, path)
        elif not is_interpreter(name, place) and self.standard.links.leads_out(
            os.readlink(name, dir_fd=fd), folder
        ):
            followed = is_followed(name, place)
            problem = SurveyProblem.LINK_FOLLOWED if followed else SurveyProblem.LINK_OUT
            self._count(problem, status, place, path)

    def _count(
        self, problem: SurveyProblem, status: os.stat_result, place: FolderPlace, path: str
    ) -> None:
        self.tallies.add(problem, status.st_uid, place.bucket, (path,))


def _unreadable(place: FolderPlace) -> SurveyProblem:
    return SurveyProblem.UNREADABLE_ARCHIVE if place.kind == "archive" else SurveyProblem.UNREADABLE


def joined(folder: str, name: str) -> str:
    """Return the path of a name in a folder; the root folder's path is empty."""
    return f"{folder}/{name}" if folder else name
