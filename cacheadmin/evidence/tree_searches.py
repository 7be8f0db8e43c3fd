"""Trees are searched by readers, account by account.

A user who owns a tree of a million folders, or one that hangs each look, must
not hide other users' environments. So folders of root's at the top of a tree are
only listed, one by one, and what is below them is searched as one task for
each account. A task that takes too long, hangs or dies is one gap, with that
account's name.
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING

from cacheadmin.evidence.facts import IF_ALL_ARE_FOUND, Gap, GapKind, Unseen
from cacheadmin.evidence.owners import owner_by_name
from cacheadmin.evidence.search import (
    Below,
    SearchPart,
    SearchTask,
    ToolFolder,
    forget_devices,
    made_up_places,
    search,
    search_tools,
)
from cacheadmin.readers import Question, Readers, Reply, Unreadable
from cacheadmin.text.accounts import account_name
from cacheadmin.text.numbers import format_count, verb
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.evidence.environments import Candidate
    from cacheadmin.evidence.searched_folders import SearchMemory, TreeKey

# Folders of root's are listed one by one so deep, and so many of them: /srv/teams/red.
_LISTED_DEEP = 3
_MOST_LISTED = 200

# Folders of all accounts that are looked at again before entries are moved.
_MOST_WATCHED = 600_000

_ROOT = 0

# An environment made meanwhile lies a few folders below the first new one.
_BELOW_NEW = 8

# Folders asked for their times at once.
_TIMES_TOGETHER = 256


@dataclass(slots=True)
class Search:
    """What searches found, and where they ended."""

    candidates: list[Candidate] = field(default_factory=list)
    """Folders that look like environments."""
    unseen: list[Unseen] = field(default_factory=list)
    """Folders that could not be listed."""
    gaps: list[Gap] = field(default_factory=list)
    """Where a search ended at its depth or at a bound."""
    watched: dict[str, int] = field(default_factory=dict)
    """Every folder that was listed, with its modification time in ns."""

    def add(self, part: SearchPart) -> None:
        """Add what a part tells."""
        self.candidates += part.candidates
        self.unseen += part.unseen
        self.watched.update(part.watched)


@frozen
class _Work:
    """A task, and the tree it belongs to."""

    task: SearchTask
    top: str
    depth: int | None

    @property
    def whose(self) -> str:
        uid = self.task.uid
        return "" if uid is None or uid == _ROOT else f", in folders of {account_name(uid)},"


def _owner(task: SearchTask) -> int | None:
    return task.uid if task.uid is not None else owner_by_name(task.bases[0])


def _closed(_item: object, parts: Sequence[SearchPart]) -> Iterable[str]:
    return tuple(one.path for part in parts for one in part.unseen)


def _all_parts(before: Sequence[SearchPart], after: Sequence[SearchPart]) -> Sequence[SearchPart]:
    """Return what two searches of the same folders found; closed is what was so for both."""
    closed = {one.path for part in before for one in part.unseen}
    closed &= {one.path for part in after for one in part.unseen}
    known: set[Below] = set()
    parts = []
    for part in (*before, *after):
        parts.append(
            replace(
                part,
                unseen=tuple(one for one in part.unseen if one.path in closed),
                below=tuple(one for one in part.below if one not in known),
            )
        )
        closed -= {one.path for one in part.unseen}
        known.update(part.below)
    return parts


SEARCH: Question[SearchTask, SearchPart] = Question(
    search,
    SearchPart,
    in_parts=True,
    blame=_owner,
    forget=forget_devices,
    together=4,
    closed=_closed,
    merged=_all_parts,
)


def _owner_of_tools(folder: ToolFolder) -> int | None:
    return folder.uid if folder.uid is not None else owner_by_name(folder.path)


def _closed_tools(folder: ToolFolder, _parts: Sequence[SearchPart]) -> Iterable[str]:
    # A folder that can't be searched looks like one that is not there.
    return (folder.path,)


def _all_tools(before: Sequence[SearchPart], after: Sequence[SearchPart]) -> Sequence[SearchPart]:
    one, other = _all_parts(before, after)
    candidates = tuple(dict.fromkeys((*one.candidates, *other.candidates)))
    watched = tuple(dict.fromkeys((*one.watched, *other.watched)))
    return (replace(one, candidates=candidates, watched=watched),)


TOOLS: Question[ToolFolder, SearchPart] = Question(
    search_tools,
    SearchPart,
    blame=_owner_of_tools,
    together=32,
    closed=_closed_tools,
    merged=_all_tools,
)


def search_trees(
    tasks: Iterable[SearchTask], readers: Readers, memory: SearchMemory | None = None
) -> Search:
    """Search trees, each named by a task of one folder, and return what they hold.

    One whose account is known is that account's as a whole, as a home is. What is in
    ``memory`` is not listed again, and what may be remembered is noted there.
    """
    found = Search()
    too_deep: dict[str, tuple[str, int, int | None]] = {}
    made_up = made_up_places()
    works = [
        _Work(replace(task, is_top=True, made_up=made_up), task.bases[0], task.depth)
        for task in tasks
    ]
    searching = [one for one in works if one.task.uid is not None]
    listing = [one for one in works if one.task.uid is None]
    listed = 0
    for level in range(_LISTED_DEEP + 1):
        listed += len(listing)
        below: list[_Work] = []
        only_listed = [replace(one, task=replace(one.task, only_list=True)) for one in listing]
        for work, reply in _replies(only_listed, readers):
            _note(work, reply, found, too_deep)
            below += _below(work, reply)
        split = level < _LISTED_DEEP and listed + len(below) <= _MOST_LISTED
        listing = [one for one in below if split and one.task.uid == _ROOT]
        searching += [one for one in below if not (split and one.task.uid == _ROOT)]
        if not listing:
            break
    together = list(_together(searching))
    if memory is not None:
        together = [_with_memory(work, memory) for work in together]
    for work, reply in _replies(together, readers):
        _note(work, reply, found, too_deep)
        if memory is not None:
            met = sum(len(part.watched) for part in reply.parts)
            memory.note(_tree_key(work), [part.seen for part in reply.parts], met)
    found.gaps += [_ended(top, *where) for top, where in too_deep.items()]
    if len(found.watched) > _MOST_WATCHED:
        found.watched.clear()
        found.gaps.append(_unwatched("venvs.discover", "the searched trees have", None))
    return found


def search_again(
    folders: Iterable[str],
    source: str,
    known: Container[str],
    readers: Readers,
    *,
    trial_suffices: bool = False,
) -> Search:
    """List folders that have changed, and search the folders in them that are not ``known``.

    ``trial_suffices`` as in ``SearchTask``.
    """
    found, made_up = Search(), made_up_places()
    works = [
        _Work(
            SearchTask(
                (folder,),
                source,
                only_list=True,
                trial_suffices=trial_suffices,
                made_up=made_up,
                is_top=True,
                is_again=True,
            ),
            folder,
            None,
        )
        for folder in folders
    ]
    new: list[str] = []
    for work, reply in _replies(works, readers):
        # What was there before has a time of its own.
        _note(work, reply, found, {})
        new += [one.path for part in reply.parts for one in part.below if one.path not in known]
    tasks = [
        SearchTask((path,), source, depth=_BELOW_NEW, trial_suffices=trial_suffices) for path in new
    ]
    below = search_trees(tasks, readers)
    found.candidates += below.candidates
    found.unseen += below.unseen
    found.gaps += below.gaps
    return found


def search_tool_folders(folders: Iterable[ToolFolder], readers: Readers) -> Search:
    """Return the environments in folders of uv's tools."""
    found = Search()
    listed = list(folders)
    answers = readers.ask_all(TOOLS, listed)
    for folder, answer in zip(listed, answers, strict=True):
        if isinstance(answer, Unreadable):
            uid = folder.uid if answer.uid is None else answer.uid
            found.unseen.append(Unseen("discover", folder.path, answer.reason, True, uid))
        else:
            found.add(answer)
    return found


def _replies(
    works: list[_Work], readers: Readers
) -> Iterator[tuple[_Work, Reply[SearchTask, SearchPart]]]:
    replies = readers.replies(SEARCH, [work.task for work in works])
    return zip(works, replies, strict=True)


def _below(work: _Work, reply: Reply[SearchTask, SearchPart]) -> Iterator[_Work]:
    """Yield the folders below one that was only listed, each as a task."""
    depth = work.task.depth
    for part in reply.parts:
        for folder in part.below:
            task = replace(
                work.task,
                bases=(folder.path,),
                depth=None if depth is None else depth - 1,
                uid=folder.uid,
                only_list=False,
                is_top=False,
            )
            yield replace(work, task=task)


def _together(works: list[_Work]) -> Iterator[_Work]:
    """Yield tasks of whole accounts; root's folders stay by themselves."""
    accounts: dict[object, list[_Work]] = {}
    for number, work in enumerate(works):
        task = work.task
        alone = number if task.uid == _ROOT else None
        key = (work.top, task.uid, task.depth, task.registrant, task.exclude, alone)
        accounts.setdefault(key, []).append(work)
    for same in accounts.values():
        bases = tuple(base for work in same for base in work.task.bases)
        yield replace(same[0], task=replace(same[0].task, bases=bases))


def _with_memory(work: _Work, memory: SearchMemory) -> _Work:
    return replace(work, task=replace(work.task, before=memory.before(_tree_key(work))))


def _tree_key(work: _Work) -> TreeKey:
    """Return what a search is remembered by; a folder of root's is searched by itself."""
    uid = work.task.uid
    return work.top, -1 if uid is None else uid, work.task.bases[0] if uid == _ROOT else ""


def _note(
    work: _Work,
    reply: Reply[SearchTask, SearchPart],
    found: Search,
    too_deep: dict[str, tuple[str, int, int | None]],
) -> None:
    for part in reply.parts:
        found.add(part)
        for first in part.too_deep:
            known = too_deep.get(work.top, (first, 0, work.depth))
            too_deep[work.top] = (known[0], known[1] + part.deeper, work.depth)
        if part.cut_at is not None:
            left = format_count(part.left, "folder")
            where = f"took too long and ended at {part.cut_at}, with {left}"
            found.gaps.append(_limit(work, where))
    locked = [folder for part in reply.parts for folder in part.locked]
    if locked:
        found.gaps.append(_locked(work, locked))
    if reply.failed is not None:
        where = f"was not finished: {reply.failed.reason}, with folders"
        found.gaps.append(_limit(work, where))
    if any(part.too_many for part in reply.parts):
        uid = work.task.uid
        who = "the searched trees have" if uid in (None, _ROOT) else f"{account_name(uid)} has"
        found.gaps.append(_unwatched(work.top, who, uid))


def _limit(work: _Work, where: str) -> Gap:
    # No word closes it: who fills a tree with folders must not hide the others' environments.
    return Gap(
        "search.limit",
        GapKind.RIGHTS,
        work.top,
        f"the search of {work.top}{work.whose} {where} and all below them not searched",
        "name the trees where environments lie in venvs.discover; or leave out by exclude those in "
        "which no environment lies",
        work.task.uid,
    )


def _locked(work: _Work, folders: list[str]) -> Gap:
    count = len(folders)
    others = f" and {format_count(count - 1, 'other folder')}" if count > 1 else ""
    return Gap(
        "search.away",
        GapKind.SEARCH,
        folders[0],
        f"{folders[0]}{others}{work.whose} {verb(count, 'is', 'are')} encrypted, and the key is "
        "not there: environments in there can't be found",
        f"unlock it, as its user does by logging in; {IF_ALL_ARE_FOUND}",
        work.task.uid,
    )


def _unwatched(subject: str, who: str, uid: int | None) -> Gap:
    return Gap(
        "search.unwatched",
        GapKind.RIGHTS,
        subject,
        f"{who} too many folders to look at them again before entries are moved: an environment "
        "made meanwhile is not seen",
        "name smaller trees in venvs.discover",
        uid,
    )


def _ended(top: str, first: str, count: int, depth: int | None) -> Gap:
    others = f" and {count - 1} more" if count > 1 else ""
    return Gap(
        "search.depth",
        GapKind.SEARCH,
        top,
        f"the search of {top} ended at depth {depth}, before {first}{others}",
        f"leave out depth in venvs.discover, or raise it; {IF_ALL_ARE_FOUND}",
    )


# Folders that may have changed


def times_of(folders: tuple[str, ...]) -> tuple[int | None, ...]:
    """Return when each folder was changed (ns); None for one that is gone. For readers."""
    return tuple(map(_time_of, folders))


def _time_of(folder: str) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return None


def _owner_of_folders(folders: tuple[str, ...]) -> int | None:
    return owner_by_name(folders[0])


_Times = tuple[int | None, ...]


def _closed_folders(folders: tuple[str, ...], parts: Sequence[_Times]) -> Iterable[str]:
    times = parts[0] if parts else ()
    return tuple(folder for folder, time in zip(folders, times, strict=False) if time is None)


def _all_times(before: Sequence[_Times], after: Sequence[_Times]) -> Sequence[_Times]:
    pairs = zip(before[0], after[0], strict=False)
    return (tuple(one if one is not None else other for one, other in pairs),)


TIMES: Question[tuple[str, ...], tuple[int | None, ...]] = Question(
    times_of,
    tuple[int | None, ...],
    blame=_owner_of_folders,
    together=8,
    closed=_closed_folders,
    merged=_all_times,
)


def moments(
    watched: Mapping[str, int], readers: Readers, unseen: list[Unseen]
) -> Iterator[tuple[str, int, int]]:
    """Yield (folder, when it was changed, when it was at the earlier look), in ns, of those there.

    Folders that no reader could look at go to ``unseen``.
    """
    rest = iter(watched)
    chunks = list(iter(lambda: tuple(islice(rest, _TIMES_TOGETHER)), ()))
    answers = readers.ask_all(TIMES, chunks)
    for chunk, answer in zip(chunks, answers, strict=True):
        if isinstance(answer, Unreadable):
            unseen.append(Unseen("discover", chunk[0], answer.reason, True, answer.uid))
            continue
        for folder, now_ns in zip(chunk, answer, strict=False):
            if now_ns is not None:
                yield folder, now_ns, watched[folder]
