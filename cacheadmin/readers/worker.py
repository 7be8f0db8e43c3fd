"""One reader, as the process that forked it sees it."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cacheadmin.readers.confinement import confine
from cacheadmin.readers.frames import HEADER, MAX_FRAME, MOST_EXTENSIONS, FrameKind, Position
from cacheadmin.readers.plain_data import NotThatShapeError, unpack
from cacheadmin.readers.questions import Question, ReaderLimits, Unreadable
from cacheadmin.readers.server import Reader, Request
from cacheadmin.readers.strength import Waiting

if TYPE_CHECKING:
    import ctypes

    from cacheadmin.rights.acting import ActingAccount

# How long a killed reader is waited for. One that waits in the kernel for a
# filesystem that never answers ends when that does.
_DYING_SECONDS = 0.5


def _as_it_is(value: Any) -> Any:
    return value


@dataclass(slots=True)
class Handed:
    """An item that a reader was given, and what it has answered so far."""

    number: int
    """Its place among all items of the question."""
    item: Any
    """What is to be read."""
    blame: Callable[[Any], int | None]
    """Returns the item's owner without touching it; called only where something fails."""
    told: int | None = None
    """The item's owner, as its reader said; None before."""
    decode: Callable[[Any], Any] = _as_it_is
    """Makes a part of the answer of plain data; raises NotThatShapeError."""
    parts: list[Any] = field(default_factory=list)
    """Parts of the answer."""
    failed: Unreadable | None = None
    """Why there are no more parts; None as long as nothing failed."""
    is_passed_over: bool = False
    """Whether nothing was read, because too much else of its owner could not be."""

    def take(self, value: Any) -> None:
        """Take a part; one that has not the shape of an answer is a failure."""
        try:
            self.parts.append(self.decode(value))
        except NotThatShapeError:
            self.failed = Unreadable("its reader answered what is no answer", self.uid)

    @property
    def uid(self) -> int | None:
        """Whose it is, as far as known."""
        return self.told if self.told is not None else self.blame(self.item)


class BrokenReaderError(Exception):
    """A reader that hangs, died, or answers what no reader answers; the words say which."""


class Worker:
    """A forked reader, perhaps one that becomes an account. Raises OSError where none can be."""

    def __init__(
        self,
        libc: ctypes.CDLL,
        questions: Sequence[Question[Any, Any]],
        limits: ReaderLimits,
        keep: Iterable[int],
        owner: ActingAccount | None = None,
        *,
        shares: bool = False,
    ) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._position = Position()
        self._batch = 0
        self.handed: deque[Handed] = deque()
        """What it was given and has not answered in full, in order."""
        self._steps = 0
        self._extensions = 0
        self.waited_seconds = 0.0
        """For how long nothing has come from it while it was waited for."""
        self.connection, theirs = socket.socketpair()
        parent = os.getpid()
        # No handler of this program may run in the child before it has none of them.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _be_a_reader(
                    libc,
                    Reader(theirs, questions, limits, self._position),
                    theirs.fileno(),
                    limits,
                    keep,
                    parent,
                    owner,
                    shares=shares,
                )
        except OSError:
            self.connection.close()
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            theirs.close()
        self.waiting = Waiting(self.pid)
        """How much of its time it waits for storage."""

    def hand(
        self,
        question: int,
        items: Sequence[Handed],
        passed_over: frozenset[int],
        generation: int,
    ) -> None:
        """Give it a batch; it must have answered all it had. Raises BrokenReaderError."""
        self.handed.extend(items)
        self._batch = len(items)
        self._position.note(0, None)
        self._heard()
        request = Request(question, tuple(one.item for one in items), passed_over, generation)
        self.connection.settimeout(self._limits.deadline_seconds)
        try:
            self.connection.sendall(request.packed())
        except TimeoutError:
            raise BrokenReaderError("its reader took no request") from None
        except OSError:
            raise BrokenReaderError(self._ending()) from None

    def take(self, done: Callable[[Handed], None]) -> None:
        """Take what it has said; ``done`` is called with each item that it is done with.

        Raises BrokenReaderError; the first of ``handed`` is then the item that it was at.
        """
        try:
            data = self.connection.recv(1 << 20, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._heard()
        if not data:
            raise BrokenReaderError(self._ending())
        self._buffer += data
        for kind, uid, value in self._frames():
            if not self.handed:
                raise BrokenReaderError("its reader answered more than it was asked")
            current = self.handed[0]
            current.told = uid
            if kind is FrameKind.SPENT:
                raise BrokenReaderError(str(value)[:500])
            if kind in (FrameKind.PART, FrameKind.WHOLE):
                current.take(value)
            if kind is FrameKind.FAILED:
                current.failed = Unreadable(str(value)[:500], current.uid)
            elif kind is FrameKind.PASSED_OVER:
                current.is_passed_over = True
            if kind is not FrameKind.PART:
                done(self.handed.popleft())

    def is_late(self, deadline_seconds: float, *, extended: bool) -> bool:
        """Whether it has let its time pass; ``extended``: one that notes steps has more of it."""
        if self.waited_seconds < deadline_seconds:
            return False
        steps = self._position.steps()
        if not extended or steps == self._steps or self._extensions >= MOST_EXTENSIONS:
            return True
        self._steps = steps
        self._extensions += 1
        self.waited_seconds = 0.0
        return False

    def _heard(self) -> None:
        self.waited_seconds = 0.0
        self._extensions = 0
        self._steps = self._position.steps()

    @property
    def owner(self) -> int | None:
        """Whose the item is that it is at, as far as known."""
        index, uid = self._place()
        return uid if uid is not None else self.handed[index].uid

    def culprit(self) -> tuple[Handed, list[Handed]]:
        """Return the item it was at when it failed, and the others that it has not answered."""
        index, uid = self._place()
        waiting = list(self.handed)
        current = waiting.pop(index)
        current.told = uid
        for one in waiting:
            one.parts.clear()
        return current, waiting

    def _place(self) -> tuple[int, int | None]:
        """Return where in ``handed`` it is, and whose that is by its own note.

        Answers of items before it may be on their way.
        """
        number, uid = self._position.read()
        index = number - (self._batch - len(self.handed))
        return (index, uid) if 0 <= index < len(self.handed) else (0, None)

    def _frames(self) -> Iterable[tuple[FrameKind, int | None, Any]]:
        while len(self._buffer) >= HEADER.size:
            (length,) = HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise BrokenReaderError("its reader answered more than an answer may have")
            end = HEADER.size + length
            if len(self._buffer) < end:
                return
            data = bytes(self._buffer[HEADER.size : end])
            del self._buffer[:end]
            try:
                kind, uid, value = unpack(data)
                yield FrameKind(kind), uid if type(uid) is int else None, value
            except (NotThatShapeError, ValueError, TypeError):
                raise BrokenReaderError("its reader answered what is no answer") from None

    def _ending(self) -> str:
        """Return how it ended, in words; it has closed its end."""
        status = _ended(self.pid, _DYING_SECONDS)
        if status is None:
            return "its reader closed the line"
        self.pid = 0
        if not os.WIFSIGNALED(status):
            return "its reader ended"
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return f"it takes more than {self._limits.cpu_seconds:g} s of CPU time"
        name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
        return f"its reader was ended by {name}"

    def kill(self) -> int:
        """End it at once; return its pid if it is still dying, 0 where nothing is left of it."""
        self.connection.close()
        self._position.close()
        if not self.pid:
            return 0
        try:
            os.kill(self.pid, signal.SIGKILL)
        except PermissionError:
            # It has become an account, and this process may kill none of others (no CAP_KILL):
            # it ends by itself when it finds the line closed, or with this process.
            pass
        pid, self.pid = self.pid, 0
        return 0 if _ended(pid, _DYING_SECONDS) is not None else pid


def has_ended(pid: int) -> bool:
    """Whether a killed reader is gone; it is no zombie any more then."""
    return _ended(pid, 0.0) is not None


def _ended(pid: int, seconds: float) -> int | None:
    """Wait so long for a child to end; return its status, None if it has not."""
    until = time.monotonic() + seconds
    pause = 0.0002
    while True:
        try:
            ended, status = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            return 0
        if ended:
            return status
        if time.monotonic() >= until:
            return None
        time.sleep(pause)
        pause = min(pause * 2, 0.02)


def _be_a_reader(
    libc: ctypes.CDLL,
    reader: Reader,
    connection: int,
    limits: ReaderLimits,
    keep: Iterable[int],
    parent: int,
    owner: ActingAccount | None,
    *,
    shares: bool,
) -> None:
    """Serve and end: nothing of the program that forked this process runs here again."""
    try:
        # What was there before is looked at no more: pages stay shared with the parent.
        gc.freeze()
        confine(libc, limits, (connection, *keep), parent, owner, shares=shares)
        reader.serve()
    except BaseException:
        os._exit(1)
    finally:
        os._exit(0)


__all__ = ["BrokenReaderError", "Handed", "Worker", "has_ended"]
