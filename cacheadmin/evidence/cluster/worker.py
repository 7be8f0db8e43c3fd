"""Read one batch of environments, on a worker of the cluster; stdin to stdout.

Each environment is read by a reader, with the limits that the policy sets. One that this
host sees as another folder than the host that asks, or does not see, or can't read to its
end, is not answered: that says nothing about its use. Neither is one whose answer rests on
what lies around it (path files, links on the way to packages): that may be there on one
host and not on the other.
"""

from __future__ import annotations

import os
import signal
import sys
from ctypes import CDLL
from dataclasses import replace
from functools import cached_property

from cacheadmin import __version__
from cacheadmin.evidence.cluster.task import SIZES
from cacheadmin.evidence.cluster.work import (
    Answers,
    SharedAnswer,
    SharedLook,
    SharedTask,
    look_of,
    packed,
    tasks_of,
)
from cacheadmin.evidence.distributions import ArchiveInodes
from cacheadmin.evidence.environments import scan_and_tell
from cacheadmin.evidence.facts import EnvironmentStatus
from cacheadmin.evidence.numbered_archives import ArchiveNumbers
from cacheadmin.evidence.questions import scanned_by_number
from cacheadmin.evidence.sightings import MOST_OUTWARD
from cacheadmin.evidence.targets import CacheLocator
from cacheadmin.fs.linked_tree import Allowance
from cacheadmin.fs.same_place import is_same_place, place_of
from cacheadmin.inventory.entries import ArchiveId, CacheIdentity, archive_path
from cacheadmin.readers import Question, ReaderLimits, Readers, Unreadable

_SET_PARENT_DEATH_SIGNAL = 1


class BatchReader:
    """Reads environments for another host, or for another process of this one."""

    def __init__(self, look: SharedLook) -> None:
        """Take what batches share. Raises ValueError where this is not the place to read them."""
        if look.release != __version__:
            raise ValueError(f"cacheadmin {__version__} here, {look.release} asks")
        try:
            is_same = is_same_place(place_of(look.cache), look.place)
        except OSError as error:
            raise ValueError(f"{look.cache} can't be seen here: {error.strerror}") from None
        if not is_same:
            raise ValueError(f"{look.cache} is another folder here")
        self._look = look
        self._ids = tuple(map(ArchiveId, look.archives))
        self._allowance = Allowance()

    @cached_property
    def _locator(self) -> CacheLocator:
        status = os.lstat(self._look.cache)
        return CacheLocator(
            CacheIdentity(self._look.cache, status.st_dev, status.st_ino),
            self._look.buckets,
            aliases=self._look.aliases,
            archives={*self._look.archives, *self._look.on_trial},
        )

    @cached_property
    def _inodes(self) -> ArchiveInodes:
        return ArchiveInodes(
            self._look.cache,
            {one: archive_path(one) for one in self._ids},
            frozenset(self._ids[number] for number in self._look.from_index),
        )

    @cached_property
    def _numbers(self) -> ArchiveNumbers:
        return ArchiveNumbers(self._ids)

    def read(self, tasks: tuple[SharedTask, ...]) -> Answers:
        """Return what was seen of each environment; None for one to be read elsewhere."""
        look = self._look
        limits = ReaderLimits(look.memory_bytes, look.cpu_seconds, look.deadline_seconds)
        question: Question[SharedTask, SharedAnswer | None] = Question(
            self._scan,
            SharedAnswer | None,
            whose=lambda task: task.candidate.registrant,
            blame=lambda task: task.candidate.registrant,
            together=4,
        )
        with Readers(limits) as readers:
            answers = readers.ask_all(question, tasks)
        return tuple(None if isinstance(one, Unreadable) else one for one in answers)

    def _scan(self, task: SharedTask) -> SharedAnswer | None:
        candidate, place = task.candidate, place_of(task.candidate.path)
        if not is_same_place(place, task.place):
            return None
        identity = place.device, place.inode
        seen, found = scan_and_tell(
            candidate, self._locator, self._inodes, task.options, self._allowance, identity
        )
        rests_on_more = found.unsettled or found.entries or len(found.outward) > MOST_OUTWARD
        if seen.status is not EnvironmentStatus.OK or not seen.complete or rests_on_more:
            return None
        home = f"{candidate.path}/"
        if any(path.startswith("/") and not path.startswith(home) for path in found.stamped):
            return None
        outward = [text for text in found.outward if "/" in text]
        if not all(text.startswith("/") for text in outward):
            return None
        scanned = scanned_by_number(replace(seen, identity=None), None, self._numbers)
        return SharedAnswer(scanned, tuple(outward))


def main() -> None:
    """Read a look and a batch from stdin; write the answers to stdout."""
    CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    sizes = SIZES.unpack(sys.stdin.buffer.read(SIZES.size))
    look, batch = (sys.stdin.buffer.read(size) for size in sizes)
    try:
        answers = BatchReader(look_of(look)).read(tasks_of(batch))
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    sys.stdout.buffer.write(packed(answers))


if __name__ == "__main__":
    main()
