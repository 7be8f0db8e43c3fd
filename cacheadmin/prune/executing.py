"""Carry removals out as one transaction: wires lock, last look, verification and journal."""

from __future__ import annotations

import errno
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cacheadmin import __version__
from cacheadmin.errors import CacheadminError, CacheBusy
from cacheadmin.evidence.lock_holders import lock_holders
from cacheadmin.prune.last_look import LastLook
from cacheadmin.prune.quarantine import new_run_id
from cacheadmin.prune.runs import discard_empty
from cacheadmin.prune.transaction import Steps, carry_out
from cacheadmin.prune.verification import Verified, verify
from cacheadmin.report.locks import holder_words
from cacheadmin.report.plans import decisions_json
from cacheadmin.timestamps import now_ns, rfc3339
from cacheadmin.uv.cache_lock import ExclusiveLock, SharedLock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cacheadmin.fs.accounting import Size
    from cacheadmin.planner.plan import Decision
    from cacheadmin.prune.quarantine import Quarantine
    from cacheadmin.prune.running import PruneResult
    from cacheadmin.situation import Situation


def transact(
    situation: Situation,
    removals: Sequence[Decision],
    sizes: Mapping[str, Size],
    quarantine: Quarantine,
    result: PruneResult,
    *,
    timeout_seconds: float,
    beside: bool = False,
) -> None:
    """Move removals to quarantine and verify; tell ``result``.

    Under uv's exclusive lock, waiting so long for it; ``beside`` others, under
    the shared one, what ``planner.grace`` allows. Raises CacheBusy, Refused.
    """
    run_id = new_run_id(now_ns())
    last = LastLook(situation, removals, beside=beside)
    environments = situation.collected.scanned
    identity = situation.cache.identity

    def check(moved: Sequence[str], in_quarantine: Callable[[str], bool]) -> Verified:
        return verify(environments, identity, moved, in_quarantine)

    acquire = _acquire(situation, timeout_seconds)
    steps = Steps(acquire, look=last.look, verify=check)
    lock = (SharedLock if beside else ExclusiveLock)(situation.cache.fd, identity.path)
    rows = decisions_json(removals, sizes)
    paired = list(zip(removals, rows, strict=True))
    try:
        done = carry_out(
            run_id, _header(situation, run_id), paired, situation.cache, quarantine, lock, steps
        )
    except BaseException as error:
        # Everything is back, or nothing ever moved: no run worth remembering.
        discard_empty(quarantine, run_id)
        if isinstance(error, OSError):
            raise _unwritable(quarantine, error) from None
        raise
    result.wait_seconds, result.held_seconds = lock.wait_seconds, lock.held_seconds
    result.outcome, result.done, result.failed = done.outcome, done.done, done.failed
    result.dropped += done.dropped
    result.verified = done.verified
    result.warnings += [f"{path} could not be put back: {why}" for path, why in done.stuck]
    if done.done or done.outcome == "rolled_back":
        result.run_id = run_id
    else:
        discard_empty(quarantine, run_id)


def _acquire(situation: Situation, timeout_seconds: float) -> Callable[[ExclusiveLock], None]:
    path = situation.cache.identity.path

    def acquire(lock: ExclusiveLock) -> None:
        try:
            lock.acquire(timeout_seconds, lambda: holders(path, situation.case.user))
        except CacheBusy as busy:
            if situation.policy.lock.busy == "skip":
                busy.message = "the cache's lock is held, and the policy says lock.busy: skip"
            raise

    return acquire


def holders(path: str, user: Callable[[int | None], str]) -> tuple[str, ...]:
    """Return who holds the cache's lock now, in words."""
    return tuple(
        f"held {holder_words(holder, user)}"
        for holder in lock_holders(path)
        if not (holder.waiting or holder.unlinked)
    )


def _unwritable(quarantine: Quarantine, error: OSError) -> CacheadminError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return CacheadminError(
        f"the prune was given up, in quarantine {quarantine.path}: {error.strerror}",
        details=("nothing was removed",),
        hint="`cacheadmin runs purge --all` frees what earlier runs hold" if full else "",
    )


def _header(situation: Situation, run_id: str) -> dict[str, Any]:
    identity = situation.cache.identity
    return {
        "run_id": run_id,
        "version": __version__,
        "host": socket.gethostname(),
        "policy": situation.policy.name,
        "begun_at": rfc3339(now_ns()),
        "cache": {"path": identity.path, "device": identity.device, "inode": identity.inode},
    }


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and a lost terminal end a transaction as Ctrl-C does: all is put back first."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    previous = {}
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            # Under nohup it is ignored, and stays so.
            if signal.getsignal(number) is not signal.SIG_IGN:
                previous[number] = signal.signal(number, interrupt)
    except ValueError:
        # Not in the main thread: whoever runs us there handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
