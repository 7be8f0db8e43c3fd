"""What goes between this program and its readers, and how it is cut into frames.

A frame is its length (four bytes, big endian) and that many bytes. Requests
are pickled: a reader may trust who made it. Answers are msgpack (``plain_data``).
"""

from __future__ import annotations

import mmap
import struct
from enum import IntEnum

HEADER = struct.Struct(">I")

# The largest answer, or part of one. An environment has a few kilobytes.
MAX_FRAME = 64 * 1024 * 1024

# So many deadlines more, and as much more CPU time, has a reader for an answer, or a
# part of one, while it notes steps.
MOST_EXTENSIONS = 9


class FrameKind(IntEnum):
    """What a frame of a reader says of the item that it reads: [kind, owner or None, value]."""

    PART = 0
    """A part of the answer; more may come."""
    WHOLE = 1
    """The last part, or the only one."""
    DONE = 2
    """That was all."""
    FAILED = 3
    """Why it could not be read."""
    PASSED_OVER = 4
    """It was not read: it is of an account of which too much could not be read."""
    SPENT = 5
    """As FAILED, and the reader is of no use any more."""


class Position:
    """Where a reader is in its batch: in memory that it shares with who asks.

    A reader that hangs or is killed can't say at which item it was, so it notes
    that beforehand. An attacker who has taken a reader over can write anything here.
    """

    _FORM = struct.Struct("qq")
    _STEPS = struct.Struct("q")

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, self._FORM.size + self._STEPS.size)
        self._done = 0
        self.note(0, None)

    def note(self, number: int, uid: int | None) -> None:
        """Note the number of an item in the batch, and whose it is (None: not known yet)."""
        self._FORM.pack_into(self._memory, 0, number, -1 if uid is None else uid)

    def read(self) -> tuple[int, int | None]:
        """Return what was noted last."""
        number, uid = self._FORM.unpack_from(self._memory)
        return number, uid if uid >= 0 else None

    def step(self) -> None:
        """Note that one step more of a long answer is done."""
        self._done += 1
        self._STEPS.pack_into(self._memory, self._FORM.size, self._done)

    def steps(self) -> int:
        """Return how many steps were done."""
        (done,) = self._STEPS.unpack_from(self._memory, self._FORM.size)
        return int(done)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


def framed(data: bytes) -> bytes:
    """Return a frame. Raises OverflowError for one that is too large."""
    if len(data) > MAX_FRAME:
        raise OverflowError(f"an answer larger than {MAX_FRAME} bytes")
    return HEADER.pack(len(data)) + data
