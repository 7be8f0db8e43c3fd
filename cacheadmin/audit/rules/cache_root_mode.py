"""The root folder's rights, and whether members get as far as it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.audit.rule import Rule
from cacheadmin.audit.shared_rights import (
    Sharing,
    groups_of,
    has_account,
    members_of,
    members_words,
)
from cacheadmin.audit.sharing_commands import enter_command, share_command
from cacheadmin.audit.survey.tallies import SurveyProblem
from cacheadmin.findings import Finding, Severity
from cacheadmin.fs.access_lists import ENTER, Access, access_of, read_access_lists
from cacheadmin.fs.small_files import open_directory
from cacheadmin.text.accounts import account_name, group_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.lists import join_some
from cacheadmin.text.numbers import format_count

if TYPE_CHECKING:
    from cacheadmin.audit.target import AuditTarget


class CacheRootMode(Rule):
    """Owner, group, setgid and sticky bit of the root, its default list, and the way to it.

    A cache whose every entry is its owner's is taken for a private one: that is
    a remark, not a mistake. The sticky bit [run 0.5.10, 0.8.5, 0.13.8]: installs
    work, a prune of a user who does not own everything ends with "Operation not
    permitted". With ``fs.protected_regular=2`` (proc_sys_fs(5)) no user can open a
    ``.lock`` that another member made.
    """

    id = "cache-root-mode"
    severity = Severity.ERROR
    title = "The cache's root folder keeps members out"
    rationale = (
        "Every uv command makes temporary files in the root. Users who can't write there, or "
        "get there, can use nothing; and what is made below takes its group from there."
    )
    fix = "chgrp GROUP CACHE && chmod 2775 CACHE && setfacl -d -m u::rwx,g::rwx,o::rx CACHE"

    def check(self, subject: AuditTarget, thresholds: Mapping[str, Any]) -> Iterator[Finding]:
        """Yield a finding for each thing that is wrong with the root or the way to it."""
        sharing = subject.survey.sharing
        if not sharing.is_shared:
            yield self._not_shared(subject, sharing)
        yield from self._bits(subject, sharing)
        if not has_account(sharing.root.uid):
            yield self._without_account(subject, sharing.root.uid)
        yield from self._way(subject, sharing)

    def _without_account(self, subject: AuditTarget, uid: int) -> Finding:
        """Return what to do about a root whose owner is only a number here.

        A container, or another host, may know that account: who made entries
        here uses the cache, and would be locked out without the folder.
        """
        detail = f"the root folder belongs to uid {uid}, which has no account"
        entries = sum(
            count.count
            for count in subject.survey.tallies.each(SurveyProblem.OWNED)
            if count.uid == uid
        )
        if not entries:
            path = shell_word(subject.cache_path)
            return self._about(subject, Severity.WARNING, detail, f"chown root {path}")
        return self._about(
            subject,
            Severity.WARNING,
            f"{detail} here, and uses the cache "
            f"({format_count(entries, 'entry', 'entries')} of it)",
            f"give that number an account (useradd -u {uid} NAME), if a container or another host "
            "uses it; never chown the folder away from it",
        )

    def _not_shared(self, subject: AuditTarget, sharing: Sharing) -> Finding:
        owner, group = account_name(sharing.root.uid), group_name(sharing.root.gid)
        others = {
            count.uid
            for count in subject.survey.tallies.each(SurveyProblem.OWNED)
            if count.uid not in (0, sharing.root.uid)
        }
        detail = f"only {owner} can write in the root folder (mode {sharing.mode:04o}"
        if not others:
            return self._about(
                subject,
                Severity.INFO,
                f"{detail}): it is a private cache",
                "nothing, while one user uses it; sharing it begins with a group of its own",
            )
        users = {uid for uid in others if uid is not None}
        named = ", ".join(join_some([account_name(uid) for uid in sorted(users)])) or "others"
        # Who owns the folder has to write in what the others make.
        users |= {sharing.root.uid} - {0}
        return self._about(
            subject,
            Severity.ERROR,
            f"{detail}, group {group}), and {named} made entries below it",
            share_command(subject.cache_path, subject.policy, sharing, users),
        )

    def _bits(self, subject: AuditTarget, sharing: Sharing) -> Iterator[Finding]:
        path = shell_word(subject.cache_path)
        if sharing.by_owning_group and not sharing.mode & stat.S_ISGID and not sharing.inherits:
            yield self._about(
                subject,
                Severity.ERROR,
                "the root folder has no setgid bit: what members make there gets their own group, "
                "not the cache's",
                f"chmod g+s {path}",
            )
        if sharing.mode & stat.S_ISVTX:
            yield self._about(
                subject,
                Severity.WARNING,
                "the root folder is sticky: members can't remove or rename each other's entries, "
                "and where fs.protected_regular is 2 not open each other's .lock",
                f"chmod -t {path}",
            )
        default = sharing.default
        if sharing.is_shared and default and not sharing.has_default_for_members(default):
            yield self._about(
                subject,
                Severity.ERROR,
                "the root folder's default access list does not let "
                f"{members_words(sharing)} write what is made there, whatever the umask",
                f"setfacl -d -m u::rwx,g::rwx,m::rwx {path}",
            )

    def _way(self, subject: AuditTarget, sharing: Sharing) -> Iterator[Finding]:
        folder = os.path.dirname(subject.cache_path)
        while True:
            access, mode = _rights(folder)
            if access is not None:
                yield from self._step(folder, access, mode, sharing)
            if folder == "/":
                return
            folder = os.path.dirname(folder)

    def _step(self, folder: str, access: Access, mode: int, sharing: Sharing) -> Iterator[Finding]:
        quoted = shell_word(folder)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            yield self.finding(
                folder,
                f"every user can write in {folder}, above the cache: any user can put another "
                "folder in the place of the cache",
                fix=f"chmod o-w {quoted}",
            )
        kept_out = _kept_out(access, sharing)
        if kept_out:
            yield self.finding(
                folder,
                f"{kept_out} can't enter {folder}, above the cache",
                fix=f"{enter_command(folder, sharing)}, or chmod o+x {quoted}",
            )

    def _about(self, subject: AuditTarget, severity: Severity, detail: str, fix: str) -> Finding:
        owner = account_name(subject.survey.sharing.root.uid)
        finding = self.finding(subject.cache_path, detail, owner=owner, fix=fix)
        return replace(finding, severity=severity)


def _kept_out(access: Access, sharing: Sharing) -> str:
    """Return which members can't enter a folder, in words; "" when all can."""
    closed = [gid for gid in sharing.groups if not access.group_may(gid, ENTER)]
    if not closed and sharing.members_may(access, ENTER):
        return ""
    # Members may well be in a group that the folder is open to.
    users = {*members_of(closed), *(uid for uid, _ in sharing.users)}
    outside = [uid for uid in sorted(users) if not access.user_may(uid, groups_of(uid), ENTER)]
    if users and not outside:
        return ""
    return ", ".join(join_some([account_name(uid) for uid in outside])) or members_words(sharing)


def _rights(folder: str) -> tuple[Access | None, int]:
    try:
        status = os.stat(folder)
    except OSError:
        return None, 0
    listed = None
    try:
        fd = open_directory(folder)
    except OSError:
        # Not ours to open; its mode still says what most lists do.
        return access_of(status, None), status.st_mode
    try:
        listed, _ = read_access_lists(fd)
    except OSError:
        pass
    finally:
        os.close(fd)
    return access_of(status, listed), status.st_mode
