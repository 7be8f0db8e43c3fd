"""What is closed to root is asked again in the name of whose it is.

On a network filesystem the server decides. One that takes root for an account
without rights (root_squash) shows it nothing of a home with mode 0700, and a
FUSE filesystem shows it nothing but to who mounted it. There a question is asked
again: in a reader that becomes the owner of what is closed, for good and without
any right of root's, so it can do no more than that account itself could.

Whose it is the innermost folder tells that can be seen. Never root: its readers
have answered already.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from cacheadmin.fs.mounts import Mount, mount_of, read_mounts
from cacheadmin.fs.resolution import resolve
from cacheadmin.readers.questions import Answer, Item, Question
from cacheadmin.rights.acting import ActingAccount, account_of
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from cacheadmin.readers.questions import Reply

# One account's paths of one question; more tell nothing new of whose they are.
_MOST_PATHS = 64

_ROOT = 0

_MOUNTED_BY = "user_id="


class Pool(Protocol):
    """What asks readers: ``pool.Readers``."""

    def of_owner(self, owner: ActingAccount) -> AbstractContextManager[Pool]:
        """Return a pool whose readers are an account."""

    def learn(self, questions: Iterable[Question[Any, Any]]) -> None:
        """Know these questions from now on."""

    def first_replies(
        self, question: Question[Item, Answer], items: Iterable[Item]
    ) -> list[Reply[Item, Answer]]:
        """Return what readers answer as they are, an account's or root's."""


def ask_owners(
    readers: Pool,
    question: Question[Item, Answer],
    replies: list[Reply[Item, Answer]],
    until: float | None = None,
) -> None:
    """Put answers of owners' readers in the place of those in which something was closed.

    ``until``: the moment (monotonic clock, s) after which no other account is asked.
    """
    # What hung once would hang again.
    closed = [
        () if one.failed else tuple(question.closed(one.item, one.parts))[:_MOST_PATHS]
        for one in replies
    ]
    paths = {
        path: ClosedPath(path, question.blame(one.item))
        for one, found in zip(replies, closed, strict=True)
        for path in found
    }
    if not paths or not any(mount.is_network for mount in read_mounts()):
        return
    owners = {
        reply.item.path: reply.parts[0]
        for reply in readers.first_replies(OWNER, paths.values())
        if reply.parts and reply.failed is None
    }
    numbers: dict[int, list[int]] = {}
    for number, found in enumerate(closed):
        for uid in dict.fromkeys(owners.get(path) for path in found):
            if uid is not None:
                numbers.setdefault(uid, []).append(number)
    for uid, asked in numbers.items():
        if until is not None and time.monotonic() > until:
            return
        with readers.of_owner(account_of(uid)) as own:
            own.learn((question,))
            later = own.first_replies(question, [replies[number].item for number in asked])
        for number, reply in zip(asked, later, strict=True):
            if reply.failed is None:
                replies[number] = _together(question, replies[number], reply)


def _together(
    question: Question[Item, Answer], before: Reply[Item, Answer], after: Reply[Item, Answer]
) -> Reply[Item, Answer]:
    parts: Sequence[Any] = question.merged(before.parts, after.parts)
    return replace(before, parts=tuple(parts))


@frozen
class ClosedPath:
    """A path that may be closed."""

    path: str
    """Absolute path."""

    uid: int | None
    """The account that answers for it, as far as known; None: none does."""


def owner_of_closed(closed: ClosedPath) -> int | None:
    """Return who owns what is closed to this reader at a path; None where nothing is.

    That is a folder that can't be listed, one on the way that can't be searched, or a
    file that can't be read, on a filesystem whose rights are decided elsewhere.
    """
    path = closed.path
    if os.access(path, os.R_OK | _search(path), effective_ids=True):
        return None
    try:
        # Links are followed as far as can be seen.
        folder = resolve(path)
        mount = mount_of(folder)
        uid = _owner(folder, mount) if mount.is_network else _ROOT
    except (OSError, ValueError):
        return None
    return None if uid in (_ROOT, os.geteuid()) else uid


def _owner(folder: str, mount: Mount) -> int:
    for option in mount.options if mount.kind.startswith("fuse") else ():
        # Not even the mount point is shown to others.
        if option.startswith(_MOUNTED_BY):
            return int(option.removeprefix(_MOUNTED_BY))
    while (status := _status(folder)) is None:
        folder = os.path.dirname(folder)
    return status.st_uid


def _status(path: str) -> os.stat_result | None:
    try:
        return os.lstat(path)
    except PermissionError:
        return None


def _search(path: str) -> int:
    return os.X_OK if os.path.isdir(path) else 0


def _blame(closed: ClosedPath) -> int | None:
    return closed.uid


OWNER: Question[ClosedPath, int | None] = Question(
    owner_of_closed, int | None, blame=_blame, together=64
)

__all__ = ["OWNER", "ClosedPath", "ask_owners", "owner_of_closed"]
