"""One run a cache among all hosts that reach it: where the turn is kept, and the fence.

A PostgreSQL that hosts share knows best; without one it is a file beside the
quarantine (``hosts.leases``). A run asks the fence before each of its moves: who
has lost the turn stops there, and the next run puts back what was not finished.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, CacheBusy, NotPermitted, Refused
from cacheadmin.evidence.exports import exports_of
from cacheadmin.evidence.filesystem import describe_filesystem
from cacheadmin.evidence.observations import host_name
from cacheadmin.evidence.steady_time import boot_id
from cacheadmin.fs.free_space import is_full
from cacheadmin.fs.mounts import mount_of
from cacheadmin.fs.quiet_threads import start_quiet_thread
from cacheadmin.hosts.leases import (
    RENEW_SECONDS,
    UNKNOWN,
    FileLease,
    Lease,
    LeaseHolder,
    LeaseLost,
    lost,
)
from cacheadmin.hosts.token import make_token
from cacheadmin.state.advisory_lock import AdvisoryLock
from cacheadmin.state.store import StateUnusable, open_state
from cacheadmin.text.damage import DAMAGE

if TYPE_CHECKING:
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.policy.model import Policy

# Between two moves of one batch the lease is looked at again after so long (seconds).
_LOOK_AGAIN_SECONDS = 0.2
_PAUSE_SECONDS = 0.1

# Sessions of databases in which the turn was asked for in vain, to ask again.
_asked_before: dict[tuple[object, ...], DatabaseLease] = {}


class TurnTaken(CacheBusy):
    """A run of another host, or of this one, has the turn."""


class DatabaseLease:
    """A turn that a PostgreSQL keeps (``state.advisory_lock``): no time has to be believed."""

    lasts_seconds = float("inf")

    def __init__(self, lock: AdvisoryLock, me: LeaseHolder, name: tuple[object, ...] = ()) -> None:
        self.name = name
        """What tells it from those of other caches and processes."""
        self._lock = lock
        self._me = json.dumps(asdict(me))
        self._number = 0

    def number(self) -> int:
        """Return the number of the lease that was taken last."""
        return self._number

    def try_take(self) -> LeaseHolder | None:
        """Take the lease; else return who has it. Raises StateUnusable."""
        number, holder = self._lock.try_take(self._me)
        if number is None:
            return _holder(holder)
        self._number = number
        return None

    def renew(self) -> None:
        """Notice early that the connection is lost. Raises LeaseLost."""
        self.check()

    def check(self) -> None:
        """Make sure that the session still has the lock. Raises LeaseLost."""
        try:
            number = self._lock.number()
        except StateUnusable as error:
            raise lost(error.message) from None
        if number != self._number:
            raise lost("the state does not know our session any more")

    def give_back(self) -> None:
        """End the session."""
        self._lock.close()


class Turn:
    """A lease that is held, and the fence: call it right before every move."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._guarded = threading.Lock()
        self._renewed_at = _now()
        self._looked_at = self._renewed_at
        self._lost: LeaseLost | None = None
        self._ended = threading.Event()
        self._thread = start_quiet_thread(self._keep)

    def __call__(self, *, batch: bool = False) -> None:
        """Raise LeaseLost where the turn is over; ``batch``: moves begin that belong together.

        Within a batch the lease is asked again only after a pause.
        """
        now = _now()
        if self._lost is None and not batch and now - self._looked_at < _LOOK_AGAIN_SECONDS:
            return
        with self._guarded:
            self._require(now)
        self._looked_at = now

    def regain(self) -> bool:
        """Take the turn again after it was lost; whether no other host had it in between."""
        with self._guarded:
            before = self._lease.number()
            try:
                self._lease.give_back()
                if self._lease.try_take() is not None:
                    return False
            except (OSError, CacheadminError):
                return False
            self._lost = None
            self._renewed_at = _now()
            return self._lease.number() == before + 1

    def end(self) -> None:
        """Give the lease back."""
        self._ended.set()
        self._thread.join()
        self._lease.give_back()

    def _require(self, now: float) -> None:
        stood_still = now - self._renewed_at
        if self._lost is None and stood_still > self._lease.lasts_seconds:
            self._lost = lost(f"it stood still for {stood_still:.0f} s")
        if self._lost is not None:
            raise self._lost
        try:
            self._lease.check()
        except LeaseLost as error:
            self._lost = error
            raise

    def _keep(self) -> None:
        while not self._ended.wait(RENEW_SECONDS):
            with self._guarded:
                # From before it is asked for: the answer may be long on its way.
                begun = _now()
                try:
                    self._require(begun)
                    self._lease.renew()
                except LeaseLost as error:
                    self._lost = error
                    continue
                self._renewed_at = begun


class Undisputed:
    """The fence where no other host reaches the cache: no host can take a turn away."""

    def __call__(self, *, batch: bool = False) -> None:
        """Go on."""

    def regain(self) -> bool:
        """Return True: it was never lost."""
        return True


@contextmanager
def turn_among_hosts(
    policy: Policy,
    cache: OpenCache,
    folder_fd: int,
    folder: str,
    deadline: float,
) -> Iterator[Turn | None]:
    """Hold the turn on a cache; None where no other host reaches it.

    ``folder`` is the quarantine, held open as ``folder_fd``; call it while this
    kernel's run lock in it is held. After ``deadline`` (by the monotonic clock) it
    is not waited for. Raises CacheBusy, which names who has it, and StateUnusable.
    """
    if not _others_reach(policy, cache):
        yield None
        return
    lease = _lease(policy, cache, folder_fd, folder)
    try:
        taken = _take(lease, deadline, folder)
    except BaseException as error:
        if isinstance(error, TurnTaken) and isinstance(lease, DatabaseLease):
            # A guard asks again and again, by the same session.
            _asked_before[lease.name] = lease
        else:
            lease.give_back()
        raise
    if not taken:
        yield None
        return
    turn = Turn(lease)
    try:
        yield turn
    finally:
        turn.end()


def this_holder() -> LeaseHolder:
    """Return who we are, for others."""
    return LeaseHolder(host_name(), boot_id(), os.getpid(), os.geteuid())


def busy(holder: str) -> CacheBusy:
    """Return what is said while another run is at work; ``holder`` in words, or empty."""
    return CacheBusy(
        "another cacheadmin run works on this cache" + (f": {holder}" if holder else ""),
        hint="wait for it to end, or raise lock.timeout",
    )


def _others_reach(policy: Policy, cache: OpenCache) -> bool:
    if policy.hosts.is_alone:
        return False
    path = cache.identity.path
    shared_state = _is_postgresql(policy.state)
    if policy.hosts.expect or shared_state or mount_of(path).is_network:
        return True
    return bool(exports_of(path))


def _lease(policy: Policy, cache: OpenCache, folder_fd: int, folder: str) -> Lease:
    if _is_postgresql(policy.state):
        # A guard of a cache on one host stays small.

        try:
            token = make_token(cache)
        except (NotPermitted, Refused):
            # A cache without archives, or one that this caller may not write to.
            pass
        else:
            name = (os.getpid(), policy.state, token)
            before = _asked_before.pop(name, None)
            if before is not None:
                return before
            state = open_state(policy.state, cache=cache.identity)
            return DatabaseLease(AdvisoryLock(state, token), this_holder(), name)
    return FileLease(folder_fd, folder, this_holder())


def _take(lease: Lease, deadline: float, folder: str) -> bool:
    """Wait for the turn; return False where no room is left to write it down.

    There the run lock has to do, if the filesystem carries it to other hosts.
    """
    while True:
        try:
            holder = lease.try_take()
        except OSError as error:
            if is_full(error) and describe_filesystem(folder).locks_reach_other_hosts is not False:
                return False
            raise Refused(
                f"no turn can be taken in {folder}: {error.strerror}",
                details=("another host may be at work on this cache",),
                hint="see that this host can write there; or, where no other host uses the cache, "
                "say so: hosts: {only: this}",
            ) from None
        if holder is None:
            return True
        if time.monotonic() >= deadline:
            found = busy("" if holder == UNKNOWN else holder.words())
            raise TurnTaken(found.message, hint=found.hint)
        time.sleep(_PAUSE_SECONDS)


def _is_postgresql(url: str | None) -> bool:
    return url is not None and url.startswith("postgresql")


def _holder(document: str) -> LeaseHolder:
    try:
        return LeaseHolder(**json.loads(document))
    except DAMAGE:
        return UNKNOWN


def _now() -> float:
    """Return the seconds since boot, those asleep too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
