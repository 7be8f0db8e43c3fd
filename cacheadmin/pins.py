"""PinStore: entries of a cache that are never to be removed, made, listed and taken back.

Where one goes depends on the caller's rights. Root and the owner of the cache
write into ``CACHE.pins``, which they make if need be; every other user into the
registry folder that the policy names, as a lease. Each pin is a new file under
a name that no user can guess, so that no user can sit on it.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import NotACache, NotPermitted, WrongUsage
from cacheadmin.evidence.facts import Pin, Unseen
from cacheadmin.evidence.pin_ages import age_records, with_known_ages
from cacheadmin.evidence.pins import (
    MAX_REASON,
    MOST_NS,
    SUFFIX,
    own_folder,
    pin_document,
    read_pins,
)
from cacheadmin.evidence.steady_time import host_time
from cacheadmin.fs.free_space import is_full, not_written
from cacheadmin.fs.mounts import is_mount_point
from cacheadmin.fs.new_folders import make_folder
from cacheadmin.fs.rights import Rights
from cacheadmin.fs.small_files import open_directory
from cacheadmin.inventory.reader import read_inventory
from cacheadmin.planner.pins import is_expired
from cacheadmin.planner.targets import near_names, on_trial_of, resolve_target
from cacheadmin.policy.quantities import parse_duration
from cacheadmin.state.store import State, StateUnusable, open_state
from cacheadmin.text.accounts import account_name
from cacheadmin.text.documents import header
from cacheadmin.text.lists import join_some
from cacheadmin.text.timestamps import nanoseconds, now_ns
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy

_HINTS = (
    "run it as root or as the owner of the cache, or have the policy name a folder in "
    "venvs.registry (sticky, world-writable), where every user may pin"
)


@frozen
class Added:
    """What adding a pin did."""

    pin: Pin
    """The new pin."""
    entries: int
    """How many entries of the cache it keeps now."""
    warning: str = ""
    """What the caller should know; empty for nothing."""
    on_trial: int = 0
    """How many entries it names that are on trial: the next prune puts them back."""


@frozen
class PinRow:
    """A pin as it is listed."""

    pin: Pin
    """The pin, with how long it is known."""
    author: str
    """Account name of the pin's owner, or ``uid 1234``."""
    status: str
    """``active``, ``expired`` or ``overdue``.

    An overdue pin has expired by the calendar, but was not known for that long: it still keeps.
    """


class PinStore:
    """The pins of one cache; see the module."""

    def __init__(self, loaded: LoadedPolicy, cache: OpenCache) -> None:
        self._loaded = loaded
        self._cache = cache
        self._identity: CacheIdentity = cache.identity
        self._owner = os.fstat(cache.fd).st_uid
        self._state: State = open_state(loaded.policy.state, cache=cache.identity)

    def header(self) -> dict[str, Any]:
        """Return the JSON header of ``pin list``."""
        return header("pin", self._loaded, self._identity)

    def add(self, target: str, reason: str, expires: str | None) -> Added:
        """Pin what a target names; a pin of the caller on it in the same folder is replaced.

        Raises NotACache when the target names nothing here, WrongUsage, NotPermitted,
        NoRoom.
        """
        if len(reason) > MAX_REASON:
            raise WrongUsage(f"the reason is longer than {MAX_REASON} characters")
        created_ns = now_ns()
        expires_ns = None if expires is None else expiry_ns(expires, created_ns)
        inventory = read_inventory(self._cache)
        found = resolve_target(target, inventory, self._loaded.policy.aliases)
        waiting = on_trial_of(found, inventory)
        if not (found.entries or waiting):
            raise no_such_target(target, near_names(target, inventory))
        pin = Pin(
            file="",
            uid=os.geteuid(),
            path=found.path,
            package=found.package,
            version=found.version,
            reason=reason,
            created_ns=created_ns,
            expires_ns=expires_ns,
        )
        before = [p for p in self._mine() if p.target == pin.target]
        pin = replace(pin, file=self._write(pin_document(pin, self._identity)))
        folder = os.path.dirname(pin.file)
        here = [old for old in before if os.path.dirname(old.file) == folder]
        for old in here:
            _unlink(old)
        # Who sees these may not see the new one: other hosts, or this one without that mount.
        elsewhere = [old.file for old in before if old not in here]
        warnings = (self._unseen_elsewhere(pin), _still_there(elsewhere), self._note_age(pin))
        return Added(pin, len(found.entries), "; ".join(filter(None, warnings)), len(waiting))

    def remove(self, target: str) -> tuple[Pin, ...]:
        """Take back the pins on a target that are the caller's (all of them, for root).

        Raises NotACache when there is none, NotPermitted when all are others'.
        """
        wanted = self._spellings(target)
        found = [pin for pin in self._read() if pin.target in wanted]
        if not found:
            raise NotACache(
                f"{target} is not pinned", hint="`cacheadmin pin list POLICY` shows what is"
            )
        removable = [pin for pin in found if os.geteuid() in (0, pin.uid)]
        if not removable:
            whose = ", ".join(sorted({account_name(pin.uid) for pin in found}))
            raise NotPermitted(f"the pin on {target} is not yours, but of {whose}")
        for pin in removable:
            _unlink(pin)
        return tuple(removable)

    def rows(self) -> list[PinRow]:
        """Return all pins, by target, with what has become of them."""
        pins = self._read()
        if any(pin.expires_ns is not None for pin in pins):
            pins = with_known_ages(pins, self._state.pin_ages(), host_time())
        moment = now_ns()
        rows = []
        for pin in pins:
            status = "active"
            if is_expired(pin, moment):
                status = "expired"
            elif pin.expires_ns is not None and moment >= pin.expires_ns:
                status = "overdue"
            rows.append(PinRow(pin, account_name(pin.uid), status))
        return rows

    def unread(self) -> list[str]:
        """Return what lies among the pins and could not be read, with why."""
        return [f"{unseen.path}: {unseen.reason}" for unseen in self._look()[1]]

    def _look(self) -> tuple[tuple[Pin, ...], tuple[Unseen, ...]]:
        policy = self._loaded.policy
        trusted = frozenset({0, os.geteuid(), self._owner})
        return read_pins(self._identity, policy.venvs.registry, policy.aliases, trusted)

    def _read(self) -> tuple[Pin, ...]:
        return self._look()[0]

    def _mine(self) -> list[Pin]:
        return [pin for pin in self._read() if pin.uid == os.geteuid()]

    def _spellings(self, target: str) -> set[str]:
        """Return every way a pin on that target may be written, whether it still exists or not."""
        found = resolve_target(target, read_inventory(self._cache), self._loaded.policy.aliases)
        resolved = Pin("", 0, found.path, found.package, found.version).target
        return {target, resolved, f"archive-v0/{target}"}

    def _unseen_elsewhere(self, pin: Pin) -> str:
        """Return that who has only the cache mounted does not see a pin, where that may be so."""
        folder = os.path.dirname(pin.file)
        if folder != own_folder(self._identity) or not is_mount_point(self._identity.path):
            return ""
        return (
            f"the cache is a mount point here, and {folder} lies beside it: hosts and containers "
            "that have the cache at another place do not see this pin; pin it there, too"
        )

    def _note_age(self, pin: Pin) -> str:
        """Begin to count the pin's age; return a warning where that must wait for a prune."""
        if pin.expires_ns is None or os.path.dirname(pin.file) != own_folder(self._identity):
            return ""
        try:
            records = self._state.pin_ages()
            self._state.note_pin_ages(age_records(self._read(), records, host_time()))
        except (StateUnusable, NotPermitted) as error:
            return f"it begins to age with the next prune: {error.message}"
        return ""

    def _write(self, content: bytes) -> str:
        """Write a new file where the caller's rights allow; return its path."""
        problems: dict[str, OSError] = {}
        for folder, open_folder in (
            (own_folder(self._identity), self._open_own),
            (self._loaded.policy.venvs.registry, self._open_registry),
        ):
            if folder is None:
                continue
            try:
                fd = open_folder(folder)
                try:
                    return f"{folder}/{_write_new(fd, content)}"
                finally:
                    os.close(fd)
            except OSError as error:
                problems[folder] = error
        for folder, problem in problems.items():
            if is_full(problem):
                raise not_written(f"the pin can't be written to {folder}", problem)
        details = tuple(f"{folder}: {one.strerror}" for folder, one in problems.items())
        raise NotPermitted("nowhere to write the pin", details=details, hint=_HINTS)

    def _open_own(self, folder: str) -> int:
        if os.geteuid() in (0, self._owner):
            self._make_own(folder)
        fd = open_directory(folder)
        status = os.fstat(fd)
        others = stat.S_IMODE(status.st_mode) & 0o022 and not status.st_mode & stat.S_ISVTX
        if others or status.st_uid not in (0, os.geteuid(), self._owner):
            os.close(fd)
            raise PermissionError(errno.EPERM, "others could take pins away there")
        return fd

    def _make_own(self, folder: str) -> None:
        """Make the folder unless it is there. All users may see what is pinned, whatever the umask.

        Others may be able to write beside the cache.
        """
        parent, name = os.path.split(folder)
        parent_fd = open_directory(parent, follow=True)
        try:
            if not os.path.lexists(folder):
                rights = Rights(os.geteuid(), os.getegid(), 0o755)
                os.close(make_folder(parent_fd, name, rights))
        except FileExistsError:
            pass
        finally:
            os.close(parent_fd)

    def _open_registry(self, folder: str) -> int:
        return open_directory(folder, follow=True)


def _still_there(files: list[str]) -> str:
    """Return that earlier pins on the same target go on keeping it; empty for none."""
    if not files:
        return ""
    named = ", ".join(join_some(sorted(files)))
    return f"what was pinned before in another folder stays, too: {named}"


def expiry_ns(text: str, created_ns: int) -> int:
    """Return when a pin made at ``created_ns`` ends: after a duration, or on a date.

    A date without time is the beginning of that day, UTC. Raises WrongUsage for what
    is neither, has passed, or is too late for a pin to name.
    """
    expires_ns = _moment_ns(text, created_ns)
    if expires_ns <= created_ns:
        raise WrongUsage(f"{text} has passed")
    if expires_ns > MOST_NS:
        raise WrongUsage(
            f"{text} is too far away", hint="leave --expires out: a pin then never ends"
        )
    return expires_ns


def _moment_ns(text: str, created_ns: int) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            return created_ns + nanoseconds(parse_duration(text))
        except ValueError:
            raise WrongUsage(
                f"{text!r} is neither a duration (30d, 12h) nor a date (2027-01-31)"
            ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp()) * 10**9


def no_such_target(target: str, near: tuple[str, ...]) -> NotACache:
    """Return the error for a target that names nothing in a cache."""
    return NotACache(
        f"nothing in this cache is called {target}",
        details=(f"near: {', '.join(near)}",) if near else (),
        hint="give an archive id, a path in the cache, a package, or name==version",
    )


def _write_new(folder_fd: int, content: bytes) -> str:
    """Write a file under a name that no user can guess; whole or not at all."""
    name = f"{os.urandom(8).hex()}{SUFFIX}"
    partial = f".{name}.part"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(partial, flags, 0o644, dir_fd=folder_fd)
    try:
        # Whatever the umask: nothing in it is secret, and every host must read it.
        os.fchmod(fd, 0o644)
        # On a disk that fills up just now a write may be cut short, without an error.
        while content:
            content = content[os.write(fd, content) :]
        os.fsync(fd)
        os.rename(partial, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        os.fsync(folder_fd)
    except OSError:
        os.unlink(partial, dir_fd=folder_fd)
        raise
    finally:
        os.close(fd)
    return name


def _unlink(pin: Pin) -> None:
    try:
        os.unlink(pin.file)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise NotPermitted(f"can't remove {pin.file}: {error.strerror}") from None
