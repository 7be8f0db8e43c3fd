"""A full look at a cache in a process of its own, for a guard that stays small.

Looking loads most of this program and, on a large cache, hundreds of
megabytes; the guard keeps what it found: the ids of archives in use. The
process answers with one JSON document over a pipe, and dies with its guard.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import time
from typing import Any

from cacheadmin.errors import CacheadminError
from cacheadmin.inventory.entries import ArchiveId
from cacheadmin.policy.loader import load_policy
from cacheadmin.protect.protection import planted_before, wanted_roots
from cacheadmin.protect.roots import TRIALS, WantedRoots
from cacheadmin.protect.trial_roots import on_trial
from cacheadmin.snapshot.snapshot import look_with
from cacheadmin.values import frozen

_SET_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>


@frozen
class LookResult:
    """What a look found: what to plant, and which roots may be judged to be stale."""

    wanted: WantedRoots
    """The roots that should be there."""
    removable: frozenset[ArchiveId]
    """Archives that had a root before the look and are not wanted."""
    other_hosts: bool
    """Whether the cache lies on a network filesystem.

    Changes made by other hosts send no notice there.
    """
    in_use: int = 0
    """How many archives are in use; ``wanted`` also has those on trial."""


class BackgroundLook:
    """A look under way. ``fd`` becomes readable as it answers."""

    def __init__(self, policy: str | None, *, insecure_policy: bool) -> None:
        self.begun_at = time.monotonic()
        self.fd, answer_fd = os.pipe()
        os.set_blocking(self.fd, False)
        guard = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _answer(answer_fd, guard, policy, insecure_policy=insecure_policy)
        os.close(answer_fd)
        self._parts: list[bytes] = []

    def read(self) -> bool:
        """Take what it has said so far; whether it has ended."""
        while True:
            try:
                part = os.read(self.fd, 1 << 16)
            except BlockingIOError:
                return False
            if not part:
                return True
            self._parts.append(part)

    def result(self) -> LookResult:
        """Return what was found, once ``read`` says it has ended. Raises what the look raised."""
        self.close()
        try:
            answer = json.loads(b"".join(self._parts))
        except ValueError:
            raise CacheadminError("a look at the cache ended without an answer") from None
        if "problem" in answer:
            raise _error(answer)
        return LookResult(
            WantedRoots(tuple(answer["buckets"]), _ids(answer["archives"])),
            _ids(answer["removable"]),
            bool(answer["other_hosts"]),
            int(answer["in_use"]),
        )

    def close(self) -> None:
        """End it, if it has not, and leave nothing behind."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
            self.pid = 0


def _ids(names: list[str]) -> frozenset[ArchiveId]:
    return frozenset(ArchiveId(name) for name in names)


def _error(answer: dict[str, Any]) -> CacheadminError:
    kinds = {int(kind.exit_code): kind for kind in CacheadminError.__subclasses__()}
    kind = kinds.get(int(answer["code"]), CacheadminError)
    return kind(answer["problem"], details=tuple(answer["details"]), hint=answer["hint"])


def _answer(answer_fd: int, guard: int, policy: str | None, *, insecure_policy: bool) -> None:
    """BackgroundLook, answer, and end this process, whatever happens."""
    try:
        _become_a_child(answer_fd, guard)
        try:
            answer = _look(policy, insecure_policy=insecure_policy)
        except CacheadminError as error:
            answer = {
                "problem": error.message,
                "details": error.details,
                "hint": error.hint,
                "code": int(error.exit_code),
            }
        except Exception as error:
            answer = {"problem": f"{type(error).__name__}: {error}", "details": [], "hint": ""}
            answer["code"] = 1
        data = json.dumps(answer).encode("ascii")
        while data:
            data = data[os.write(answer_fd, data) :]
    finally:
        os._exit(0)


def _become_a_child(answer_fd: int, guard: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    # A lock that the guard gives back must not live on in its child.
    os.closerange(3, answer_fd)
    os.closerange(answer_fd + 1, max(256, answer_fd + 1))
    ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != guard:
        os._exit(0)


def _look(policy: str | None, *, insecure_policy: bool, afresh: bool = False) -> dict[str, Any]:
    loaded = load_policy(policy, insecure=insecure_policy)
    before = planted_before(loaded.policy)
    with look_with(loaded, afresh=afresh) as snapshot:
        snapshot.require_writable()
        wanted, _ = wanted_roots(snapshot)
        if snapshot.rests_on_memory and not before <= wanted.archives | {TRIALS}:
            # A root that goes lets uv delete: every environment is looked into before.
            return _look(policy, insecure_policy=insecure_policy, afresh=True)
        other_hosts = snapshot.evidence.filesystem.network
        in_use = len(wanted.archives - on_trial(snapshot.cache))
    return {
        "buckets": wanted.buckets,
        "archives": sorted(wanted.archives),
        # What is wanted is never removed: the guard need not keep it twice.
        "removable": sorted(before - wanted.archives),
        "other_hosts": other_hosts,
        "in_use": in_use,
    }
