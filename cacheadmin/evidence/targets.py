"""Does a link lead into this cache? By identity of folders, not by text.

uv writes the cache's path as the user spelled it: through a link in a home
folder, a bind mount, an automount name, with ``..`` in it (facts section 5).
So the folder that a target passes through is compared by device and inode
with the cache's own buckets, once for each spelling. Where the text names no
bucket of ours (a short cut, a bind mount under another name, another cache
that leads on into this one) the target is resolved, and its parents compared.

What cannot be resolved on this host still counts when it names an archive that
exists here (an id is random; a chance match is out of the question) or starts
with an alias of the policy: unknown is alive. So it does where another cache has
that name on this host, and lacks the archive: in a container the shared one is
often called what the private one of root is called here. Targets are their owners' to
write, so neither the folders looked at for one nor the answers kept for all
may grow without bound.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from cacheadmin.fs.held_folder import below, below_unfollowed
from cacheadmin.fs.presence import may_be_folder
from cacheadmin.fs.resolution import resolve
from cacheadmin.inventory.entries import EntryPath
from cacheadmin.uv.layout import (
    ARCHIVES,
    GIT_KINDS,
    SOURCE_KINDS,
    TRIAL_FOLDER,
    entry_on_trial,
    is_archive_id,
    is_digest,
    parse_bucket_name,
)
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity

# What wheels are built from: a build runs in there.
_SOURCES = SOURCE_KINDS | GIT_KINDS

# The buckets that something outside can lead into.
_KINDS = frozenset({"archive", "environments", "builds"}) | _SOURCES

# Where a run puts what it moves: the kernel names what a program has open by that place then.
_RUN_FOLDER = re.compile(r"/\d{8}T\d{6}Z-[0-9a-f]{6}/entries$", re.ASCII)

_BUCKET = re.compile(rf"/((?:{'|'.join(sorted(_KINDS))})-v[0-9]{{1,6}})(?=/)")

# How a process with other mounts is seen; its absolute links mean this root.
_OTHER_ROOT = re.compile(r"/proc/[0-9]+/root(?=/)")

# The kernel's own limit on a path; a longer target leads nowhere.
_PATH_LIMIT = 4096

# The kernel's own limit on links in a path.
_MAX_LINKS = 40

# Real targets name one bucket, rarely two; one that names more is resolved.
_MAX_MENTIONS = 4

# Answers kept, by spelling. Real sites have a handful of spellings.
_MAX_REMEMBERED = 4096

# Of links' texts: environments share those of the wheels that they have in common.
_MAX_TARGETS = 65_536

# Told apart from None, which is an answer; no bucket is called that.
_UNASKED = "?"

_Answer = TypeVar("_Answer")


class TargetPlace(Enum):
    """Where a target lies."""

    INSIDE = "inside"
    FOREIGN = "in another cache"
    ELSEWHERE = "elsewhere"


@frozen
class Located:
    """Where a target leads."""

    place: TargetPlace
    """Whether that is in this cache, in another one, or elsewhere."""
    entry: str | None = None
    """The cache entry it passes through, relative to the cache; None outside of the cache.

    ``archive-v0/<id>``, ``environments-v2/<name>`` (or its second level for interpreter
    digests), ``builds-v0/<name>``; in buckets of sources the whole way, since any folder
    on it may be the entry.
    """
    path: str = ""
    """The whole way from the cache's root; empty outside of the cache."""
    by_alias: bool = False
    """Whether only an alias of the policy says so: the folder can't be seen on this host."""
    spelling: str = ""
    """The bucket's folder as an absolute target spells it; "" where more than that decided."""


_ELSEWHERE = Located(TargetPlace.ELSEWHERE)
_FOREIGN = Located(TargetPlace.FOREIGN)


class CacheLocator:
    """Tells for any path whether it leads into one cache.

    ``aliases`` are other absolute paths of the same cache, perhaps valid on
    other hosts only. ``archives`` are the ids that exist. Answers are
    remembered by prefix: one stat for each spelling of a bucket folder.
    """

    def __init__(
        self,
        identity: CacheIdentity,
        buckets: Iterable[str],
        *,
        aliases: Collection[str] = (),
        archives: Collection[str] = (),
    ) -> None:
        self.identity = identity
        self._archives = archives
        self._aliases = tuple(alias.rstrip("/") for alias in (*aliases, identity.path))
        self._buckets: dict[tuple[int, int], str] = {}
        self._entries: dict[tuple[int, int], str] | None = None
        self._spellings: dict[str, str | None] = {}
        self._folders: dict[str, bool] = {}
        self._others: dict[str, bool] = {}
        self._parents: dict[str, str] = {}
        self._ways: dict[str, str | None] = {}
        self._targets: dict[str, Located] = {}
        self._there: set[str] = set()
        for name in buckets:
            parsed = parse_bucket_name(name)
            if parsed is None or parsed[0] not in _KINDS:
                continue
            try:
                status = os.lstat(f"{identity.path}/{name}")
            except OSError:
                continue
            self._buckets[status.st_dev, status.st_ino] = name

    def locate(self, target: str, folder: str) -> Located:
        """Return where a link's text leads, read in ``folder`` (absolute).

        Resolves nothing but the folders the text names; the target itself
        need not exist. ``follow`` is for links that lead on.
        """
        if len(target) > _PATH_LIMIT:
            return _ELSEWHERE
        return self._by_text(_read_in(folder, target), absolute=target.startswith("/"))

    def bucket_at(self, spelling: str) -> str | None:
        """Return the bucket of this cache that a path is the folder of; None for another folder."""
        return self._bucket_at(spelling)

    def follow(self, target: str, folder: str) -> Located:
        """Return where a link leads, through every other link on the way.

        As ``locate``, and only slower for targets whose text does not lead
        straight into this cache.
        """
        known = self._targets.get(target)
        if known is not None and not lies_in_another_root(f"{folder}/"):
            return known
        located = self.locate(target, folder)
        if located.place is TargetPlace.INSIDE or len(target) > _PATH_LIMIT:
            # An absolute text with a spelling means the same wherever it is read.
            if located.spelling and not lies_in_another_root(target):
                _remember(self._targets, target, located, _MAX_TARGETS)
            return located
        if lies_in_another_root(f"{folder}/"):
            # Resolving would leave that root at the first absolute link.
            return self.locate_file(_read_in(folder, target))
        resolved = self.locate_resolved(os.path.join(folder, target))
        return resolved if resolved.place is TargetPlace.INSIDE else located

    def locate_resolved(self, path: str) -> Located:
        """Return where an absolute path leads when every link on it is followed."""
        try:
            resolved = self._resolve(path)
            way = self._way_inside(resolved)
        except (OSError, ValueError):
            return _ELSEWHERE
        if way is None:
            # What can't be resolved any further may still name an archive of ours.
            return self._by_text(resolved)
        return _at(way)

    def locate_file(self, path: str) -> Located:
        """Return where a path that the kernel names lies: by text, else by its folders' identity.

        Such a path has no links on the way, but for ``/proc/PID/root`` before
        it, which must not be resolved.
        """
        located = self._by_text(path)
        if located.place is TargetPlace.INSIDE or len(path) > _PATH_LIMIT:
            return located
        way = self._way_inside(path)
        if way is None:
            return located
        return _at(way)

    def _by_text(self, path: str, *, absolute: bool = False) -> Located:
        place = _ELSEWHERE
        # The last mention wins: a cache may itself lie below an odd name.
        for found in reversed(list(_BUCKET.finditer(path))[-_MAX_MENTIONS:]):
            prefix = path[: found.end()]
            parts = _without_dots(path[found.end() :])
            if not parts:
                continue
            bucket = self._bucket_at(prefix)
            if bucket is not None:
                return _inside(bucket, parts, spelling=prefix if absolute else "")
            root = prefix[: -len(found[1]) - 1].rstrip("/")
            if _RUN_FOLDER.search(root):
                # A program that began to use it a moment before it was moved (``prune.moves``).
                return _inside(found[1], parts)
            if root in self._aliases:
                return _inside(found[1], parts, by_alias=not self._exists(prefix))
            if self._may_be_ours(prefix, found[1], parts[0]):
                return _inside(found[1], parts)
            place = _FOREIGN
        return place

    def is_gone(self, located: Located, link: str, target: str = "") -> bool:
        """Whether a link that leads into this cache leads to nothing there.

        One that goes by the name the cache has on another host leads nowhere
        here; it is judged by what this cache holds. ``target``: the link's text, where it
        was read already; what is there for one link is there for all with that text.
        """
        if target and target in self._there and not lies_in_another_root(link):
            return False
        if lies_in_another_root(link):
            text = os.readlink(below_unfollowed(link))
            if os.path.lexists(below_unfollowed(_read_in(os.path.dirname(link), text))):
                return False
        elif os.path.exists(below(link)):
            if target in self._targets:
                if len(self._there) >= _MAX_TARGETS:
                    self._there.clear()
                self._there.add(target)
            return False
        return not (located.by_alias and os.path.exists(f"{self.identity.path}/{located.path}"))

    def folder_behind(self, link: str) -> str | None:
        """Return a path of the folder that a link leads to; None when it leads to none.

        For links that do not lead into the cache: what lies behind them may. One that can't be
        looked at counts as a folder: listing it fails, and says so.
        """
        path = link
        for _ in range(_MAX_LINKS if lies_in_another_root(link) else 0):
            # There the kernel would leave that root at an absolute link.
            try:
                target = os.readlink(below_unfollowed(path))
                path = _read_in(os.path.dirname(path), target)
            except OSError:
                break
        try:
            return path if may_be_folder(below(path)) else None
        except ValueError:
            return None

    def _bucket_at(self, prefix: str) -> str | None:
        # Read once: another thread may forget all answers in between.
        answer = self._spellings.get(prefix, _UNASKED)
        if answer is _UNASKED:
            answer = self._buckets.get(_identity(prefix))
            _remember(self._spellings, prefix, answer)
        return answer

    def _may_be_ours(self, prefix: str, bucket: str, name: str) -> bool:
        if not is_archive_id(name.replace(".", "")):
            return False
        if EntryPath.of(bucket).kind == "archive":
            is_here = name in self._archives
        else:
            # Names of cached environments end in a digest: as good as an id.
            is_here = os.path.lexists(f"{self.identity.path}/{bucket}/{name}")
        # A folder that resolves, but is not ours, is another cache. One by the name that ours has
        # in a container, or on another host, lacks what is meant.
        return is_here and not (self._exists(prefix) and self._is_there(f"{prefix}/{name}"))

    def _is_there(self, entry: str) -> bool:
        answer = self._others.get(entry)
        if answer is None:
            answer = os.path.lexists(below_unfollowed(entry))
            _remember(self._others, entry, answer)
        return answer

    def _exists(self, prefix: str) -> bool:
        answer = self._folders.get(prefix)
        if answer is None:
            answer = os.path.isdir(below(prefix))
            _remember(self._folders, prefix, answer)
        return answer

    def _resolve(self, path: str) -> str:
        """Return a path without links; the way to its folder is remembered."""
        folder, _, name = path.rpartition("/")
        if not folder or name in ("", ".", ".."):
            return resolve(path)
        parent = self._parents.get(folder)
        if parent is None:
            parent = resolve(folder)
            _remember(self._parents, folder, parent)
        resolved = f"{parent.rstrip('/')}/{name}"
        return resolve(resolved) if os.path.islink(below_unfollowed(resolved)) else resolved

    def _way_inside(self, resolved: str) -> str | None:
        """Return the way from the cache's root to a resolved path; None when it is outside.

        A bind mount gives a folder another place, never another identity.
        """
        names: list[str] = []
        way: str | None = None
        folder = resolved
        while folder and folder != "/":
            known = self._ways.get(folder, _UNASKED)
            if known is not _UNASKED:
                way = known
                break
            way = self._entry_at(folder)
            if way is not None:
                break
            folder, _, name = folder.rpartition("/")
            names.append(name)
        # Every folder on the way down has its answer now; the file has not.
        inner = folder
        for name in reversed(names):
            _remember(self._ways, inner, way)
            inner = f"{inner}/{name}"
            way = None if way is None else f"{way}/{name}"
        return way

    def _entry_at(self, folder: str) -> str | None:
        identity = _identity(folder)
        bucket = self._buckets.get(identity)
        if bucket is not None:
            return bucket
        if self._entries is None:
            self._entries = dict(self._read_entries())
        return self._entries.get(identity)

    def _read_entries(self) -> Iterable[tuple[tuple[int, int], str]]:
        """Yield the identity of each entry: one of them may be mounted elsewhere."""
        on_trial = f"{ARCHIVES}/{TRIAL_FOLDER}"
        folders = [(device, bucket) for (device, _), bucket in self._buckets.items()]
        folders += [(device, on_trial) for device, bucket in folders if bucket == ARCHIVES]
        for device, folder in folders:
            try:
                with os.scandir(f"{self.identity.path}/{folder}") as entries:
                    for entry in entries:
                        if not entry.is_symlink():
                            yield (device, entry.inode()), f"{folder}/{entry.name}"
            except OSError:
                continue


def lies_in_another_root(path: str) -> bool:
    """Whether a path is seen through a process with mounts of its own, such as a container's."""
    return _OTHER_ROOT.match(path) is not None


def root_of(path: str) -> str:
    """Return ``/proc/PID/root`` for a path that is seen through that; empty for any other."""
    root = _OTHER_ROOT.match(path)
    return root[0] if root else ""


def _read_in(folder: str, target: str) -> str:
    """Return the path that a link's text in ``folder`` means, links left as they are."""
    if not target.startswith("/"):
        return f"{folder}/{target}"
    root = _OTHER_ROOT.match(f"{folder}/")
    return f"{root[0]}{target}" if root else target


def _identity(path: str) -> tuple[int, int]:
    try:
        status = os.stat(below(path))
    except (OSError, ValueError):
        return (-1, -1)
    return status.st_dev, status.st_ino


def _remember(
    answers: dict[str, _Answer], key: str, answer: _Answer, most: int = _MAX_REMEMBERED
) -> None:
    if len(answers) >= most:
        answers.clear()
    answers[key] = answer


def _without_dots(rest: str) -> list[str]:
    """Return the parts of the way from a bucket on; none when it leaves the bucket.

    By text: archives hold no links to folders, and what uv spells has no dots
    after the bucket's name.
    """
    parts: list[str] = []
    for part in rest.split("/"):
        if part == "..":
            if not parts:
                return []
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return parts


def _at(way: str) -> Located:
    bucket, *parts = way.split("/")
    return _inside(bucket, parts) if parts else _ELSEWHERE


def entry_at(way: str) -> str | None:
    """Return the entry that a path relative to the cache is, or lies in; on trial or not."""
    return _at(way).entry


def _inside(
    bucket: str, parts: list[str], *, by_alias: bool = False, spelling: str = ""
) -> Located:
    if bucket == ARCHIVES and parts[0] == TRIAL_FOLDER:
        # Seen behind its tripwire, as the kernel names it: it is still that entry.
        entry = entry_on_trial(parts[1]) if len(parts) > 1 else None
        if entry is not None:
            bucket, *first_parts = entry.split("/")
            parts = [*first_parts, *parts[2:]]
    path = "/".join((bucket, *parts))
    kind = EntryPath.of(path).kind
    entry = path if kind in _SOURCES else f"{bucket}/{parts[0]}"
    if kind == "environments" and len(parts) > 1 and is_digest(parts[0]) and is_digest(parts[1]):
        # `environments-v2/<interpreter digest>/<digest>` are links, two levels
        # down; a real environment there is one level down, with files below.
        entry = f"{bucket}/{parts[0]}/{parts[1]}"
    return Located(TargetPlace.INSIDE, entry, path, by_alias, spelling)


def lies_in_sources(entry: str) -> bool:
    """Whether an entry of a cache lies in a bucket of what wheels are built from."""
    return EntryPath.of(entry).kind in _SOURCES
