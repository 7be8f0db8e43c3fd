"""What readers are asked, how much an answer may cost, and an answer that failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from cacheadmin.values import frozen

Item = TypeVar("Item")
Answer = TypeVar("Answer")


@frozen
class ReaderLimits:
    """How much one answer may cost."""

    memory_bytes: int = 512 * 1024 * 1024
    """Address space that a reader may take beyond what it started with, in bytes."""
    cpu_seconds: float = 60.0
    """CPU time for one answer; counted in whole seconds, rounded up."""
    deadline_seconds: float = 60.0
    """Time within which an answer, or its next part, must come."""


@frozen
class Unreadable:
    """Something that no reader could read: what it hides must be kept."""

    reason: str
    """Why, in words that follow "it could not be read: "."""
    uid: int | None = None
    """Owner of what could not be read; None where that could not be told."""
    no_reader: bool = False
    """Whether no reader could be started: it says nothing of what was to be read."""


def _without_owner(_: Any) -> None:
    return None


def _nothing() -> None:
    return None


def _nothing_closed(_item: Any, _parts: Sequence[Any]) -> Iterable[str]:
    return ()


def _the_later(_before: Sequence[Any], after: Sequence[Any]) -> Sequence[Any]:
    return after


@dataclass(frozen=True, eq=False)
class Question(Generic[Item, Answer]):
    """One kind of thing to read. Equal only to itself: readers know it by identity.

    A reader is forked from this process and so knows whatever ``read`` is bound
    to. What it notes there stays its own: only the answer comes back.
    """

    read: Callable[[Item], Any]
    """Runs in the reader; returns the answer, with ``in_parts`` an iterable of its parts.

    What it raises makes the answer `Unreadable`.
    """
    answers: Any
    """The type of the answer, or of a part: a frozen dataclass, or plain data (``plain_data``)."""
    in_parts: bool = False
    """Whether an answer comes in parts; the deadline is that of each."""
    whose: Callable[[Item], int | None] = _without_owner
    """Returns the owner of an item, from the disk if need be; called in the reader.

    Raises OSError.
    """
    blame: Callable[[Item], int | None] = _without_owner
    """Returns the owner of an item as far as this process knows without touching it."""
    forget: Callable[[], None] = _nothing
    """Drops what ``read`` has noted from one item to the next (`Readers.renew`)."""
    together: int = 16
    """How many items are handed to a reader at once: more where each costs little."""
    closed: Callable[[Item, Sequence[Any]], Iterable[str]] = _nothing_closed
    """Returns paths that may have been closed to the reader, after an answer in so many parts.

    Where a server gives root no rights, their owners are asked (``readers.owners``).
    """
    merged: Callable[[Sequence[Any], Sequence[Any]], Sequence[Any]] = _the_later
    """Puts together the parts that a reader answered, and those that an owner's did later."""


@frozen
class Reply(Generic[Item, Answer]):
    """What was answered for one item."""

    item: Item
    """What was to be read, as the caller gave it."""
    parts: tuple[Answer, ...]
    """All parts of the answer, also those that came before a failure."""
    failed: Unreadable | None
    """Why it ended early; None for a whole answer."""
