"""Have workers of a cluster read environments, and take what they answer for what it is.

Nothing here keeps anything from being read: what has no answer in the end is read by this
host's own readers.
"""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from cacheadmin.evidence.cluster.work import (
    SharedAnswer,
    SharedTask,
    answers_of,
    may_be_shared,
    packed,
    shared_look,
)
from cacheadmin.evidence.environments import Scanned
from cacheadmin.evidence.questions import scanned_by_name
from cacheadmin.evidence.targets import CacheLocator, TargetPlace
from cacheadmin.fs.mounts import Mount, read_mounts
from cacheadmin.fs.same_place import Place, place_of
from cacheadmin.readers import Question
from cacheadmin.readers.frames import HEADER, MAX_FRAME
from cacheadmin.readers.plain_data import NotThatShapeError, from_plain, unpack
from cacheadmin.text.escapes import printable
from cacheadmin.text.numbers import format_count, verb

if TYPE_CHECKING:
    from cacheadmin.evidence.look import Look
    from cacheadmin.evidence.questions import ScanTask

_log = logging.getLogger("cacheadmin.cluster")

# Environments that are one task of a worker: starting a process for it takes half a second.
_BATCH = 64

# Fewer are read sooner than a scheduler is asked.
_FEWEST = 16

# With no answer of any worker for so long, the rest is read here.
_SILENCE_SECONDS = 120.0

_REPLY = tuple[int, bytes | None, str]


def scan_on_cluster(
    look: Look,
    tasks: Sequence[ScanTask],
    done: Callable[[int], None] | None = None,
    *,
    batch: int = _BATCH,
    silence_seconds: float = _SILENCE_SECONDS,
) -> dict[int, Scanned]:
    """Return what workers saw of environments, by their places in ``tasks``.

    Empty where the policy names no cluster. What could not be had of it is said in one
    warning.
    """
    scan = look.policy.scan
    if scan.executor != "dask" or scan.address is None or len(tasks) < _FEWEST:
        return {}
    chosen = [
        number
        for number, task in enumerate(tasks)
        if task.identity is not None and may_be_shared(task.candidate)
    ]
    shared = _shared(look, tasks, chosen)
    numbers = list(shared)
    parts = [numbers[first : first + batch] for first in range(0, len(numbers), batch)]
    try:
        request = packed(
            (
                scan.address,
                packed(shared_look(look)),
                [packed(tuple(shared[number] for number in part)) for part in parts],
            )
        )
    except OSError as error:
        _warn(scan.address, f"the cache can't be looked at: {error.strerror}", len(tasks))
        return {}
    found: dict[int, SharedAnswer] = {}
    problem = ""
    for number, answer, why in _replies(request, silence_seconds):
        problem = problem or why
        if answer is None or not 0 <= number < len(parts):
            continue
        try:
            answers = answers_of(answer)
        except (NotThatShapeError, ValueError):
            problem = problem or "a worker answered what is no answer"
            continue
        if len(answers) == len(parts[number]):
            pairs = zip(parts[number], answers, strict=True)
            found.update((place, one) for place, one in pairs if one is not None)
        if done is not None:
            done(len(found))
    if problem:
        _warn(scan.address, problem, len(tasks) - len(found))
    return _believed(look, tasks, found)


def _warn(address: str, why: str, left: int) -> None:
    words = (
        f"the cluster at {address} did not read all it was asked for ({why}); "
        f"{format_count(left, 'environment')} {verb(left, 'is', 'are')} read by this host"
    )
    _log.warning("cacheadmin: warning: %s", printable(words))


def _shared(look: Look, tasks: Sequence[ScanTask], chosen: Sequence[int]) -> dict[int, SharedTask]:
    """Return what is sent: environments whose folder is what it was when it was found."""
    places = look.readers.ask_all(PLACE, [tasks[number].candidate.path for number in chosen])
    return {
        number: SharedTask(tasks[number].candidate, tasks[number].options, place)
        for number, place in zip(chosen, places, strict=True)
        if isinstance(place, Place) and (place.device, place.inode) == tasks[number].identity
    }


_mounts: list[tuple[Mount, ...]] = []


def _place(path: str) -> Place | None:
    """Return what the folder at a path is; runs in a reader, which is asked for very many."""
    if not _mounts:
        _mounts.append(read_mounts())
    try:
        return place_of(path, _mounts[0])
    except OSError:
        return None


PLACE: Question[str, Place | None] = Question(_place, Place | None, together=256)


def _believed(
    look: Look, tasks: Sequence[ScanTask], found: Mapping[int, SharedAnswer]
) -> dict[int, Scanned]:
    """Return the answers that hold here, too.

    A link that leads nowhere for a worker may lead into the cache on this host, or to a
    folder with links that do. Environments share such texts: each is looked at once.
    """
    texts = sorted({text for answer in found.values() for text in answer.outward})
    question: Question[str, bool] = Question(
        _LeadsOut(look.locator).read, bool, whose=_of_nobody, together=64
    )
    replies = look.readers.ask_all(question, texts) if texts else []
    harmless = {text for text, reply in zip(texts, replies, strict=True) if reply is True}
    believed: dict[int, Scanned] = {}
    for number, answer in found.items():
        task = tasks[number]
        seen = answer.scanned.scanned.environment
        is_asked = (seen.path, seen.kind) == (task.candidate.path, task.candidate.kind)
        if not (is_asked and seen.complete and harmless.issuperset(answer.outward)):
            continue
        scanned = scanned_by_name(task.candidate, answer.scanned, look.questions.numbers)
        environment = replace(
            scanned.environment, sources=task.candidate.sources, identity=task.identity
        )
        if environment.complete:
            # No stamp: its device numbers, and its word, are a worker's.
            believed[number] = Scanned(environment, None)
    return believed


class _LeadsOut:
    """Tells in a reader whether a link's text leads to a file outside of the cache, or nowhere."""

    def __init__(self, locator: CacheLocator) -> None:
        self._locator = locator

    def read(self, text: str) -> bool:
        located = self._locator.follow(text, "/")
        return located.place is TargetPlace.ELSEWHERE and not os.path.isdir(text)


def _of_nobody(_: str) -> None:
    return None


def _replies(request: bytes, silence_seconds: float) -> Iterator[_REPLY]:
    """Yield what the client says; ends with it, or when nothing has come for so long."""
    with _client(request) as fd:
        held = bytearray()
        until = time.monotonic() + silence_seconds
        while True:
            left = until - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                yield -1, None, f"nothing has come from it for {silence_seconds:.0f} s"
                return
            data = os.read(fd, 1 << 20)
            if not data:
                return
            held += data
            until = time.monotonic() + silence_seconds
            while len(held) >= HEADER.size:
                (size,) = HEADER.unpack_from(held)
                if size > MAX_FRAME:
                    yield -1, None, "its client answered what is no answer"
                    return
                if len(held) < HEADER.size + size:
                    break
                frame = bytes(held[HEADER.size : HEADER.size + size])
                del held[: HEADER.size + size]
                try:
                    reply: _REPLY = from_plain(_REPLY, unpack(frame))
                except ValueError:
                    yield -1, None, "its client answered what is no answer"
                    return
                yield reply


@contextmanager
def _client(request: bytes) -> Iterator[int]:
    """Start the client with a request; yield a descriptor of what it says."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    memory = os.memfd_create("cacheadmin-request", os.MFD_CLOEXEC)
    try:
        with open(memory, "wb", closefd=False) as file:
            file.write(request)
        os.lseek(memory, 0, os.SEEK_SET)
        process = subprocess.Popen(
            [sys.executable, "-m", "cacheadmin.evidence.cluster.client"],
            stdin=memory,
            stdout=theirs,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        os.close(ours)
        raise
    finally:
        os.close(memory)
        os.close(theirs)
    try:
        yield ours
    finally:
        os.close(ours)
        process.kill()
        process.wait()
