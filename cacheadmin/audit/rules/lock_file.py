"""``CACHE/.lock`` and ``sdists-v*/.git``: what every uv command opens for writing."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.owners import leads_into_cache
from cacheadmin.audit.rule import Rule
from cacheadmin.audit.shared_rights import groups_of, has_account, members_words
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.audit.survey.words import (
    examples_words,
    find_as_owner,
    find_below_as_owner,
    number_words,
    owner_of,
    subject_of,
)
from cacheadmin.evidence.lock_holders import describe_holder
from cacheadmin.findings import Finding, Severity
from cacheadmin.fs.access_lists import ALL, READ, WRITE, access_of, read_access_list_at
from cacheadmin.fs.small_files import kind_words
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.uv.releases import takes_cache_lock

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.evidence.release_trace import ReleaseTrace

_NAME = ".lock"


class LockFile(Rule):
    """The files that stop every command of a member who can't open them.

    uv from 0.8.19 on opens ``.lock`` for reading and writing, every release
    ``sdists-v*/.git`` for writing (facts section 11). A ``.lock`` that is missing is
    made by the next uv, if it may.
    """

    id = "lock-file"
    severity = Severity.ERROR
    title = "uv's lock can't be taken by every user"
    rationale = (
        "Every command of uv opens these files for writing. One that a member can't open, or that "
        "a process holds for ever, stops all of that member's commands at their first step."
    )
    fix = "as their owner: chmod 0666 CACHE/.lock CACHE/sdists-v*/.git"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield what is wrong with the files, and who holds the lock that is no uv."""
        yield from self._file(subject)
        sharing = subject.survey.sharing
        if sharing.is_shared:
            for count in subject.survey.tallies.each(SurveyProblem.CLOSED_MARKER):
                words = number_words(count, "build marker", "build markers")
                yield self.finding(
                    subject_of(subject, count),
                    f"{words} can't be written by {members_words(sharing)}, whose every uv "
                    f"command of that release fails: {examples_words(count)}",
                    owner=owner_of(count),
                    fix=find_as_owner(
                        subject, count, "-maxdepth 1 -name .git -type f", "-exec chmod 0666 {} +"
                    ),
                    count=count.count,
                )
        yield from self._foreign_holders(subject)

    def _file(self, subject: AuditTarget) -> Iterator[Finding]:
        root_fd, sharing = subject.snapshot.cache.fd, subject.survey.sharing
        path = f"{subject.cache_path}/{_NAME}"
        try:
            status = os.stat(_NAME, dir_fd=root_fd, follow_symlinks=False)
        except FileNotFoundError:
            yield from self._missing(subject, path)
            return
        owner = account_name(status.st_uid)
        if not stat.S_ISREG(status.st_mode):
            yield self.finding(
                path,
                f"the lock is not a file but {kind_words(status.st_mode)}",
                owner=owner,
                fix=f"rm -r -- {shell_word(path)}; uv makes it again",
            )
            return
        access = access_of(status, read_access_list_at(root_fd, _NAME))
        if not sharing.members_may(access, READ | WRITE):
            yield self.finding(
                path,
                f"the lock (mode {status.st_mode & 0o7777:04o}) can't be written by "
                f"{members_words(sharing)}: every command of uv 0.8.19 and later fails for them",
                owner=owner,
                # Members can put a link there: root's chmod would follow it.
                fix=find_below_as_owner(
                    subject, path, status.st_uid, "-type f", "-exec chmod 0666 {} +"
                ),
            )

    def _missing(self, subject: AuditTarget, path: str) -> Iterator[Finding]:
        """Yield that users of uv 0.8.19 or later can't make the lock they need."""
        kept_out = sorted(_locked_out(subject))
        if kept_out:
            names = ", ".join(join_some([account_name(uid) for uid in kept_out]))
            yield self.finding(
                path,
                f"there is no lock, and {names} can't make one: every command of uv 0.8.19 and "
                "later fails for them",
                # Nothing that follows a link: members could put one there meanwhile.
                fix=f"(umask 0; set -C; : > {shell_word(path)})",
                count=len(kept_out),
            )

    def _foreign_holders(self, subject: AuditTarget) -> Iterator[Finding]:
        for holder in subject.snapshot.evidence.lock_holders:
            if holder.is_uv is not False or holder.is_guard or not holder.exclusive:
                continue
            if holder.waiting or holder.unlinked:
                continue
            yield self.finding(
                f"{subject.cache_path}/{_NAME}",
                f"the lock is held {describe_holder(holder, subject.case.user)}; every uv command "
                "of every user waits for it",
                owner=None if holder.uid is None else account_name(holder.uid),
                fix=f"ask {subject.case.user(holder.uid)} what it is for, or end it: "
                f"kill {holder.pid}",
            )


def _wants_lock(trace: ReleaseTrace) -> bool:
    """Whether a trace of a release tells of one that takes the lock, or may."""
    return trace.version is None or takes_cache_lock(trace.version) is not False


def _locked_out(subject: AuditTarget) -> set[int]:
    """Return users of releases that take the lock who may make nothing in the root folder.

    They use this cache: they wrote to it, or an environment of theirs links into it.

    Of a uid without account no groups are known: where a group shares the
    cache, it may be in that.
    """
    sharing, evidence = subject.survey.sharing, subject.case.evidence
    linking = {one.path for one in evidence.environments if leads_into_cache(one)}
    uids = {
        trace.uid
        for trace in evidence.releases
        if _wants_lock(trace) and (trace.bucket is not None or trace.path in linking)
    }
    return {
        uid
        for uid in uids
        if uid is not None
        and not sharing.root.user_may(uid, groups_of(uid), ALL)
        and not (sharing.groups and not has_account(uid))
    }
