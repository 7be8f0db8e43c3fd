"""What a survey counted, in words and commands, for the rules that report it.

A finding stands for all entries of one owner, in one bucket or, where one umask
did it everywhere, in all of them. Its subject is the bucket's folder, or the
cache's: the same tomorrow, when other entries are the examples, and a
suppression can name it.

Fixes run as the owner of the entries wherever there is one. ``chmod`` as root over
folders that others may rename follows whatever they put in its way; as the
owner, no user's rights are at stake but their own. [run: a member who swaps root's
lock file for a link, again and again, gets root's ``chmod`` at the first try]
So root's own entries in a shared cache are given to a member first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cacheadmin.audit.shared_rights import groups_of, has_account, members_words
from cacheadmin.text.accounts import account_name
from cacheadmin.text.escapes import shell_word
from cacheadmin.text.numbers import format_count
from cacheadmin.uv.layout import ARCHIVES, ROOTS_FOLDER, TRIAL_FOLDER

if TYPE_CHECKING:
    from cacheadmin.audit.survey.tallies import Count
    from cacheadmin.audit.target import AuditTarget
    from cacheadmin.fs.access_lists import AccessList


def owner_of(count: Count) -> str | None:
    """Return whose the entries are; None where too many owners were met to tell them apart."""
    return None if count.uid is None else account_name(count.uid)


def subject_of(subject: AuditTarget, count: Count) -> str:
    """Return the folder a count is about: its bucket's, or the cache's."""
    return f"{subject.cache_path}/{count.bucket}" if count.bucket else subject.cache_path


def examples_words(count: Count) -> str:
    """Return the examples, by their paths in the cache, and how many more there are."""
    names = [example or "the cache's root folder" for example in count.examples]
    more = count.count - len(names)
    return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def of_owner(count: Count) -> str:
    """Return `` of ana``; "" where too many owners were met to tell them apart."""
    owner = owner_of(count)
    return "" if owner is None else f" of {owner}"


def number_words(count: Count, singular: str, plural: str = "") -> str:
    """Return ``1 folder of ana`` or ``3 folders of ana``."""
    return format_count(count.count, singular, plural) + of_owner(count)


def find_as_owner(subject: AuditTarget, count: Count, tests: str, action: str) -> str:
    """Return a `find` over the owner's entries of a bucket that runs as their owner."""
    return find_below_as_owner(subject, subject_of(subject, count), count.uid, tests, action)


def find_below_as_owner(
    subject: AuditTarget, path: str, uid: int | None, tests: str, action: str
) -> str:
    """Return a `find` over what a user has at a path that runs as that user; None: as each.

    From ``/``: find(1) gives up where its user can't enter the folder it was started in,
    and root's home is such a one. With the members' group, without which chmod(1)
    takes the setgid bit away.
    """
    quoted = shell_word(path)
    what = f"{tests} {action}".rstrip()
    if uid is None:
        return f"as each owner: find {quoted} -user OWNER {what}"
    if uid == 0:
        return _for_root(subject, path, what)
    groups = subject.survey.sharing.groups
    user = shell_word(account_name(uid)) if has_account(uid) else str(uid)
    if has_account(uid) and (not groups or set(groups) & set(groups_of(uid))):
        become = f"sudo -u {user}"
    else:
        # sudo(8) runs nothing as a number without an account.
        become = f"setpriv --reuid={uid} --regid={groups[0] if groups else uid} --clear-groups"
    return f"{become} env -C / find {quoted} -user {user} {what}"


# Given to a member, our folders are not ours any more: what is on trial in one of them would not
# be looked after, nor shielded from users' own prunes.
_PAST_OURS = (
    rf"\( -regex '.*/\(\.cacheadmin\|[a-z-]+-v[0-9]+/{ROOTS_FOLDER}\|{ARCHIVES}/"
    rf"{re.escape(TRIAL_FOLDER)}\)' -o -type l -lname '*{TRIAL_FOLDER}/*' \) -prune -o"
)


def _for_root(subject: AuditTarget, path: str, what: str) -> str:
    """Return what to do about root's entries at a path.

    ``chown -h`` from the folder itself follows no link. Left out are the root folder,
    our own folders, tripwires, devices, and files that an environment of root's may have too.
    """
    quoted, sharing = shell_word(path), subject.survey.sharing
    if not sharing.users and set(sharing.groups) <= {0}:
        return f"find {quoted} {_PAST_OURS} -user root {what}"
    below = " -mindepth 1" if path == subject.cache_path else ""
    return (
        f"give root's to one of {members_words(sharing)}, then audit again: find {quoted}{below} "
        rf"{_PAST_OURS} -user root \( -type d,l -o -type f -links 1 \) "
        "-execdir chown -h MEMBER {} +"
    )


def list_words(rules: AccessList) -> str:
    """Return an access list as `setfacl` takes it, ids as numbers."""
    entries = [("u:", rules.owner), ("g:", rules.group), ("o:", rules.others)]
    entries += [(f"u:{uid}", rights) for uid, rights in sorted(rules.users.items())]
    entries += [(f"g:{gid}", rights) for gid, rights in sorted(rules.groups.items())]
    if rules.mask is not None:
        entries.append(("m:", rules.mask))
    return ",".join(f"{who}:{_letters(rights)}" for who, rights in entries)


def _letters(rights: int) -> str:
    return "".join(
        letter if rights & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1))
    )
