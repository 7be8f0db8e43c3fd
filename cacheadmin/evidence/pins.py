"""Pins and leases: files that ask for something in the cache to be kept.

A pin is a small JSON file in one of two folders. ``CACHE.pins``, beside the
cache, is its administrators'; where the cache is mounted at several paths of this host
there may be one beside each, and all count. The registry (``venvs.registry``), sticky and
world-writable, is every user's: a pin there is a *lease*, which any user may take
out. The owner of a file is the author of its pin, whatever the file claims.

Files, not the state: losing the state must never lead to removing more, and
every host that sees the cache sees what was pinned.

Root reads what users wrote. A file is opened without following links or
waiting (a FIFO), is read up to a bound (a terabyte), and counts only for its
own owner. A pin can only keep something; no user can make anything go with one,
except what their own pin had kept. What can't be understood is said; in an
administrator's file it keeps everything, in another user's nothing.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.evidence.away import why_registry_is_empty
from cacheadmin.evidence.facts import Pin, Unseen
from cacheadmin.fs.mounted_places import other_paths_of
from cacheadmin.fs.mounts import read_mounts
from cacheadmin.fs.small_files import (
    ReadFailure,
    failure,
    kind_words,
    open_directory,
    read_file_and_status,
)
from cacheadmin.readers import Question, Readers, note_owner
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.fs.mounts import Mount
    from cacheadmin.inventory.entries import CacheIdentity

SUFFIX = ".pin"

# A path has at most 4096 bytes, six times as many characters when escaped.
MAX_BYTES = 32 * 1024
MAX_REASON = 500

# Of one user in the registry, and of all together; more are not read.
MAX_OF_ONE = 1000
_MAX_FILES = 100_000

# Pins that a reader hands over at a time.
_PINS_A_PART = 64

# So many unreadable files of one user are named: a report must stay readable.
_NAMED = 5

_TORN = "ask its author what it should keep, pin that, and then remove the file"
_NEWER = (
    "upgrade cacheadmin on this host, where a newer one wrote it; else ask its author what it "
    "should keep, pin that, and then remove the file"
)
_TOO_MANY = "have their author take back what is not needed any more: `cacheadmin pin remove`"

_FORMAT = 1
# The last moment that a pin can name, by the state's numbers: in the year 2262.
MOST_NS = 2**63 - 1


class NotAPin(ValueError):
    """A file's content is no pin: why, in words."""


class _OtherFormat(NotAPin):
    """It may be a pin of a newer release."""


@frozen
class _Damaged:
    """What is called as a pin, was looked at, and is none."""

    reason: str
    """Why, in words."""
    fix: str
    """What has to be done."""
    is_damaged: bool
    """Whether no release can read it."""


def own_folder(cache: CacheIdentity) -> str:
    """Return the folder of the administrators' pins: beside the cache, where no uv deletes it."""
    return _beside(cache.path)


def folders_beside_other_mounts(cache: CacheIdentity, mounts: tuple[Mount, ...]) -> list[str]:
    """Return the folders on this host that may hold pins of the administrators, but for our own.

    Another policy may reach the same cache by a bind mount, and has pinned beside that: what is
    not beside our own path is then no sign that nothing is pinned.
    """
    return [_beside(other) for other in other_paths_of(cache.path, mounts)]


def _beside(path: str) -> str:
    return f"{path}.pins"


def pin_folders(
    cache: CacheIdentity,
    registry: str | None,
    aliases: Iterable[str],
    mounts: tuple[Mount, ...],
) -> tuple[str, ...]:
    """Return the folders that pins of a cache lie in: beside each of its names, and the registry.

    Ours is the first. Another policy names the cache by another path, or this one did before
    its disk was mounted elsewhere: what was pinned by then is pinned.
    """
    beside = [own_folder(cache), *folders_beside_other_mounts(cache, mounts)]
    beside += [_beside(alias.rstrip("/")) for alias in aliases]
    return tuple(dict.fromkeys([*beside, *([registry] if registry else [])]))


@frozen
class PinFolder:
    """A folder of pins, and what makes one of them this cache's."""

    path: str
    """Absolute path of the folder."""
    names: frozenset[str]
    """All paths by which pins may name the cache."""
    inode: int
    """Inode of the cache's root."""
    trusted: frozenset[int]
    """Accounts whose unreadable pin may pin anything."""
    is_registry: bool = False
    """Whether it is the users' registry, which the policy says is there."""


@dataclass(slots=True)
class PinsThere:
    """What a folder of pins holds, or a part of it."""

    pins: list[Pin] = field(default_factory=list)
    """Pins of the cache, expired or not."""
    unseen: list[Unseen] = field(default_factory=list)
    """What could not be understood."""

    def put(self, found: Pin | Unseen) -> None:
        """Put one of either kind to the rest."""
        if isinstance(found, Pin):
            self.pins.append(found)
        else:
            self.unseen.append(found)


def read_pins(
    cache: CacheIdentity,
    registry: str | None,
    aliases: Iterable[str] = (),
    trusted: frozenset[int] = frozenset({0}),
    *,
    readers: Readers | None = None,
    deadline_seconds: float | None = None,
) -> tuple[tuple[Pin, ...], tuple[Unseen, ...]]:
    """Return every pin of a cache, expired or not, and what could not be understood.

    ``aliases`` are other names of the cache. A file of a ``trusted`` uid that
    can't be read may pin anything. Without ``readers``, some are started.
    """
    names = frozenset({cache.path, *aliases})
    tasks = [
        PinFolder(folder, names, cache.inode, trusted, is_registry=folder == registry)
        for folder in pin_folders(cache, registry, aliases, read_mounts())
    ]
    found = PinsThere()
    with nullcontext(readers) if readers is not None else Readers() as pool:
        for reply in pool.replies(PINS, tasks, deadline_seconds=deadline_seconds):
            for part in reply.parts:
                found.pins += part.pins
                found.unseen += part.unseen
            if reply.failed is not None:
                # A pin of an administrator may be among those that were not read.
                failed, folder = reply.failed, reply.item.path
                found.unseen.append(Unseen("pin", folder, failed.reason, True, failed.uid))
    return tuple(sorted(found.pins, key=lambda pin: (pin.target, pin.file))), tuple(found.unseen)


def _pins_in(folder: PinFolder) -> Iterator[PinsThere]:
    """Yield what a folder holds, in parts. Runs in a reader."""
    part = PinsThere()
    for number, found in enumerate(_read_folder(folder)):
        part.put(found)
        if number % _PINS_A_PART == 0:
            yield part
            part = PinsThere()
    yield part


PINS: Question[PinFolder, PinsThere] = Question(_pins_in, PinsThere, in_parts=True)


def _read_folder(folder: PinFolder) -> Iterator[Pin | Unseen]:
    try:
        # A registry may be reached by an admin's link, as for environments.
        fd = open_directory(folder.path, follow=True)
    except FileNotFoundError as error:
        if folder.is_registry:
            # A disk that is not mounted tonight: it holds leases, for all that is known.
            reason = failure(folder.path, error).reason
            yield Unseen("pin", folder.path, reason, hides_archives=True)
        return
    except OSError as error:
        reason = failure(folder.path, error).reason
        yield Unseen("pin", folder.path, reason, hides_archives=True)
        return
    try:
        if folder.is_registry and _is_empty(fd) and (why := why_registry_is_empty(folder.path)):
            yield Unseen("pin", folder.path, why, hides_archives=True)
        yield from _read_files(fd, folder.path, folder.names, folder.inode, folder.trusted)
    except OSError as error:
        reason = failure(folder.path, error).reason
        yield Unseen("pin", folder.path, reason, hides_archives=True)
    finally:
        os.close(fd)


def _is_empty(fd: int) -> bool:
    with os.scandir(fd) as entries:
        return next(entries, None) is None


def _read_files(
    fd: int, folder: str, names: frozenset[str], inode: int, trusted: frozenset[int]
) -> Iterator[Pin | Unseen]:
    count: Counter[int] = Counter()
    bad: Counter[int] = Counter()
    for name in _pin_names(fd):
        try:
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        except OSError as error:
            # Whose it is can't be seen either: it may be one of the site's own.
            reason = failure(f"{folder}/{name}", error).reason
            yield Unseen("pin", f"{folder}/{name}", reason, hides_archives=True)
            continue
        note_owner(status.st_uid)
        count[status.st_uid] += 1
        if count[status.st_uid] > MAX_OF_ONE and status.st_uid not in trusted:
            if count[status.st_uid] == MAX_OF_ONE + 1:
                reason = f"more than {MAX_OF_ONE} pins of one user"
                yield Unseen("pin", folder, reason, False, uid=status.st_uid, fix=_TOO_MANY)
            continue
        found = _read_one(fd, name, folder, status)
        if isinstance(found, ReadFailure) and found.missing:
            continue
        if isinstance(found, ReadFailure | _Damaged):
            bad[status.st_uid] += 1
            if bad[status.st_uid] <= _NAMED:
                yield _unread(f"{folder}/{name}", found, status.st_uid, trusted)
        elif _concerns(found[1], names, inode):
            yield found[0]
    if sum(count.values()) >= _MAX_FILES:
        # Most of them are of the account that fills the folder.
        ((most, _),) = count.most_common(1)
        reason = f"more than {_MAX_FILES} pins"
        yield Unseen("pin", folder, reason, hides_archives=True, uid=most, fix=_TOO_MANY)


def _unread(path: str, found: ReadFailure | _Damaged, uid: int, trusted: frozenset[int]) -> Unseen:
    fix = found.fix if isinstance(found, _Damaged) else ""
    damaged = isinstance(found, _Damaged) and found.is_damaged
    return Unseen("pin", path, found.reason, uid in trusted, uid=uid, fix=fix, damaged=damaged)


def _pin_names(fd: int) -> list[str]:
    found = []
    with os.scandir(fd) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                found.append(entry.name)
                if len(found) >= _MAX_FILES:
                    break
    return sorted(found)


def _read_one(
    fd: int, name: str, folder: str, seen: os.stat_result
) -> tuple[Pin, dict[str, Any]] | ReadFailure | _Damaged:
    path = f"{folder}/{name}"
    if not stat.S_ISREG(seen.st_mode):
        return _Damaged(f"not a regular file but {kind_words(seen.st_mode)}", _TORN, True)
    found = read_file_and_status(name, MAX_BYTES, fd)
    if isinstance(found, ReadFailure):
        if found.missing or found.blocked:
            return found
        return _Damaged(found.reason, _TORN, True)
    content, status = found
    try:
        return parse_pin(content, path, status.st_uid)
    except _OtherFormat as error:
        return _Damaged(str(error), _NEWER, False)
    except NotAPin as error:
        return _Damaged(str(error), _TORN, True)


def _concerns(claims: dict[str, Any], names: frozenset[str], inode: int) -> bool:
    """Whether a pin is of this cache: by name, or by the folder that the name led to."""
    return claims["cache"] in names or claims["inode"] == inode


def parse_pin(content: bytes, file: str, uid: int) -> tuple[Pin, dict[str, Any]]:
    """Return the pin that a file describes, and the whole document. Raises NotAPin."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise NotAPin("it is not JSON") from None
    if not isinstance(document, dict):
        raise NotAPin("it is no pin")
    if document.get("format") != _FORMAT:
        raise _OtherFormat("it is no pin of a format that is known here")
    path, package = _text(document, "path", 4096), _text(document, "package", 300)
    if (path is None) == (package is None):
        raise NotAPin("it names neither an entry nor a package, or both")
    if path is not None and not is_entry_path(path):
        raise NotAPin("its path leads out of the cache")
    if _text(document, "cache", 4096) is None or _number(document, "inode") is None:
        raise NotAPin("it names no cache")
    pin = Pin(
        file=file,
        uid=uid,
        path=path,
        package=package,
        version=None if package is None else _text(document, "version", 300),
        reason=_text(document, "reason", MAX_REASON) or "",
        created_ns=_number(document, "created_ns") or 0,
        expires_ns=_number(document, "expires_ns"),
    )
    return pin, document


def pin_document(pin: Pin, cache: CacheIdentity) -> bytes:
    """Return a pin as the content of its file."""
    document = {
        "format": _FORMAT,
        "cache": cache.path,
        "inode": cache.inode,
        "path": pin.path,
        "package": pin.package,
        "version": pin.version,
        "reason": pin.reason,
        "created_ns": pin.created_ns,
        "expires_ns": pin.expires_ns,
    }
    return json.dumps(document, indent=1).encode("ascii") + b"\n"


def is_entry_path(path: str) -> bool:
    """Whether a text is a plain path below the cache's root."""
    parts = path.split("/")
    return "\0" not in path and all(part not in ("", ".", "..") for part in parts)


def _text(document: dict[str, Any], key: str, longest: int) -> str | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        if value == "" and key == "reason":
            return ""
        raise NotAPin(f"its {key} is no text of 1 to {longest} characters")
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        # No path, and nothing that can be stored or told: it would cost all pins of its folder.
        raise NotAPin(f"its {key} holds half a character") from None
    return value


def _number(document: dict[str, Any], key: str) -> int | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_NS:
        raise NotAPin(f"its {key} is no number of nanoseconds")
    return value
