"""A reader's own side: take a batch of items, answer them one by one, until told to end."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cacheadmin.readers.confinement import allow_cpu_time
from cacheadmin.readers.frames import HEADER, MOST_EXTENSIONS, FrameKind, Position, framed
from cacheadmin.readers.plain_data import pack
from cacheadmin.values import frozen

if TYPE_CHECKING:
    import socket

    from cacheadmin.readers.questions import Question, ReaderLimits

# Answers are sent together: one by one, sending would take longer than most reading.
_MOST_BYTES_HELD = 64 * 1024
_LONGEST_HELD_SECONDS = 0.005


class _AtWork:
    """The item that a reader is at, and what each account's part of it has cost."""

    def __init__(self, position: Position, number: int, cpu_seconds: float) -> None:
        self.position = position
        self._number = number
        self._cpu_seconds = cpu_seconds
        self._spent: dict[int, float] = {}
        self._uid: int | None = None
        self._since = time.process_time()
        self._allowed_at = self._since
        self._extensions = 0

    def step(self) -> None:
        """Note a step; with many of them an answer has more time, and more of the processor."""
        self.position.step()
        now = time.process_time()
        enough = now - self._allowed_at < self._cpu_seconds / 2
        if enough or self._extensions >= MOST_EXTENSIONS:
            return
        self._extensions += 1
        self._allowed_at = now
        allow_cpu_time(self._cpu_seconds)

    def note(self, uid: int, share: float) -> bool:
        now = time.process_time()
        if self._uid is not None:
            self._spent[self._uid] = self._spent.get(self._uid, 0.0) + now - self._since
        if uid != self._uid:
            self.position.note(self._number, uid)
        self._uid, self._since = uid, now
        return self._spent.get(uid, 0.0) < self._cpu_seconds * share


# Set in a reader while it reads.
_at_work: list[_AtWork] = []


def note_owner(uid: int, share: float = 1.0) -> bool:
    """Note in a reader, while it reads one item, whose part of it comes next.

    A folder that many write to is one item; what can't be read in it is one
    account's doing, and should be told of that account. Returns whether this
    account's parts may take more CPU time: as much as one answer may, in all, or that
    ``share`` of it where the item is a part of something. Elsewhere than in a reader: True.
    """
    return _at_work[0].note(uid, share) if _at_work else True


def note_step() -> None:
    """Note in a reader that it is a step further with a long answer of one part.

    It then has some deadlines more for it, and CPU time: a large tree on a slow disk
    is no tree that hangs. Elsewhere: nothing.
    """
    if _at_work:
        _at_work[0].step()


@frozen
class Request:
    """A batch to read."""

    question: int
    """Number of the question, among those that the reader knew when it was forked."""
    items: tuple[Any, ...]
    """The items to read."""
    passed_over: frozenset[int]
    """Accounts of which nothing more is read."""
    generation: int
    """A number; when it changes, the reader forgets what it noted for earlier requests."""

    def packed(self) -> bytes:
        """Return it as bytes, in a frame."""
        return framed(pickle.dumps((self.question, self.items, self.passed_over, self.generation)))


class Reader:
    """What runs in a forked reader."""

    def __init__(
        self,
        connection: socket.socket,
        questions: Sequence[Question[Any, Any]],
        limits: ReaderLimits,
        position: Position,
    ) -> None:
        self._connection = connection
        self._questions = questions
        self._limits = limits
        self._position = position
        self._held = bytearray()
        self._generation = 0
        self._sent_at = 0.0

    def serve(self) -> None:
        """Answer requests until the other side is closed."""
        while (request := self._receive()) is not None:
            question = self._questions[request.question]
            self._sent_at = time.monotonic()
            self._forget_before(request.generation)
            for number, item in enumerate(request.items):
                self._position.note(number, None)
                _at_work[:] = [_AtWork(self._position, number, self._limits.cpu_seconds)]
                allow_cpu_time(self._limits.cpu_seconds)
                self._answer(question, number, item, request.passed_over)
            self._send()

    def _forget_before(self, generation: int) -> None:
        if generation != self._generation:
            self._generation = generation
            for question in self._questions:
                question.forget()

    def _answer(
        self,
        question: Question[Any, Any],
        number: int,
        item: Any,
        passed_over: frozenset[int],
    ) -> None:
        uid = None
        try:
            uid = _owner(question, item)
            self._position.note(number, uid)
            if uid in passed_over:
                self._say(FrameKind.PASSED_OVER, uid, None)
                return
            self._say_parts(question, item, uid)
        except MemoryError:
            self._say(FrameKind.SPENT, uid, "it takes more memory than an answer may")
            self._send()
            # What is left of it is of no use to the next one.
            os._exit(1)
        except ConnectionError:
            # No process waits for answers any more.
            os._exit(0)
        except OSError as error:
            self._say(FrameKind.FAILED, self._noted(), error.strerror or type(error).__name__)
        except Exception as error:
            # Whatever a stranger's file brings about: it is one answer's failure.
            self._say(FrameKind.FAILED, self._noted(), f"{type(error).__name__}: {error}"[:500])

    def _noted(self) -> int | None:
        return self._position.read()[1]

    def _say_parts(self, question: Question[Any, Any], item: Any, uid: int | None) -> None:
        if not question.in_parts:
            self._say(FrameKind.WHOLE, uid, question.read(item))
            return
        for part in question.read(item):
            self._say(FrameKind.PART, uid, part)
            allow_cpu_time(self._limits.cpu_seconds)
        self._say(FrameKind.DONE, uid, None)

    def _say(self, kind: FrameKind, uid: int | None, value: Any) -> None:
        self._held += framed(pack([int(kind), uid, value]))
        held_seconds = time.monotonic() - self._sent_at
        if len(self._held) > _MOST_BYTES_HELD or held_seconds > _LONGEST_HELD_SECONDS:
            self._send()

    def _send(self) -> None:
        self._connection.sendall(self._held)
        self._held.clear()
        self._sent_at = time.monotonic()

    def _receive(self) -> Request | None:
        header = self._exactly(HEADER.size)
        if header is None:
            return None
        data = self._exactly(HEADER.unpack(header)[0])
        # By the process that forked this one: no other process has the other end.
        return None if data is None else Request(*pickle.loads(data))  # noqa: S301

    def _exactly(self, count: int) -> bytes | None:
        parts = bytearray()
        while len(parts) < count:
            part = self._connection.recv(min(count - len(parts), 1 << 20))
            if not part:
                return None
            parts += part
        return bytes(parts)


def _owner(question: Question[Any, Any], item: Any) -> int | None:
    try:
        return question.whose(item)
    except (OSError, ValueError):
        return None
