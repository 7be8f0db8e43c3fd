"""Containers that mount the cache and may be stopped: their layers and volumes are searched.

Of an account's own Podman only what belongs to that account is searched, in its name: its
records could name any folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cacheadmin.evidence.containers import (
    OWN_CONTAINERS,
    KnownContainer,
    Unlisted,
    known_containers,
    nerdctl_containers,
    own_storage,
    pod_volumes,
)
from cacheadmin.evidence.facts import Gap, GapKind
from cacheadmin.evidence.look import Facts
from cacheadmin.evidence.search import SearchTask
from cacheadmin.evidence.sources.discover import changed_below, facts_of
from cacheadmin.evidence.traces import homes_of_accounts
from cacheadmin.evidence.tree_searches import search_trees
from cacheadmin.fs.mounts import mount_of
from cacheadmin.readers import Unreadable

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look

_WORD = (
    "remove that container, if it is not needed any more; only if you know that neither a "
    "container nor another host uses the cache, say so: hosts: {only: this}"
)


class StoppedContainers:
    """What container runtimes keep of containers that have the cache among their mounts."""

    id = "containers"

    def collect(self, look: Look) -> Facts:
        """Return environments in their layers and volumes, and a gap for each not looked at."""
        if look.policy.hosts.is_alone:
            return Facts()
        path = look.cache.identity.path
        tasks: list[SearchTask] = []
        gaps: list[Gap] = []
        for one in (*known_containers(), *_of_accounts(look)):
            if isinstance(one, Unlisted):
                gaps.append(_unlisted(one))
            elif any(_overlap(source, path) for source in one.sources):
                tasks += [_task(place, self.id, one.uid) for place in _places(one, path)]
                if not _has_layer(one):
                    gaps.append(_unsearched(one))
        tasks += [_task(place, self.id, 0) for place in pod_volumes()]
        gaps += [_of_containerd(name) for name in nerdctl_containers()]
        if not tasks:
            return Facts(gaps=tuple(gaps))
        found = search_trees(tasks, look.readers, look.searched)
        found.gaps += gaps
        return facts_of(found)

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return environments in folders that have changed since."""
        return changed_below(self.id, look, before)


def _of_accounts(look: Look) -> Iterator[KnownContainer | Unlisted]:
    """Yield the containers of accounts' own Podmans."""
    storages = [own_storage(home, uid) for home, uid in homes_of_accounts(look).items() if uid]
    answers = look.readers.ask_all(OWN_CONTAINERS, storages, deadline_seconds=look.deadline_seconds)
    for storage, answer in zip(storages, answers, strict=True):
        if isinstance(answer, Unreadable):
            yield Unlisted("Podman", storage.folder, answer.reason, storage.uid)
        else:
            yield from answer.known
            yield from answer.unlisted


def _task(place: str, source: str, uid: int) -> SearchTask:
    if uid == 0:
        return SearchTask((place,), source)
    return SearchTask((place,), source, registrant=uid, uid=uid)


def _has_layer(one: KnownContainer) -> bool:
    # What an account may have put there was looked at by a reader.
    return one.layer is not None and (one.searched is not None or os.path.isdir(one.layer))


def _places(one: KnownContainer, cache: str) -> Iterator[str]:
    if one.searched is not None:
        yield from (place for place in one.searched if not _overlap(place, cache))
        return
    if one.layer is not None and os.path.isdir(one.layer):
        yield one.layer
    for source in one.sources:
        # A folder that holds the cache is searched where the policy says so.
        if not _overlap(source, cache) and _is_folder(source):
            yield source


def _is_folder(source: str) -> bool:
    """Whether a mounted source is a folder; what may never answer is asked by a reader."""
    if not source.startswith("/"):
        return False
    return mount_of(source).is_network or os.path.isdir(source)


def _overlap(one: str, other: str) -> bool:
    mine, theirs = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return mine.startswith(theirs) or theirs.startswith(mine)


def _unsearched(one: KnownContainer) -> Gap:
    return Gap(
        "containers.layer",
        GapKind.HOSTS,
        one.name,
        f"container {one.name} ({one.runtime}) mounts the cache, and what it has written itself "
        "is not where it should be: environments there were not looked at",
        _WORD,
        host=one.name,
    )


def _of_containerd(name: str) -> Gap:
    return Gap(
        "containers.layer",
        GapKind.HOSTS,
        name,
        f"container {name} (nerdctl) may mount the cache, and where it keeps what it has written "
        "stands in the database of containerd alone: environments there were not looked at",
        _WORD,
        host=name,
    )


def _unlisted(one: Unlisted) -> Gap:
    return Gap(
        "containers.unlisted",
        GapKind.HOSTS,
        one.folder,
        f"what {one.runtime} keeps of containers can't be read ({one.folder}: {one.reason}): one "
        "that is stopped may mount the cache",
        "run it as root; only if you know that neither a container nor another host uses the "
        "cache, say so: hosts: {only: this}",
        one.uid or None,
    )
