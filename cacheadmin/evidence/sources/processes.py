"""Running processes: what they run, map, hold open, and the environments they run from.

In a pid namespace that is not the machine's own, as in a container, the
processes outside can't be seen: any of them may run from any entry.
"""

from __future__ import annotations

import os
from dataclasses import replace

from cacheadmin.evidence.environments import Candidate
from cacheadmin.evidence.facts import Process, Unseen
from cacheadmin.evidence.look import Facts, Look, Moment, new_candidates
from cacheadmin.evidence.processes import ask_for_processes, known_processes, program_of
from cacheadmin.evidence.traces import accounts_with_traces

# The pid namespace of the machine itself (PROC_PID_INIT_INO of the kernel).
_WHOLE_MACHINE = "pid:[4026531836]"

Key = tuple[int, int]


class Processes:
    """What runs on this host."""

    id = "process"

    def __init__(self) -> None:
        self._programs: dict[Key, str | None] = {}

    def collect(self, look: Look) -> Facts:
        """Return the processes, the environments they run from, and what may not be seen."""
        return self._read(look, frozenset())

    def changed(self, look: Look, before: Facts) -> Facts:
        """Return processes that have come, or use something else than they did.

        All are looked at before the lock, since one may have become another
        program by ``exec``, keeping its id and start; under the lock those
        alone that have come since then, or changed their name.
        """
        known: frozenset[Key] = frozenset()
        now = known_processes()
        programs = {key: program_of(key[0]) for key in now}
        if look.moment is not Moment.BEFORE_LOCK:
            known = frozenset(
                key for key, program in programs.items() if self._programs.get(key) == program
            )
        # Noted before they are read: what starts meanwhile is read next time.
        self._programs = programs
        found = self._read(look, known)
        planned = {(one.pid, one.started_ns): one for one in before.processes}
        return replace(
            new_candidates(found, before),
            processes=tuple(
                one
                for one in found.processes
                if _differs(one, planned.get((one.pid, one.started_ns)))
            ),
        )

    def _read(self, look: Look, known: frozenset[Key]) -> Facts:
        processes, unseen = ask_for_processes(
            look.readers,
            look.questions.process,
            look.binaries,
            known=known,
            with_traces=accounts_with_traces(look),
            deadline_seconds=look.deadline_seconds,
        )
        candidates = tuple(
            Candidate(place.path, place.kind, (self.id,), process.uid)
            for process in processes
            for place in process.environments
        )
        return Facts(
            candidates=candidates,
            processes=processes,
            unseen=(*unseen, *_other_namespace(), *_invisible()),
        )


def sees_whole_machine() -> bool:
    """Whether every process of this machine can be seen from here."""
    return os.readlink("/proc/self/ns/pid") == _WHOLE_MACHINE


def sees_other_accounts() -> bool:
    """Whether ``/proc`` names other accounts' processes: not where ``hidepid`` hides them."""
    return os.path.exists("/proc/1")


def _other_namespace() -> tuple[Unseen, ...]:
    if sees_whole_machine():
        return ()
    reason = (
        "this is a pid namespace of its own, as in a container: processes outside it can't be "
        "seen from here"
    )
    fix = "run cacheadmin on the host itself, or with the host's pid namespace"
    return (Unseen("process", "/proc", reason, True, trial_suffices=True, fix=fix),)


def _invisible() -> tuple[Unseen, ...]:
    """Return what /proc does not even name."""
    if sees_other_accounts():
        return ()
    reason = (
        "processes of other accounts are not even listed (/proc is mounted with hidepid): only "
        "root sees them"
    )
    return (Unseen("process", "/proc", reason, True, trial_suffices=True),)


def _differs(now: Process, planned: Process | None) -> bool:
    return planned is None or (planned.uses, planned.uv is None) != (now.uses, now.uv is None)
