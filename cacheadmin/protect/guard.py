"""The guard: plants again at once what a user's prune has removed.

A prune of any release deletes the buckets of all other releases, and with them
the roots there. Until they are back, a prune of another release would break
environments. The guard is told by the kernel when roots go, and plants from
the last known set of archives in use; a full look renews that set every few
minutes, soon after archives come or go, and on SIGHUP.

- It writes nothing while nothing changes: it looks first, and takes the run
  lock and plants only where something is missing.
- What is planted again between two looks is only ever added; roots are removed
  after a look, and only such as were there before it.
- While a prune of ours is at work it waits: a bucket on its way to quarantine
  has not vanished.
- One thread, one loop, nothing on the disk: killed, it leaves nothing behind.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.fs.rights import read_rights
from cacheadmin.hosts.turns import TurnTaken
from cacheadmin.inventory.cache_folder import open_cache
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.background_look import BackgroundLook, LookResult
from cacheadmin.protect.bucket_watch import (
    Fingerprint,
    News,
    Watches,
    changed_since,
    fingerprint,
    identity,
)
from cacheadmin.protect.folders import open_folder, rights_of
from cacheadmin.protect.lock_hold import INTERVAL_SECONDS, Hold
from cacheadmin.protect.planted_roots import PlantedBucket, examine, leading_somewhere
from cacheadmin.protect.protection import plant_wanted
from cacheadmin.protect.roots import ROOTS_FOLDER
from cacheadmin.protect.spare_buckets import Stock
from cacheadmin.protect.trial_roots import with_trials
from cacheadmin.protect.trial_watch import TrialWatch
from cacheadmin.prune.quarantine import open_quarantine
from cacheadmin.prune.run_lock import run_lock_of_host
from cacheadmin.text.numbers import format_count
from cacheadmin.text.timestamps import NANOSECONDS

if TYPE_CHECKING:
    from cacheadmin.fs.rights import Rights
    from cacheadmin.inventory.cache_folder import OpenCache
    from cacheadmin.inventory.entries import ArchiveId
    from cacheadmin.protect.roots import WantedRoots
    from cacheadmin.prune.quarantine import QuarantineFolder

# A full look at least so often (seconds), so soon after archives came or went,
# and never so often that looking takes more than a tenth of the time.
_LOOK_EVERY = 300.0
_LOOK_AFTER_NEWS = 2.0
_LOOK_SHARE = 10.0

# Comparing folders, without (or in case of lost) notices.
_COMPARE_EVERY = 10.0
_COMPARE_OTHER_HOSTS_EVERY = 1.0

# A bucket that vanished is given back at once. One that is there and has lost
# roots may be about to be deleted: a prune should be done with it (``staging``).
# But a user may delete things all day long.
_SETTLE = 0.25
_SETTLE_AT_MOST = 5.0

# Giving back at once: so often in a row, and then so often a second. A user
# who deletes buckets in a loop must not keep a core busy.
_AT_ONCE = 60.0
_AT_ONCE_A_SECOND = 20.0

# When the run lock is taken, or the cache is gone.
_TRY_AGAIN = 0.2
_TRY_CACHE_AGAIN = 1.0

# While a run of another host has the turn each pause is twice as long as the last, up to this.
_TRY_TURN_AGAIN_AT_MOST = 5.0

# So long after it was told a problem that is still met is told again.
_TELL_AGAIN = 3600.0

Say = Callable[[str], None]


def guard(policy: str | None, *, hold: bool, insecure_policy: bool, say: Say) -> None:
    """Guard a cache until SIGTERM or SIGINT. ``say`` gets one line for each thing done.

    Raises what loading the policy, opening the cache and the first look raise.
    """
    with ExitStack() as stack:
        service = _Guard(policy, hold=hold, insecure_policy=insecure_policy, say=say)
        stack.callback(service.close)
        service.run()


class _Guard:
    def __init__(self, policy: str | None, *, hold: bool, insecure_policy: bool, say: Say) -> None:
        self._argument = policy
        self._insecure = insecure_policy
        self._say = say
        self._policy = load_policy(policy, insecure=insecure_policy).policy
        self._open = ExitStack()
        self._cache: OpenCache | None = self._open.enter_context(open_cache(self._policy.cache))
        self._quarantine = ExitStack()
        self._stock: tuple[QuarantineFolder, Stock] | None = None
        self._inodes: dict[str, int] = {}
        self._rights: dict[str, Rights] = {}
        self._hold = Hold(self._policy) if hold else None
        self._found: LookResult | None = None
        self._look: BackgroundLook | None = None
        self._watches = self._try_watches()
        self._removable: frozenset[ArchiveId] = frozenset()
        self._wakeup, self._signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._stopping = False
        self._told: dict[str, float] = {}
        self._trials = TrialWatch(say)
        self._seen: Fingerprint = ()
        now = time.monotonic()
        self._look_at = now
        self._earliest_look = now
        self._compare_at = now
        self._renew_at: float | None = None
        self._settling_since: float | None = None
        self._settled_at: float | None = None
        self._turn_pause = _TRY_AGAIN
        self._credit = _AT_ONCE
        self._credited_at = now

    def close(self) -> None:
        """Let everything go."""
        if self._look is not None:
            self._look.close()
        if self._hold is not None:
            self._hold.close()
        if self._watches is not None:
            self._watches.close()
        self._quarantine.close()
        self._open.close()
        signal.set_wakeup_fd(-1)
        os.close(self._wakeup)
        os.close(self._signalled)

    def run(self) -> None:
        """Work until told to stop."""
        self._catch_signals()
        if self._hold is not None and self._cache is not None:
            self._hold.keep(self._cache)
        while not self._stopping:
            now = time.monotonic()
            self._follow_cache(now)
            self._keep_hold()
            if self._look is None and now >= max(self._look_at, self._earliest_look):
                self._look = BackgroundLook(self._argument, insecure_policy=self._insecure)
                # What asks for a look from here on asks for another one.
                self._look_at = now + _LOOK_EVERY
            if now >= self._compare_at:
                self._compare(now)
            if self._renew_at is not None and now >= self._renew_at:
                self._renew()
            if self._cache is not None and now >= self._trials.next_at:
                self._watch_trials(self._cache, now)
            self._wait()

    # What happens

    def _catch_signals(self) -> None:
        def stop(_number: int, _frame: object) -> None:
            self._stopping = True
            # Told twice, as timeout(1) does: the second must not kill us on our way out,
            # where Python gives signals their deadly meaning back.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

        def look(_number: int, _frame: object) -> None:
            self._look_at = self._earliest_look = self._trials.next_at = time.monotonic()

        signal.set_wakeup_fd(self._signalled, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, look)

    def _watch_trials(self, cache: OpenCache, now: float) -> None:
        if self._trials.look(self._policy, cache):
            # What came back is in use: it is protected as the rest from now on.
            self._look_at = min(self._look_at, now + _LOOK_AFTER_NEWS)

    def _wait(self) -> None:
        now = time.monotonic()
        moments = [self._compare_at]
        if self._cache is not None:
            moments.append(self._trials.next_at)
        if self._look is None:
            moments.append(max(self._look_at, self._earliest_look))
        if self._renew_at is not None:
            moments.append(self._renew_at)
        if self._hold is not None:
            moments.append(now + INTERVAL_SECONDS)
        if self._renew_at is None and self._fill_stock():
            moments.append(now)
        poll = select.poll()
        poll.register(self._wakeup, select.POLLIN)
        if self._watches is not None:
            poll.register(self._watches.fd, select.POLLIN)
        if self._look is not None:
            poll.register(self._look.fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll(max(0.0, min(moments) - now) * 1000 + 1)}
        if self._wakeup in ready:
            os.read(self._wakeup, 4096)
        if self._watches is not None and self._watches.fd in ready:
            self._note(self._watches.read())
        if self._look is not None and self._look.fd in ready and self._look.read():
            self._finish_look()

    def _note(self, news: frozenset[News]) -> None:
        """Decide when to act on what has happened."""
        now = time.monotonic()
        if News.ARCHIVES in news:
            self._look_at = min(self._look_at, now + _LOOK_AFTER_NEWS)
        if news & {News.BUCKET, News.ROOTS}:
            if self._settling_since is None:
                self._settling_since = now
            self._settled_at = min(now + _SETTLE, self._settling_since + _SETTLE_AT_MOST)
            self._renew_at = now if News.BUCKET in news else self._settled_at

    def _finish_look(self) -> None:
        look, self._look = self._look, None
        if look is None:
            return
        now = time.monotonic()
        if self._earliest_look <= look.begun_at:
            # Else SIGHUP came meanwhile, and asks for another look at once.
            self._earliest_look = now + max(_LOOK_AFTER_NEWS, (now - look.begun_at) * _LOOK_SHARE)
        first = self._found is None
        try:
            self._found = look.result()
        except CacheadminError as error:
            if first:
                raise
            # What was in use is so still, for all we know.
            self._tell(f"could not look at the cache: {error.message}")
            return
        if first:
            number = self._found.in_use
            self._say(f"guarding {self._policy.cache}: {format_count(number, 'archive')} in use")
        self._removable = self._found.removable
        self._follow_policy()
        self._renew()

    # The cache

    def _follow_cache(self, now: float) -> None:
        """Notice that the cache was removed or made again: `uv cache clean` does both."""
        if self._cache is not None:
            identity = self._cache.identity
            try:
                status = os.lstat(identity.path)
            except OSError:
                status = None
            if status is not None and (status.st_dev, status.st_ino) == (
                identity.device,
                identity.inode,
            ):
                return
            self._leave_cache(now)
        if now < self._compare_at:
            return
        try:
            self._cache = self._open.enter_context(open_cache(self._policy.cache))
        except CacheadminError as error:
            self._tell(error.message)
            self._compare_at = now + _TRY_CACHE_AGAIN
        else:
            self._look_at = self._earliest_look = now

    def _leave_cache(self, now: float) -> None:
        self._quarantine.close()
        self._stock = None
        self._inodes.clear()
        self._rights.clear()
        self._open.close()
        self._cache = None
        self._compare_at = now
        if self._hold is not None:
            self._hold.let_go()

    def _follow_policy(self) -> None:
        """Take over what the policy says now, as the look did that has just ended.

        The lock that our runs share lies in quarantine: with another path for it a
        prune and the guard would no longer keep out of each other's way.
        """
        try:
            policy = load_policy(self._argument, insecure=self._insecure).policy
        except CacheadminError:
            # The next look says what is wrong with it.
            return
        if policy == self._policy:
            return
        moved = policy.cache != self._policy.cache
        self._policy = policy
        self._quarantine.close()
        self._stock = None
        if self._hold is not None:
            self._hold.close()
            self._hold = Hold(policy)
        if moved:
            self._leave_cache(time.monotonic())

    def _keep_hold(self) -> None:
        if self._hold is not None and self._cache is not None:
            try:
                self._hold.keep(self._cache)
            except (CacheadminError, OSError) as error:
                self._tell(f"uv's lock is not held: {error}")

    def _compare(self, now: float) -> None:
        found = self._found
        every = _COMPARE_EVERY
        if self._watches is None or found is None or found.other_hosts:
            every = _COMPARE_OTHER_HOSTS_EVERY
        self._compare_at = now + every
        if self._cache is None or found is None:
            return
        there = fingerprint(self._cache.fd, found.wanted.buckets)
        if there[:-1] != self._seen[:-1]:
            self._renew_at = now
        if there[-1:] != self._seen[-1:] and self._seen:
            self._seen = (*self._seen[:-1], *there[-1:])
            self._look_at = min(self._look_at, now + _LOOK_AFTER_NEWS)

    def _renew(self) -> None:
        """Plant what is missing; go on until nothing is, and everything is watched."""
        self._renew_at = None
        if self._cache is None or self._found is None:
            return
        try:
            wanted = with_trials(self._cache, self._found.wanted)
            if wanted is not self._found.wanted:
                self._found = replace(self._found, wanted=wanted)
            if self._settled_at is not None and time.monotonic() < self._settled_at:
                self._renew_at = self._settled_at
                if self._may_act_at_once():
                    self._give_back(self._cache, self._found)
            else:
                self._plant_and_watch(self._cache, self._found)
                self._turn_pause = _TRY_AGAIN
        except TurnTaken as error:
            self._tell(f"roots wait to be planted: {error.message}")
            self._renew_at = time.monotonic() + self._turn_pause
            self._turn_pause = min(2 * self._turn_pause, _TRY_TURN_AGAIN_AT_MOST)
        except CacheBusy:
            # A prune of ours is at work.
            self._renew_at = time.monotonic() + _TRY_AGAIN
        except (CacheadminError, OSError) as error:
            self._tell(f"could not plant: {error}")
            self._renew_at = time.monotonic() + _TRY_CACHE_AGAIN

    def _is_being_deleted(self, cache: OpenCache, buckets: tuple[PlantedBucket, ...]) -> bool:
        """Whether a bucket that lacks roots still changes, for as long as that is bearable."""
        if self._settling_since is None:
            return False
        if time.monotonic() > self._settling_since + _SETTLE_AT_MOST:
            return False
        short = [bucket.name for bucket in buckets if bucket.missing]
        since_ns = time.time_ns() - int(_SETTLE * NANOSECONDS)
        return any(changed_since(cache.fd, name, since_ns) for name in short)

    def _plant_and_watch(self, cache: OpenCache, found: LookResult) -> None:
        self._make_stock(cache)
        wanted = leading_somewhere(cache.fd, found.wanted)
        # First watched and remembered, then looked at: what goes in between is news.
        self._watch(cache, wanted)
        self._seen = fingerprint(cache.fd, wanted.buckets)
        self._inodes = {bucket: identity(cache.fd, bucket)[0] for bucket in wanted.buckets}
        self._remember_rights(cache, wanted)
        planned = examine(cache.fd, wanted)
        if self._is_being_deleted(cache, planned):
            self._renew_at = time.monotonic() + _SETTLE
            return
        self._settling_since = None
        if _is_amiss(planned, self._removable):
            done = plant_wanted(self._policy, cache, wanted, self._removable, 0.0, self._rights)
            self._report(done)
            self._remember_rights(cache, wanted)
            self._removable = frozenset()
            self._watch(cache, wanted)
            if any(bucket.missing and not bucket.problem for bucket in done):
                self._renew_at = time.monotonic() + _SETTLE

    def _give_back(self, cache: OpenCache, found: LookResult) -> None:
        """Give back the buckets that a prune is done with, while it goes on."""
        if self._stock is None or not self._stock[1].is_there:
            return
        quarantine, stock = self._stock
        gone = [b for b in found.wanted.buckets if self._is_gone(cache, b)]
        if not gone or not found.wanted.archives:
            return
        # Another host's turn does not matter: this only adds what a bucket has lost.
        with run_lock_of_host(quarantine, 0.0):
            own = rights_of(cache.fd)
            done = [
                stock.give_back(cache.fd, b, found.wanted, self._rights.get(b, own), own)
                for b in reversed(gone)
            ]
        self._watch(cache, found.wanted)
        self._report(tuple(done))

    def _may_act_at_once(self) -> bool:
        now = time.monotonic()
        earned = (now - self._credited_at) * _AT_ONCE_A_SECOND
        self._credit = min(_AT_ONCE, self._credit + earned) - 1
        self._credited_at = now
        if self._credit >= 0:
            return True
        self._credit = 0.0
        return False

    def _is_gone(self, cache: OpenCache, bucket: str) -> bool:
        """Whether a bucket was deleted, and perhaps made again: no prune is at work on it then."""
        try:
            inode = os.stat(bucket, dir_fd=cache.fd, follow_symlinks=False).st_ino
        except OSError:
            return True
        known = self._inodes.get(bucket)
        self._inodes[bucket] = inode
        if known in (None, inode):
            return False
        return identity(cache.fd, f"{bucket}/{ROOTS_FOLDER}") == (0, 0)

    def _make_stock(self, cache: OpenCache) -> None:
        """Have a stock in quarantine; without one all takes longer."""
        if self._stock is not None and self._stock[1].is_there:
            return
        self._quarantine.close()
        self._stock = None
        try:
            quarantine = self._quarantine.enter_context(open_quarantine(self._policy, cache))
            stock = Stock(quarantine, cache.identity)
        except (CacheadminError, OSError) as error:
            self._tell(f"no stock of roots: {error}")
            return
        self._quarantine.callback(stock.close)
        self._stock = quarantine, stock

    def _fill_stock(self) -> bool:
        """Put one bucket in stock where nothing else is to be done; whether there is more."""
        if self._stock is None or self._cache is None or self._found is None:
            return False
        wanted = self._found.wanted
        if not wanted.archives:
            return False
        own = rights_of(self._cache.fd)
        bucket = self._stock[1].lacks(wanted, lambda name: self._rights.get(name, own), own)
        if bucket is None:
            return False
        self._stock[1].fill(bucket, wanted, self._rights.get(bucket, own), own)
        return True

    def _remember_rights(self, cache: OpenCache, wanted: WantedRoots) -> None:
        """Note what rights each bucket has, to give it back with these very ones."""
        for bucket in wanted.buckets:
            try:
                fd = open_folder(cache.fd, bucket)
                try:
                    self._rights[bucket] = read_rights(fd)
                finally:
                    os.close(fd)
            except OSError:
                # Gone meanwhile, or no folder: what was known stays known.
                continue

    def _watch(self, cache: OpenCache, wanted: WantedRoots) -> None:
        if self._watches is not None:
            self._watches.renew(cache.fd, wanted.buckets)

    def _try_watches(self) -> Watches | None:
        try:
            return Watches()
        except OSError as error:
            self._say(f"no notices from the kernel ({error.strerror}): comparing instead")
            return None

    # Words

    def _report(self, done: tuple[PlantedBucket, ...]) -> None:
        planted = sum(bucket.planted for bucket in done)
        removed = sum(bucket.removed for bucket in done)
        if planted or removed:
            where = " ".join(bucket.name for bucket in done if bucket.planted or bucket.removed)
            self._say(f"{format_count(planted, 'root')} planted, {removed} removed: {where}")
        problems = [f"{bucket.name}: {bucket.problem}" for bucket in done if bucket.problem]
        if problems:
            self._tell("; ".join(problems))

    def _tell(self, problem: str) -> None:
        """Say a problem once an hour, not each time it is met."""
        now = time.monotonic()
        # Two problems that take turns are told once each, too.
        self._told = {one: at for one, at in self._told.items() if now - at < _TELL_AGAIN}
        if problem not in self._told:
            self._told[problem] = now
            self._say(problem)


def _is_amiss(found: tuple[PlantedBucket, ...], removable: frozenset[ArchiveId]) -> bool:
    return any(bucket.missing or not bucket.stale.isdisjoint(removable) for bucket in found)
