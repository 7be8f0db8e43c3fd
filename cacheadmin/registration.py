"""The registry of environments: a folder of links where the policy names one, else the state.

In a folder each user registers their own: the link belongs to the user who made
it, and the sticky folder lets no other user remove it. The state is the admin's.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cacheadmin.errors import CacheadminError, NotACache, NotPermitted, WrongUsage
from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.kinds import PRESENT, NamedFolder, kind_of
from cacheadmin.evidence.registry import ReaderEyes, entry_name, old_entry_name, registered
from cacheadmin.evidence.steady_time import host_time, recorded_moment
from cacheadmin.fs.free_space import not_written
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.readers import Readers
from cacheadmin.state.store import open_state
from cacheadmin.text.accounts import account_name
from cacheadmin.text.documents import header
from cacheadmin.text.timestamps import now_ns, rfc3339
from cacheadmin.values import frozen

if TYPE_CHECKING:
    from cacheadmin.inventory.entries import CacheIdentity
    from cacheadmin.policy.loaded import LoadedPolicy
    from cacheadmin.state.store import State


@frozen
class Registration:
    """One known environment."""

    path: str
    """The environment's path, as it was registered or found."""
    how: str
    """``registry`` (a link in the policy's folder), ``added`` or ``remembered`` (in the state)."""
    uid: int | None
    """Owner of the environment, or of the link; None where unknown."""
    exists: bool
    """Whether something has that path now."""
    seen_at: str | None
    """When a look last saw it (RFC 3339); None for a link in the registry."""


class Registrations:
    """What is registered for one cache; see the module."""

    def __init__(self, loaded: LoadedPolicy, cache: CacheIdentity, state: State) -> None:
        self._loaded = loaded
        self._cache = cache
        self._state = state
        self._folder = loaded.policy.venvs.registry

    def header(self) -> dict[str, Any]:
        """Return the JSON header of ``venv list``."""
        return header("venv", self._loaded, self._cache)

    def add(self, path: str) -> None:
        """Register an environment. Raises WrongUsage for what is none, NotPermitted."""
        kind = kind_of(path)
        if kind is None:
            raise WrongUsage(
                f"{path} is not an environment: no pyvenv.cfg, no uv-receipt.toml, no *.dist-info"
            )
        if self._folder is None:
            here = host_time()
            moment_ns = recorded_moment(now_ns(), self._state.clock(here.host), here)
            self._state.register(path, kind, os.stat(path).st_uid, moment_ns)
            return
        uid = os.geteuid()
        # Made by an earlier version: it serves as well.
        if _is_link(f"{self._folder}/{old_entry_name(path)}", uid, path):
            return
        link = f"{self._folder}/{entry_name(uid, path)}"
        try:
            os.symlink(path, link)
        except FileExistsError:
            if not _is_link(link, uid, path):
                raise _taken(link) from None
        except OSError as error:
            raise not_written(f"can't register in {self._folder}", error) from None

    def remove(self, path: str) -> None:
        """Take an environment out. Raises NotACache when it is not there, NotPermitted.

        A plain user takes their own link out. What runs of root's remember stays
        with these, and goes once the environment is gone.
        """
        links = self._links_to(path)
        # Another user may have registered it too: that link is theirs.
        mine = [link for link, uid in links if os.geteuid() in (0, uid)]
        found = False
        for link in mine:
            try:
                os.unlink(link)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise NotPermitted(f"can't remove {link}: {error.strerror}") from None
            found = True
        try:
            found = self._state.forget(path) or found
        except CacheadminError:
            # The site's state is not a plain user's to write.
            if os.geteuid() == 0 or not (found or links):
                raise
        if links and not mine and not found:
            owners = ", ".join(sorted({account_name(uid) for _, uid in links}))
            raise NotPermitted(f"{path} was registered by {owners}, who alone can take it out")
        if not found:
            raise NotACache(
                f"{path} is not registered", hint="`cacheadmin venv list POLICY` shows what is"
            )

    def rows(self) -> list[Registration]:
        """Return everything that is registered or remembered, by path."""
        # Readers look where the paths lead: they are users' to choose.
        with Readers(self._loaded.policy.scan.limits.of_readers) as readers:
            rows = list(self._rows(readers))
            named = [NamedFolder(row.path, row.uid) for row in rows]
            # What no reader could look at may be there.
            there = [answer is not False for answer in readers.ask_all(PRESENT, named)]
        found = [replace(row, exists=one) for row, one in zip(rows, there, strict=True)]
        return sorted(found, key=lambda row: (row.path, row.how))

    def _rows(self, readers: Readers) -> Iterator[Registration]:
        for known in self._state.known_environments():
            yield Registration(
                known.path,
                "added" if known.registered else "remembered",
                known.uid,
                True,
                rfc3339(known.seen_ns),
            )
        if self._folder is None:
            return
        for candidate in registered(self._folder, eyes=ReaderEyes(readers)):
            if isinstance(candidate, Candidate):
                yield Registration(candidate.path, "registry", candidate.registrant, True, None)

    def _links_to(self, path: str) -> list[tuple[str, int]]:
        """Return the links to a path, each with its owner."""
        found = []
        for link in self._names():
            try:
                if os.readlink(link) == path:
                    found.append((link, os.lstat(link).st_uid))
            except OSError:
                continue
        return found

    def _names(self) -> list[str]:
        if self._folder is None:
            return []
        try:
            return [f"{self._folder}/{name}" for name in os.listdir(self._folder)]
        except OSError:
            return []


def _is_link(link: str, uid: int, target: str) -> bool:
    """Whether there is a link of that account to that target."""
    try:
        return os.lstat(link).st_uid == uid and os.readlink(link) == target
    except OSError:
        return False


def _taken(link: str) -> NotPermitted:
    try:
        status = os.lstat(link)
        owner = account_name(status.st_uid)
        leads = f"leads to {os.readlink(link)}" if stat.S_ISLNK(status.st_mode) else "is no link"
    except OSError:
        owner, leads = "no user any more", "has just gone"
    return NotPermitted(
        f"not registered: {link} belongs to {owner} and {leads}",
        hint=f"have root or {owner} remove it, then register again; `cacheadmin audit POLICY` "
        "reports it",
    )


def open_registry(loaded: LoadedPolicy) -> Registrations:
    """Return the registry of a policy's cache."""
    with open_cache(loaded.policy.cache) as cache:
        return Registrations(
            loaded, cache.identity, open_state(loaded.policy.state, cache=cache.identity)
        )
